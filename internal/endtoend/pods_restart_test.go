package endtoend

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
)

// absentApp is an app that is not always there.
type absentApp struct {
	*script
	refuses atomic.Bool  // nobody listens
	status  atomic.Int32 // what it says instead of 101; 0: nothing
}

func (m *absentApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status := m.status.Load(); status != 0 {
		http.Error(w, "not now", int(status))
		return
	}
	m.script.ServeHTTP(w, r)
}

// retry is how long clients are held.
const retry = 10 * time.Second

// stageRestart is a session of an unaware client on /covered, whose app has
// heard its login.
func stageRestart(t *testing.T, opts *client.Options) (app *absentApp, p *pod, v *podClient, socket *websocket.Conn) {
	t.Helper()
	app = &absentApp{script: newScript()}
	f := newFleet(t, app, true)
	p = f.add(func(c *proxy.Config) {
		c.AppRetry, c.Snapshots = retry, loginGuide(t)
		dial := c.DialApp
		c.DialApp = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if app.refuses.Load() {
				return nil, syscall.ECONNREFUSED
			}
			return dial(ctx, network, addr)
		}
	})
	v = f.connect(0, "/covered", opts)
	socket = <-app.sockets
	v.sayAcked(login)
	say(t, socket, "one")
	v.hear("one")
	return app, p, v, socket
}

// leave ends the app's socket: 1006 breaks it.
func leave(t *testing.T, socket *websocket.Conn, code websocket.StatusCode) {
	t.Helper()
	if code == websocket.StatusAbnormalClosure {
		socket.CloseNow()
		return
	}
	if err := socket.Close(code, "leaving"); err != nil {
		t.Fatal(err)
	}
}

// The app restarts under a living sidecar: the client is held on its
// connection, and the fresh socket hears the snapshot first.
func TestAppRestarts(t *testing.T) {
	for _, code := range []websocket.StatusCode{1006, 1001, 1012} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app, p, v, socket := stageRestart(t, nil)
				say(t, socket, "two")
				app.refuses.Store(true)
				leave(t, socket, code)
				synctest.Wait() // what is written to a socket before that is noticed goes with it
				v.say("held")
				time.Sleep(2 * time.Second)
				app.status.Store(http.StatusServiceUnavailable)
				app.refuses.Store(false)
				v.say("held too")
				time.Sleep(3 * time.Second)
				if eventLog := v.eventLog(); eventLog != "" || v.State() != client.StateConnected {
					t.Fatalf("the client was told %q and is %v", eventLog, v.State())
				}
				app.status.Store(0)
				second := <-app.sockets
				v.event(client.EventAdopted, "app_restarted")
				say(t, second, "three")
				v.hear("two", "three")
				v.sayAcked("again")
				if got, want := app.all(), "1:"+login+" 2:"+login+" 2:held 2:held too 2:again"; got != want {
					t.Errorf("the app heard %q, want %q", got, want)
				}
				synctest.Wait()
				if v.dials != 1 {
					t.Errorf("the client dialled %d times, want once", v.dials)
				}
				if failed, refused := p.watch.count("dialled failed"), p.watch.count("dialled refused"); failed == 0 || refused == 0 {
					t.Errorf("%d dials failed and %d were refused, want some of each", failed, refused)
				}
				if n := p.watch.count("app restarted ok"); n != 1 {
					t.Errorf("%d restarts, want one", n)
				}
				// And once more: it is no matter of the first time.
				leave(t, second, 1006)
				say(t, <-app.sockets, "four")
				v.event(client.EventAdopted, "app_restarted")
				v.hear("four")
			})
		})
	}
}

// The app stays away: its end is the client's, after Config.AppRetry.
func TestAppStaysAway(t *testing.T) {
	for _, code := range []websocket.StatusCode{1006, 1001, 1012} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app, p, v, socket := stageRestart(t, nil)
				say(t, socket, "two")
				app.refuses.Store(true)
				leave(t, socket, code)
				left := time.Now()
				v.hear("two")
				v.wantClosed(int(code))
				if held := time.Since(left); held < retry || held > retry+time.Second {
					t.Errorf("held for %v, want %v", held, retry)
				}
				synctest.Wait()
				if n := p.watch.count("app restarted gave_up"); n != 1 {
					t.Errorf("given up %d times, want once", n)
				}
			})
		})
	}
}

// An app that ends the conversation means it.
func TestAppCloses(t *testing.T) {
	for _, code := range []websocket.StatusCode{1000, 1008, 1011, 4000} {
		synctest.Test(t, func(t *testing.T) {
			_, p, v, socket := stageRestart(t, nil)
			leave(t, socket, code)
			left := time.Now()
			v.wantClosed(int(code))
			if held := time.Since(left); held > time.Second {
				t.Errorf("%d: held for %v, want not at all", code, held)
			}
			time.Sleep(retry)
			if n := p.watch.count("dialled ok"); n != 1 {
				t.Errorf("%d: the app was dialled %d times, want once", code, n)
			}
		})
	}
}

// Nobody knows what the app was told, and the client does not either: its end
// is the client's at once.
func TestAppRestartIsNotAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newScript()
		f := newFleet(t, app, true)
		p := f.add(func(c *proxy.Config) { c.AppRetry = retry })
		v := f.connect(0, "/", nil)
		(<-app.sockets).CloseNow()
		left := time.Now()
		v.wantClosed(1006)
		if held := time.Since(left); held > time.Second {
			t.Errorf("held for %v, want not at all", held)
		}
		if n := p.watch.count("dialled ok"); n != 1 {
			t.Errorf("the app was dialled %d times, want once", n)
		}
	})
}

// The app restarts while the client is away, and is dialled when it has been up
// for a while. When the client comes back it is told that the app's socket is a
// new one, which is the truth.
func TestAppRestartsWhileClientIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, _, v, socket := stageRestart(t, &client.Options{Adopt: true})
		v.move(-1)
		synctest.Wait()
		say(t, socket, "two")
		synctest.Wait()
		app.refuses.Store(true)
		leave(t, socket, 1006)
		time.Sleep(time.Second)
		app.refuses.Store(false)
		up := time.Now()
		second := <-app.sockets
		if waited := time.Since(up); waited < 10*time.Second || waited > 13*time.Second {
			t.Errorf("dialled %v after the app was back, want 10 s and a pause", waited)
		}
		say(t, second, "three")
		time.Sleep(time.Second)
		v.say("later")
		v.to.Store(0)
		v.event(client.EventAdopted, "app_restarted")
		v.hear("two", "three")
		v.sayAcked("again")
		if got, want := app.all(), "1:"+login+" 2:"+login+" 2:later 2:again"; got != want {
			t.Errorf("the app heard %q, want %q", got, want)
		}
		// Once told, a resume is a resume.
		v.cut()
		v.event(client.EventResumed, "")
	})
}

// The client comes back while the app is still away.
func TestClientComesBackBeforeApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, _, v, socket := stageRestart(t, nil)
		app.refuses.Store(true)
		leave(t, socket, 1006)
		synctest.Wait()
		v.cut()
		v.event(client.EventResumed, "")
		v.say("held")
		time.Sleep(time.Second)
		app.refuses.Store(false)
		v.event(client.EventAdopted, "app_restarted")
		say(t, <-app.sockets, "two")
		v.hear("two")
		v.sayAcked("again")
		if got, want := app.all(), "1:"+login+" 2:"+login+" 2:held 2:again"; got != want {
			t.Errorf("the app heard %q, want %q", got, want)
		}
	})
}

// The pod is to stop while its app is away: the session is handed over as it
// is, and nobody waits for the app.
func TestDrainWhileAppIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newScript()
		f := newFleet(t, app, true)
		refuses := new(atomic.Bool)
		p := f.add(func(c *proxy.Config) {
			c.AppRetry = time.Minute
			dial := c.DialApp
			c.DialApp = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if refuses.Load() {
					return nil, syscall.ECONNREFUSED
				}
				return dial(ctx, network, addr)
			}
		})
		f.add(nil)
		v := f.connect(0, "/", &client.Options{Adopt: true})
		socket := <-app.sockets
		v.sayAcked("hello")
		v.to.Store(-1)
		refuses.Store(true)
		say(t, socket, "one")
		leave(t, socket, 1006)
		synctest.Wait()
		v.say("held")
		began := time.Now()
		done := p.drains(t)
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if took, most := time.Since(began), schedule.Notice+schedule.Move+time.Second; took > most {
			t.Errorf("drained in %v, want at most %v", took, most)
		}
		v.to.Store(1)
		v.event(client.EventAdopted, "app_restarted")
		v.hear("one")
		v.sayAcked("again")
		if got, want := app.all(), "1:hello 2:held 2:again"; got != want {
			t.Errorf("the app heard %q, want %q", got, want)
		}
	})
}

// An app that chooses another subprotocol than the client was told is not what
// the client talks to: no silent adoption, on either way to a fresh socket.
func TestAppChoosesAnotherSubprotocol(t *testing.T) {
	for _, second := range []string{"two", ""} {
		t.Run("then "+second, func(t *testing.T) { appChoosesAnotherSubprotocol(t, second) })
	}
}

func appChoosesAnotherSubprotocol(t *testing.T, second string) {
	stage := func(t *testing.T) (f *fleet, v *podClient, sockets chan *websocket.Conn) {
		sockets = make(chan *websocket.Conn, 8)
		var n atomic.Int64
		app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			protocol := []string{"one", second}[min(n.Add(1), 2)-1]
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocol}})
			if err != nil {
				return
			}
			defer c.CloseNow()
			sockets <- c
			for {
				if _, _, err := c.Read(context.Background()); err != nil {
					return
				}
			}
		})
		f = newFleet(t, app, true)
		for range 2 {
			f.add(func(c *proxy.Config) { c.AppRetry = retry })
		}
		v = f.connect(0, "/", &client.Options{Adopt: true, Subprotocols: []string{"one", "two"}})
		v.sayAcked("hello")
		return f, v, sockets
	}
	t.Run("a restart", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, v, sockets := stage(t)
			leave(t, <-sockets, 1012)
			v.wantClosed(1012)
			if got := v.Subprotocol(); got != "one" {
				t.Errorf("the client was told %q", got)
			}
		})
	})
	t.Run("a move", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, v, sockets := stage(t)
			say(t, <-sockets, "last words")
			synctest.Wait()
			v.to.Store(1)
			done := f.pods[0].drains(t)
			v.hear("last words")
			v.wantClosed(1012)
			if got := v.Subprotocol(); got != "one" {
				t.Errorf("the client was told %q", got)
			}
			for range 2 {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		})
	})
}
