package endtoend

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
)

// A client's place at the app is taken by another one while its pod drains. The app
// lives, and its other sockets too: the old client is told, or hears it when it
// comes, and is not dialled by the next pod, where it would throw out the new one.
func TestTakenPlaceWhileDraining(t *testing.T) {
	for _, code := range []websocket.StatusCode{1000, 1001, 1006, 1011, 1012, 1013} {
		for i, there := range []bool{false, true, false, true} {
			others := i / 2 * 5
			t.Run(fmt.Sprintf("%d/there=%v/others=%d", code, there, others), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					app := newSingle(0, code)
					f := newFleet(t, app, true)
					change := func(c *proxy.Config) { c.AppRetry, c.Snapshots = retry, loginGuide(t) }
					p := f.add(change)
					f.add(change)
					for i := range others {
						f.logIn(0, user(i))
					}
					old := f.logIn(0, login)
					if !there {
						old.move(-1)
					}
					time.Sleep(time.Second)
					p.drains(t) // at first everybody is still taken
					if there {
						old.to.Store(1) // where it would be dialled
					}
					next := f.logIn(0, login)
					time.Sleep(2 * time.Second)
					if !there {
						old.to.Store(0)
					}
					old.wantClosed(int(code))
					next.sayAcked("still here")
					next.hear("still here")
					if logins, kicked := app.counts(login); logins != 2 || kicked != 1 {
						t.Errorf("%d logins and %d kicked, want 2 and 1", logins, kicked)
					}
					if eventLog := next.eventLog(); eventLog != "" {
						t.Errorf("the new client was told %q", eventLog)
					}
				})
			})
		}
	}
}

// An app stops with its pod and closes its sockets one after the other, while it
// still takes connections: every session is handed over.
func TestAppLeavesSlowlyWhileDraining(t *testing.T) {
	for _, code := range []websocket.StatusCode{1000, 1001, 1011, 1012, 1013} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const clients = 20
				app := newScript()
				f := newFleet(t, app, true)
				p := f.add(nil)
				f.add(nil)
				var all []*podClient
				var sockets []*websocket.Conn
				for range clients {
					v := f.connect(0, "/", &client.Options{Adopt: true})
					all, sockets = append(all, v), append(sockets, <-app.sockets)
					v.sayAcked("hello")
				}
				time.Sleep(time.Minute)
				done := p.drains(t)
				for i, v := range all {
					v.to.Store(1)
					go sockets[i].Close(code, "stopping")
					time.Sleep(50 * time.Millisecond)
				}
				for _, v := range all {
					v.event(client.EventAdopted, "drained")
					<-app.sockets
					v.sayAcked("again")
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The same over sockets of the kernel, and with a reset.
func TestTakenPlaceWhileDrainingOverLoopback(t *testing.T) {
	for _, code := range []websocket.StatusCode{1000, 1006} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			t.Parallel()
			app := newSingle(0, code)
			f := fleetOf(t, 2, app, func(c *proxy.Config) { c.AppRetry, c.Snapshots = retry, loginGuide(t) })
			for i := range 2 {
				f.logIn(0, user(i))
			}
			old := f.logIn(0, login)
			go f.pods[0].Drain(t.Context(), schedule)
			soon(t, "it drains", f.pods[0].Draining)
			old.to.Store(1)
			next := f.logIn(0, login)
			old.wantClosed(int(code))
			next.sayAcked("still here")
			next.hear("still here")
			if logins, kicked := app.counts(login); logins != 2 || kicked != 1 {
				t.Errorf("%d logins and %d kicked, want 2 and 1", logins, kicked)
			}
		})
	}
}
