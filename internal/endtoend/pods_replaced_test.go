package endtoend

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
)

// No pod can reach another, and nothing else is wrong. Wherever the client
// comes, it is told to try again until the owner has been out of reach for a
// lease, and then the session goes on there: also where it lived before.
func TestPodsCannotReachEachOther(t *testing.T) {
	t.Parallel()
	app := newScript()
	f := fleetOf(t, 2, app, func(c *proxy.Config) { c.LeaseTTL = time.Second })
	v := f.connect(0, "/", &client.Options{Adopt: true})
	socket := <-app.sockets
	v.sayAcked("in-0")
	say(t, socket, "out-0")
	v.hear("out-0")
	for _, p := range f.pods {
		p.link.Silence()
	}
	for i, want := range []string{"in-1", "in-2", "in-3"} {
		// Detached, the owner has nothing to write by which it would learn more.
		v.move(-1)
		soon(t, "the pod notices", func() bool { return f.pods[i%2].Stats().Attached == 0 })
		time.Sleep(200 * time.Millisecond)
		v.to.Store(int64((i + 1) % 2))
		v.event(client.EventAdopted, "owner_lost")
		socket = <-app.sockets
		v.sayAcked(want)
		say(t, socket, "out of "+want)
		v.hear("out of " + want)
	}
	if n := f.pods[0].watch.count("ended resilient fenced"); n != 1 {
		t.Errorf("the first owner let go of %d sessions, want 1", n)
	}
	for _, p := range f.pods {
		if n := p.watch.count("reset token"); n != 0 {
			t.Errorf("%d clients were told that their token is not valid", n)
		}
	}
}

// A pod is cut off from the journal and from the other pods, for 40 s at most,
// and clients still reach it. Whoever was adopted elsewhere meanwhile and comes back
// to it waits for the journal: the pod knows nothing of the session that it had,
// be it there still, or ended.
func TestOwnerCutOff(t *testing.T) {
	for name, away := range map[string]time.Duration{"its session is there": 4 * time.Second, "its session has expired": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := newScript()
				f := newFleet(t, app, true)
				s := &flaky{Store: f.store}
				f.add(func(c *proxy.Config) { c.Store, c.SessionTTL = s, 15*time.Second })
				f.add(func(c *proxy.Config) { c.SessionTTL = 15 * time.Second })
				v := f.connect(0, "/", &client.Options{Adopt: true})
				<-app.sockets
				v.sayAcked("in-0")
				time.Sleep(time.Second)
				s.away.Store(true)
				f.pods[0].SetStoreAvailable(false, errAway)
				v.move(1)
				v.event(client.EventAdopted, "owner_lost")
				<-app.sockets
				v.sayAcked("in-1")
				time.Sleep(away)
				v.move(0)
				v.say("in-2")
				time.Sleep(10 * time.Second)
				if eventLog := v.eventLog(); eventLog != "" || f.pods[0].watch.count("reset try_again") == 0 {
					t.Fatalf("the client was told %q", eventLog)
				}
				s.away.Store(false)
				f.pods[0].SetStoreAvailable(true, nil)
				v.event(client.EventAdopted, "owner_lost")
				v.sayAcked("in-3")
				if got, want := app.all(), "1:in-0 2:in-1 3:in-2 3:in-3"; got != want {
					t.Errorf("the app heard %q, want %q", got, want)
				}
			})
		})
	}
}

// An owner that is cut off from the journal and the other pods goes on with its
// client, after the client's own abandoned attempt has made another pod adopt
// the session. What both apps have said since has the same numbers: the client
// that comes to the adopter with the one is told that the other is lost to it,
// and does not skip it in silence.
func TestTwoHistories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newScript()
		f := newFleet(t, app, true)
		s := &flaky{Store: f.store}
		f.add(func(c *proxy.Config) { c.Store = s })
		f.add(nil)
		c := f.pods[0].open(t, nil)
		replaced := <-app.sockets
		time.Sleep(time.Second)
		s.away.Store(true)
		f.pods[0].SetStoreAvailable(false, errAway)
		resume := func(attempt, received uint32) *contender {
			offer := again(c.token, attempt)
			offer.Resume.Received = received
			at, err := f.pods[1].contend(t.Context(), nil, offer)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { at.conn.Close() })
			return at
		}
		if abandoned := resume(1, 0); abandoned.status != "adopted" {
			t.Fatal(abandoned.status)
		}
		owner := <-app.sockets
		for _, m := range []string{"one", "two", "last"} {
			say(t, owner, "other "+m)
			say(t, replaced, m)
		}
		if c.listen("last"); len(c.heard) != 3 {
			t.Fatalf("the client heard %q, then %v", c.heard, c.end)
		}
		if back := resume(2, 3); back.status != "reset lost" {
			t.Errorf("with the messages of the owner that was replaced: %s, want reset lost", back.status)
		}
		back := resume(3, 0)
		if back.listen("other last"); back.status != "adopted" || len(back.heard) != 3 {
			t.Errorf("with none of them: %s, heard %q", back.status, back.heard)
		}
		s.away.Store(false)
		f.pods[0].SetStoreAvailable(true, nil)
	})
}
