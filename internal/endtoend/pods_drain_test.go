package endtoend

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/drain"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/wire"
)

// Make before break: every client moves while messages flow both ways, and
// none is lost, doubled or long under way. One client comes back to the pod
// that stops, until that one gives it up.
func TestDrainMovesClients(t *testing.T) {
	t.Parallel()
	const (
		clients = 12
		total   = 420
		pause   = 10 * time.Millisecond
		// most is how much longer a client that moves may hear nothing than one
		// that stays: time is real here, and the machine may be busy.
		most = time.Second
	)
	app := newLedger(total, pause)
	f := fleetOf(t, 2, app, nil)
	var all []*podClient
	gaps := make([]time.Duration, clients)
	var traffic sync.WaitGroup
	var still time.Duration
	control := f.connect(1, "/?s=control", &client.Options{Adopt: true})
	traffic.Go(func() {
		var err error
		if still, err = control.timed(t.Context(), total, pause); err != nil {
			t.Errorf("the one that stays: %v", err)
		}
	})
	for i := range clients {
		v := f.connect(0, fmt.Sprint("/?s=", i), &client.Options{Adopt: true})
		all = append(all, v)
		traffic.Go(func() {
			var err error
			if gaps[i], err = v.timed(t.Context(), total, pause); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	stubborn := all[0]
	for _, v := range all[1:] {
		v.to.Store(1)
	}
	go func() {
		soon(t, "the stubborn one is handed over", func() bool { return f.pods[0].watch.count("handed over deadline") > 0 })
		stubborn.to.Store(1)
	}()
	time.Sleep(300 * time.Millisecond)
	if err := f.pods[0].Drain(t.Context(), drain.Schedule{Notice: 200 * time.Millisecond, Move: 3 * time.Second, Stragglers: 3 * time.Second}); err != nil {
		t.Error(err)
	}
	if st := f.pods[0].Stats(); st.Attached+st.Detached+st.Plain != 0 {
		t.Errorf("sessions are left: %+v", st)
	}
	traffic.Wait()
	for i, v := range all {
		app.check(t, fmt.Sprint(i), total, 2)
		want := "goaway, adopted drained"
		if v == stubborn {
			want = "" // it may be asked again
		} else if gaps[i] > still+most {
			t.Errorf("client %d heard nothing for %v, one that stays for %v", i, gaps[i], still)
		}
		if eventLog := v.eventLog(); eventLog != want && (v != stubborn || !strings.HasSuffix(eventLog, "adopted drained") || strings.Contains(eventLog, "reset")) {
			t.Errorf("client %d was told %q, want %q", i, eventLog, want)
		}
	}
	if moved, late := f.pods[0].watch.count("handed over moved"), f.pods[0].watch.count("handed over deadline"); moved+late != clients || late == 0 || moved == 0 {
		t.Errorf("%d of %d moved and %d were moved", moved, clients, late)
	}
	if n := f.pods[1].Stats().Attached; n != clients+1 {
		t.Errorf("%d sessions at the other pod, want %d", n, clients+1)
	}
	app.check(t, "control", total, 1)
	slices.Sort(gaps)
	t.Logf("the longest time without a message: %v at the median, %v at most", gaps[clients/2], gaps[clients-1])
}

// The new connection takes its time, and the old one carries messages
// meanwhile: what the client acknowledges there must not leave its resume
// behind.
func TestMoveIsSlow(t *testing.T) {
	t.Parallel()
	const total = 150
	app := newLedger(total, 10*time.Millisecond)
	f := fleetOf(t, 2, app, nil)
	v := f.connect(0, "/?s=a", &client.Options{Adopt: true})
	v.mu.Lock()
	v.wrap = func(c net.Conn) net.Conn {
		time.Sleep(300 * time.Millisecond)
		return c
	}
	v.mu.Unlock()
	v.to.Store(1)
	traffic := make(chan error, 1)
	go func() { traffic <- v.both(t.Context(), total, 10*time.Millisecond) }()
	time.Sleep(200 * time.Millisecond)
	if err := f.pods[0].Drain(t.Context(), drain.Schedule{Move: 5 * time.Second, Stragglers: 2 * time.Second}); err != nil {
		t.Error(err)
	}
	if err := <-traffic; err != nil {
		t.Error(err)
	}
	app.check(t, "a", total, 2)
	if eventLog := v.eventLog(); eventLog != "goaway, adopted drained" {
		t.Errorf("the client was told %q", eventLog)
	}
	for _, p := range f.pods {
		if n := p.watch.count("reset lost"); n != 0 {
			t.Errorf("%d resumes were refused for lost messages", n)
		}
	}
}

// schedule is of the tests in virtual time.
var schedule = drain.Schedule{Notice: 5 * time.Second, Move: 18 * time.Second, Stragglers: 2 * time.Second}

// drains begins a drain and returns what it ends with, and when.
func (p *pod) drains(t *testing.T) (done chan error) {
	done = make(chan error, 2)
	for range 2 { // the second joins
		go func() { done <- p.Drain(t.Context(), schedule) }()
		synctest.Wait()
	}
	return done
}

// connectPlain opens a connection of a stock client without wsr.v1.
func (p *pod) connectPlain(t *testing.T) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), "ws://app/plain", &websocket.DialOptions{HTTPClient: p.httpClient()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func (p *pod) httpClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) },
	}}
}

// What is taken, asked and closed when, to the second.
func TestDrainSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newScript()
		f := newFleet(t, app, true)
		p, _ := f.add(nil), f.add(nil)
		plain := p.connectPlain(t)
		<-app.sockets
		v := f.connect(0, "/", &client.Options{Adopt: true})
		socket := <-app.sockets
		v.to.Store(-1) // it cannot come elsewhere
		began := time.Now()
		done := p.drains(t)

		time.Sleep(schedule.Notice - time.Millisecond)
		if !p.Accepting() || !p.Draining() || !p.DrainingSince().Equal(began) {
			t.Errorf("in the notice: accepting %v, draining %v", p.Accepting(), p.Draining())
		}
		if eventLog := v.eventLog(); eventLog != "" {
			t.Errorf("in the notice the client was told %q", eventLog)
		}
		late, _, err := client.Dial(t.Context(), "ws://app/late", &client.Options{NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) }})
		if err != nil {
			t.Fatalf("a new session in the notice: %v", err)
		}
		<-app.sockets
		if err := late.Close(1000, ""); err != nil {
			t.Error(err)
		}

		time.Sleep(2 * time.Millisecond)
		if p.Accepting() {
			t.Error("accepting after the notice")
		}
		p.wantRefused(t)
		v.event(client.EventGoAway, "")
		say(t, socket, "before")
		v.hear("before")
		v.sayAcked("works")

		last := began.Add(schedule.Notice + schedule.Move)
		if _, _, err := plain.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
			t.Errorf("plain client: %v, want 1012", err)
		}
		if late := time.Since(last); late < 0 || late > 100*time.Millisecond {
			t.Errorf("the plain client was closed %v after the last moment", late)
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if late := time.Since(last); late > time.Second+100*time.Millisecond {
			t.Errorf("drained %v after the last moment", late)
		}
		v.say("after")
		v.to.Store(1)
		v.event(client.EventAdopted, "drained")
		say(t, <-app.sockets, "here")
		v.hear("here")
		v.sayAcked("end")
		if got, want := app.all(), "2:works 4:after 4:end"; got != want {
			t.Errorf("the app heard %q, want %q", got, want)
		}
	})
}

// wantRefused makes new clients of both kinds.
func (p *pod) wantRefused(t *testing.T) {
	t.Helper()
	netDial := func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) }
	_, resp, err := client.Dial(t.Context(), "ws://app/", &client.Options{NetDial: netDial})
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Wsr-Refused") != "draining" {
		t.Errorf("a new session: %v, %v, want 503 with Retry-After and the mark", resp, err)
	}
	_, resp, err = websocket.Dial(t.Context(), "ws://app/", &websocket.DialOptions{HTTPClient: p.httpClient()})
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Wsr-Refused") != "draining" {
		t.Errorf("a new plain client: %v, %v, want 503 with Retry-After and the mark", resp, err)
	}
}

// A session without a client is handed over when its turn comes, and found by
// the client that comes when the pod is long gone.
func TestDrainDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newScript()
		f := newFleet(t, app, true)
		p, _ := f.add(nil), f.add(nil)
		v := f.connect(0, "/", &client.Options{Adopt: true})
		socket := <-app.sockets
		v.sayAcked("hello")
		v.move(-1)
		synctest.Wait()
		say(t, socket, "while away")
		v.say("later")
		done := p.drains(t)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := p.watch.count("handed over detached"); n != 1 {
			t.Errorf("%d handed over, want one", n)
		}
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
		f.leases.set(p.name, 0)
		time.Sleep(20 * time.Second)
		v.to.Store(1)
		v.event(client.EventAdopted, "drained")
		v.hear("while away")
		v.sayAcked("again")
		if got, want := app.all(), "1:hello 2:later 2:again"; got != want {
			t.Errorf("the app heard %q, want %q", got, want)
		}
	})
}

// The app of the next pod is not ready when the client comes, or refuses it, and
// then it is: the hand-over was clean all the same.
func TestDrainedToAppThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &absentApp{script: newScript()}
		f := newFleet(t, app, true)
		p := f.add(nil)
		next := f.add(func(c *proxy.Config) {
			dial := c.DialApp
			c.DialApp = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if app.refuses.Load() {
					return nil, syscall.ECONNREFUSED
				}
				return dial(ctx, network, addr)
			}
		})
		v := f.connect(0, "/", &client.Options{Adopt: true})
		socket := <-app.sockets
		v.sayAcked("hello")
		v.move(-1)
		synctest.Wait()
		say(t, socket, "while away")
		if err := <-p.drains(t); err != nil {
			t.Fatal(err)
		}
		app.refuses.Store(true)
		v.to.Store(1)
		time.Sleep(3 * time.Second)
		if next.watch.count("dialled failed") == 0 {
			t.Error("the app was not asked while it was away")
		}
		app.refuses.Store(false)
		v.event(client.EventAdopted, "drained")
		v.hear("while away")
		v.sayAcked("again")
	})
}

// An app that goes away with its pod does not end its sessions.
func TestDrainAppGoesAway(t *testing.T) {
	for _, code := range []websocket.StatusCode{1000, 1001, 1012} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := newScript()
				f := newFleet(t, app, true)
				p, _ := f.add(nil), f.add(nil)
				v := f.connect(0, "/", &client.Options{Adopt: true})
				socket := <-app.sockets
				v.sayAcked("hello")
				done := p.drains(t)
				say(t, socket, "farewell")
				v.to.Store(1)
				if err := socket.Close(code, "stopping"); err != nil {
					t.Fatal(err)
				}
				v.event(client.EventAdopted, "drained")
				v.hear("farewell")
				v.sayAcked("again")
				if got, want := app.all(), "1:hello 2:again"; got != want {
					t.Errorf("the app heard %q, want %q", got, want)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
	t.Run("4000", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			app := newScript()
			f := newFleet(t, app, true)
			p := f.add(nil)
			v := f.connect(0, "/", &client.Options{Adopt: true})
			done := p.drains(t)
			if err := (<-app.sockets).Close(4000, "kicked"); err != nil {
				t.Fatal(err)
			}
			v.wantClosed(4000)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
}

// Nobody could take the sessions over: clients stay until the last moment,
// and find theirs again when the sidecar is back.
func TestDrainAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newScript()
		f := newFleet(t, app, true)
		alone := func(c *proxy.Config) { c.Peers = nil }
		p := f.add(alone)
		v := f.connect(0, "/", &client.Options{Adopt: true})
		socket := <-app.sockets
		plain := p.connectPlain(t)
		<-app.sockets
		began := time.Now()
		done := p.drains(t)
		closed := make(chan time.Duration, 1)
		go func() {
			_, _, err := plain.Read(t.Context())
			if websocket.CloseStatus(err) != websocket.StatusServiceRestart {
				t.Errorf("plain client: %v, want 1012", err)
			}
			closed <- time.Since(began)
		}()
		time.Sleep(schedule.Notice + schedule.Move - time.Millisecond)
		if st := p.Stats(); st.Attached != 1 || st.Plain != 1 {
			t.Errorf("at the last moment %d are attached and %d plain, want one each", st.Attached, st.Plain)
		}
		if eventLog := v.eventLog(); eventLog != "" {
			t.Errorf("the client was told %q", eventLog)
		}
		if err := socket.Write(t.Context(), websocket.MessageText, []byte("until the last")); err != nil {
			t.Errorf("the app's socket: %v", err)
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if at := <-closed; at < schedule.Notice+schedule.Move {
			t.Errorf("the plain client was closed after %v", at)
		}
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
		f.add(func(c *proxy.Config) { alone(c); c.Advertise = p.addr })
		v.to.Store(1)
		v.event(client.EventAdopted, "drained")
		v.hear("until the last")
	})
}

// A plain client that is in the middle of a message at the last moment gets
// the rest of it before its 1012.
func TestDrainPlainMidMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newScript()
		f := newFleet(t, app, true)
		p := f.add(nil)
		v := f.connect(0, "/", &client.Options{Adopt: true}) // keeps the drain from ending early
		<-app.sockets
		v.to.Store(-1)
		plain := p.connectPlain(t)
		plain.SetReadLimit(-1)
		socket := <-app.sockets
		last := time.Now().Add(schedule.Notice + schedule.Move)
		done := p.drains(t)
		message := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
		half := len(message) / 2
		var writer sync.WaitGroup
		writer.Go(func() {
			w, err := socket.Writer(t.Context(), websocket.MessageText)
			if err == nil {
				_, err = w.Write(message[:half])
			}
			time.Sleep(time.Until(last) + 500*time.Millisecond)
			if err == nil {
				_, err = w.Write(message[half:])
			}
			if err == nil {
				err = w.Close()
			}
			if err != nil {
				t.Errorf("app: %v", err)
			}
		})
		defer writer.Wait()
		_, got, err := plain.Read(t.Context())
		if err != nil || !bytes.Equal(got, message) {
			t.Errorf("%d bytes, %v, want the whole message", len(got), err)
		}
		if _, _, err := plain.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusCode(wire.CodeRestart) {
			t.Errorf("plain client: %v, want 1012", err)
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}
