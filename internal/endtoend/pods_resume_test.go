package endtoend

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/drain"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
)

// While the owner lives, a client that comes to any pod has the same app
// socket, whatever is under way (I1, I2).
func TestResumeElsewhere(t *testing.T) {
	t.Parallel()
	const total = 600
	app := newLedger(total, 3*time.Millisecond)
	f := fleetOf(t, 3, app, nil)
	v := f.connect(0, "/?s=a", nil)
	traffic := make(chan error, 1)
	go func() { traffic <- v.both(t.Context(), total, 3*time.Millisecond) }()
	moves := 0
	for done := false; !done; moves++ {
		select {
		case err := <-traffic:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		case <-time.After(100 * time.Millisecond):
			v.move((moves + 1) % 3)
		}
	}
	app.check(t, "a", total, 1)
	if moves < 6 {
		t.Fatalf("only %d moves", moves)
	}
	if eventLog := strings.ReplaceAll(v.eventLog(), "resumed", ""); strings.Trim(eventLog, ", ") != "" {
		t.Errorf("the client was told %q beside resumes", eventLog)
	}
	if n := f.pods[1].watch.count("forwarded served"); n == 0 {
		t.Error("nothing went by a tunnel")
	}
}

// lostOwner is a session of pod 0 whose client has no network. The app has
// said one and two, of which the client has one, and the client has said
// hello, which the app has, and later, which nobody has.
func lostOwner(t *testing.T, change func(*proxy.Config)) *orphan {
	t.Helper()
	app := newScript()
	f := fleetOf(t, 2, app, change)
	v := f.connect(0, "/", &client.Options{Adopt: true})
	old := <-app.sockets
	v.sayAcked("hello")
	say(t, old, "one")
	v.hear("one")
	id := f.pods[0].session(t).ID
	v.move(-1)
	soon(t, "the pod notices", func() bool { return f.pods[0].Stats().Detached == 1 })
	say(t, old, "two")
	f.journaled(id, 2)
	v.say("later")
	return &orphan{f, app, v, old, id}
}

type orphan struct {
	f   *fleet
	app *script
	v   *podClient
	old *websocket.Conn // the app's first socket
	id  string
}

// adoptedBy checks that the session went on at a pod with nothing lost.
func (o *orphan) adoptedBy(t *testing.T, p *pod, reason string) *websocket.Conn {
	t.Helper()
	o.v.event(client.EventAdopted, reason)
	socket := <-o.app.sockets
	say(t, socket, "three")
	o.v.hear("two", "three")
	o.v.sayAcked("again")
	soon(t, "the app has read it", func() bool { return strings.HasSuffix(o.app.all(), "again") })
	if got, want := o.app.all(), "1:hello 2:later 2:again"; got != want {
		t.Errorf("the app heard %q, want %q", got, want)
	}
	if n := p.watch.count("adopted " + reason); n != 1 {
		t.Errorf("%d adoptions because of %s, want one", n, reason)
	}
	if view := p.session(t); view.Epoch != 2 || view.State != "attached" {
		t.Errorf("the session is %+v", view)
	}
	if extra := len(o.app.sockets); extra != 0 {
		t.Errorf("%d app sockets too many", extra)
	}
	return socket
}

// Nobody listens at the owner's: it is gone, whatever its lease says.
func TestOwnerRefuses(t *testing.T) {
	t.Parallel()
	o := lostOwner(t, nil)
	if err := o.f.pods[0].link.Down(true); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	o.v.to.Store(1)
	socket := o.adoptedBy(t, o.f.pods[1], "owner_lost")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("adopted after %v, want at once", took)
	}
	// The former owner is none any more. It finds out with the next word of
	// its app, which reaches nobody.
	say(t, o.old, "to nobody")
	soon(t, "the former owner is fenced", func() bool { return o.f.pods[0].watch.count("ended resilient fenced") == 1 })
	if err := o.old.Ping(t.Context()); err == nil {
		t.Error("its app socket is still open")
	}
	say(t, socket, "last")
	o.v.hear("last")
}

// The owner is silent and its lease lives: the client is told to try again,
// until the lease is gone.
func TestOwnerSilent(t *testing.T) {
	t.Parallel()
	o := lostOwner(t, nil)
	o.f.pods[0].link.Silence()
	o.v.to.Store(1)
	soon(t, "the client is told to try again", func() bool { return o.f.pods[1].watch.count("reset try_again") >= 2 })
	if eventLog := o.v.eventLog(); eventLog != "" || o.v.State() != client.StateReconnecting {
		t.Fatalf("the client was told %q and is %v", eventLog, o.v.State())
	}
	o.v.say("and later")
	o.f.leases.set(o.f.pods[0].name, store.LeaseGone)
	o.v.event(client.EventAdopted, "owner_lost")
	say(t, <-o.app.sockets, "three")
	o.v.hear("two", "three")
	o.v.sayAcked("again")
	soon(t, "the app has read it", func() bool { return strings.HasSuffix(o.app.all(), "again") })
	if got, want := o.app.all(), "1:hello 2:later 2:and later 2:again"; got != want {
		t.Errorf("the app heard %q, want %q", got, want)
	}
}

// Nothing is known of a silent owner: nobody adopts, however long that is. When
// the owner speaks again the session is there.
func TestOwnerSilentLeaseUnknown(t *testing.T) {
	t.Parallel()
	o := lostOwner(t, func(c *proxy.Config) { c.LeaseTTL = 3 * time.Second })
	o.f.pods[0].link.Silence()
	o.f.leases.set(o.f.pods[0].name, store.LeaseUnknown)
	o.v.to.Store(1)
	began := time.Now()
	soon(t, "the client tries for long", func() bool {
		return o.f.pods[1].watch.count("reset try_again") >= 3 && time.Since(began) > 6*time.Second
	})
	o.f.pods[0].link.Heal()
	o.v.event(client.EventResumed, "")
	o.v.hear("two")
	o.v.sayAcked("again")
	soon(t, "the app has read it", func() bool { return strings.HasSuffix(o.app.all(), "again") })
	if got, want := o.app.all(), "1:hello 1:later 1:again"; got != want {
		t.Errorf("the app heard %q, want %q", got, want)
	}
}

// An owner that lives, and was out of reach for longer than a lease, is given
// up: nor can anybody else reach it.
func TestOwnerSilentForLong(t *testing.T) {
	t.Parallel()
	o := lostOwner(t, func(c *proxy.Config) { c.LeaseTTL = 3 * time.Second })
	o.f.pods[0].link.Silence()
	began := time.Now()
	o.v.to.Store(1)
	o.adoptedBy(t, o.f.pods[1], "owner_lost")
	if took := time.Since(began); took < 3*time.Second {
		t.Errorf("adopted after %v, although the lease lives", took)
	}
	if n := o.f.pods[1].watch.count("reset try_again"); n == 0 {
		t.Error("the client was not told to try again")
	}
}

// The owner lives and has handed the session over: it says so, and nothing is
// missing.
func TestOwnerHandedOver(t *testing.T) {
	t.Parallel()
	o := lostOwner(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := o.f.pods[0].Drain(ctx, drain.Schedule{Move: 100 * time.Millisecond, Stragglers: time.Second}); err != nil {
		t.Fatal(err)
	}
	if st, err := o.f.store.Load(ctx, storeID(t, o.id)); err != nil || !st.Handed || st.Gap {
		t.Fatalf("the journal says %+v, %v, want handed", st, err)
	}
	o.v.to.Store(1)
	o.adoptedBy(t, o.f.pods[1], "drained")
	if n := o.f.pods[1].watch.count("forwarded not_owner"); n != 1 {
		t.Errorf("the owner was asked %d times, want once", n)
	}
	if n := o.f.pods[0].watch.count("refused misdirected"); n != 1 {
		t.Errorf("it said %d times that it has not the session", n)
	}
}

// A row of owners that die: each next one has all that the client lacks.
func TestOwnersDieInTurn(t *testing.T) {
	t.Parallel()
	const pods = 4
	app := newScript()
	f := fleetOf(t, pods, app, nil)
	v := f.connect(0, "/", &client.Options{Adopt: true})
	var id string
	for i := range pods {
		if i > 0 {
			if err := f.pods[i-1].link.Down(true); err != nil {
				t.Fatal(err)
			}
			v.to.Store(int64(i))
			v.event(client.EventAdopted, "owner_lost")
		}
		socket := <-app.sockets
		v.sayAcked(fmt.Sprint("in-", i))
		if i == 0 {
			id = f.pods[0].session(t).ID
		}
		v.move(-1)
		soon(t, "the pod notices", func() bool { return f.pods[i].Stats().Detached == 1 })
		say(t, socket, fmt.Sprint("out-", i))
		f.journaled(id, uint32(i+1))
	}
	v.to.Store(pods - 1)
	v.event(client.EventResumed, "")
	v.hear("out-0", "out-1", "out-2", "out-3")
	if got, want := app.all(), "1:in-0 2:in-1 3:in-2 4:in-3"; got != want {
		t.Errorf("the app heard %q, want %q", got, want)
	}
	if epoch := f.pods[pods-1].session(t).Epoch; epoch != pods {
		t.Errorf("epoch %d, want %d", epoch, pods)
	}
}
