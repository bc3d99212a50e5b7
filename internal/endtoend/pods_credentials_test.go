package endtoend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
)

// ticketApp is an app that wants a ticket with each handshake and takes it once.
type ticketApp struct {
	*script
	status int // of a refusal

	mu    sync.Mutex
	valid map[string]bool
	given int
	empty bool // it gives out tickets that are not valid

	refusals []int // of the next handshakes, whatever their tickets
}

// give returns a new ticket.
func (a *ticketApp) give() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.given++
	ticket := fmt.Sprint("t", a.given)
	a.valid[ticket] = !a.empty
	return ticket
}

func (a *ticketApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ticket := r.Header.Get("Authorization")
	a.mu.Lock()
	ok := a.valid[ticket]
	delete(a.valid, ticket)
	status := a.status
	if len(a.refusals) > 0 {
		ok, status, a.refusals = false, a.refusals[0], a.refusals[1:]
	}
	a.mu.Unlock()
	if !ok {
		http.Error(w, "no such ticket", status)
		return
	}
	a.script.ServeHTTP(w, r)
}

// connectWithTicket is a client that asks for a new ticket for each dial.
func connectWithTicket(t *testing.T, status int, path string) (*ticketApp, *pod, *podClient, *websocket.Conn) {
	t.Helper()
	app := &ticketApp{script: newScript(), status: status, valid: map[string]bool{}}
	f := newFleet(t, app, true)
	p := f.add(func(c *proxy.Config) { c.AppRetry = retry })
	v := f.connect(0, path, &client.Options{Adopt: true, Header: func(context.Context) (http.Header, error) {
		return http.Header{"Authorization": {app.give()}}, nil
	}})
	socket := <-app.sockets
	v.sayAcked("hello")
	return app, p, v, socket
}

// The app restarts and does not accept the handshake that the session began
// with: the client is asked for a new one, on the connection that it has, and
// nothing is lost.
func TestAppWantsFreshCredentials(t *testing.T) {
	for status, path := range map[int]string{401: "/", 403: "/", 400: "/?ticket", 404: "/?ticket", 410: "/?ticket"} {
		synctest.Test(t, func(t *testing.T) {
			app, p, v, socket := connectWithTicket(t, status, path)
			say(t, socket, "one")
			v.hear("one")
			leave(t, socket, 1012)
			second := <-app.sockets
			say(t, second, "two")
			v.hear("two")
			v.event(client.EventResumed, "")
			v.event(client.EventAdopted, "app_restarted")
			v.sayAcked("again")
			if got, want := app.all(), "1:hello 2:again"; got != want {
				t.Errorf("the app heard %q, want %q", got, want)
			}
			synctest.Wait()
			if n := p.watch.count("app restarted ok"); n != 1 {
				t.Errorf("%d restarts, want one", n)
			}
			// And once more.
			leave(t, second, 1012)
			say(t, <-app.sockets, "three")
			v.hear("three")
		})
	}
}

// The client is away meanwhile, and what it comes back with is used.
func TestAppWantsFreshCredentialsOfClientThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, _, v, socket := connectWithTicket(t, 401, "/")
		v.move(-1)
		synctest.Wait()
		leave(t, socket, 1012)
		time.Sleep(30 * time.Second)
		v.to.Store(0)
		say(t, <-app.sockets, "two")
		v.hear("two")
		v.sayAcked("again")
	})
}

// The app refuses the new handshake too: the client is told, and with which
// status.
func TestAppRefusesFreshCredentials(t *testing.T) {
	for _, status := range []int{401, 403} {
		synctest.Test(t, func(t *testing.T) {
			app, _, v, socket := connectWithTicket(t, status, "/")
			app.mu.Lock()
			app.empty = true
			app.mu.Unlock()
			leave(t, socket, 1012)
			_, _, err := v.Read(t.Context())
			lost, ok := errors.AsType[*client.SessionLostError](err)
			if !ok || lost.Reason != client.LostUnauthorized || lost.Status != status {
				t.Errorf("read: %v, want a session that is lost with %d", err, status)
			}
		})
	}
}

// Without a ticket in the URL, 404 says that the app is not ready: it is tried
// again, with the handshake that there is.
func TestAppIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, p, v, socket := stageRestart(t, nil)
		app.status.Store(404)
		leave(t, socket, 1012)
		time.Sleep(3 * time.Second)
		app.status.Store(0)
		say(t, <-app.sockets, "two")
		v.hear("two")
		synctest.Wait()
		if v.dials != 1 || p.watch.count("dialled refused") == 0 {
			t.Errorf("the client dialled %d times, want once, and the app refused some", v.dials)
		}
	})
}

// adoptWithTicket is a session that another pod of three has to adopt, whose app
// answers the next handshakes with refusals. It returns the client, and what its
// adoption will be called.
func adoptWithTicket(t *testing.T, handed bool, path string, refusals ...int) (*ticketApp, *fleet, *podClient, string) {
	t.Helper()
	app := &ticketApp{script: newScript(), valid: map[string]bool{}}
	f := newFleet(t, app, true)
	f.add(nil)
	f.add(nil)
	f.add(nil)
	v := f.connect(0, path, &client.Options{Adopt: true, Header: func(context.Context) (http.Header, error) {
		return http.Header{"Authorization": {app.give()}}, nil
	}})
	socket := <-app.sockets
	v.sayAcked("hello")
	say(t, socket, "one")
	v.hear("one")
	reason := "owner_lost"
	v.move(-1)
	synctest.Wait()
	if handed {
		reason = "drained"
		if err := <-f.pods[0].drains(t); err != nil {
			t.Fatal(err)
		}
	}
	app.mu.Lock()
	app.refusals = refusals
	app.mu.Unlock()
	return app, f, v, reason
}

// The app refuses the handshake with which a session is adopted: the client comes
// again, with what it asks for anew, and the session is as it was, also for the
// next sidecar.
func TestAdopterWantsFreshCredentials(t *testing.T) {
	for _, tc := range []struct {
		path     string
		refusals []int
		moves    bool // the second attempt reaches another sidecar
	}{
		{"/", []int{401}, false},
		{"/", []int{403}, true},
		{"/?ticket", []int{400}, true},
		{"/?ticket", []int{404}, false},
		{"/?ticket", []int{410}, false},
		{"/", []int{503, 302, 404, 401}, false}, // the first three refuse no credentials
		{"/", []int{401, 503, 500}, true},       // and neither do these
	} {
		for _, handed := range []bool{true, false} {
			t.Run(fmt.Sprint(tc, handed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					app, f, v, reason := adoptWithTicket(t, handed, tc.path, tc.refusals...)
					v.to.Store(1)
					if tc.moves {
						soon(t, "the first refusal", func() bool { return f.pods[1].watch.count("dialled refused") > 0 })
						v.to.Store(2)
					}
					second := <-app.sockets
					v.event(client.EventAdopted, reason)
					v.sayAcked("again")
					say(t, second, "two")
					v.hear("two")
					if n := f.pods[1].watch.count("reset try_again") + f.pods[2].watch.count("reset try_again"); n != 1 {
						t.Errorf("the client was asked %d times for a new handshake, want once", n)
					}
				})
			})
		}
	}
}

// The app refuses the new handshake too, here or where the client comes next: it
// is told, and with which status.
func TestAdopterIsRefusedFreshCredentials(t *testing.T) {
	for _, tc := range []struct {
		path     string
		refusals []int
		moves    bool
	}{
		{"/", []int{401, 403}, false},
		{"/", []int{401, 403}, true},
		{"/", []int{401, 503, 403}, true}, // an app that is away meanwhile is neither
		{"/?ticket", []int{410, 404}, false},
	} {
		for _, handed := range []bool{true, false} {
			t.Run(fmt.Sprint(tc, handed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					app, f, v, _ := adoptWithTicket(t, handed, tc.path, tc.refusals...)
					v.to.Store(1)
					if tc.moves {
						soon(t, "the first refusal", func() bool { return f.pods[1].watch.count("dialled refused") > 0 })
						v.to.Store(2)
					}
					_, _, err := v.Read(t.Context())
					lost, ok := errors.AsType[*client.SessionLostError](err)
					want := tc.refusals[len(tc.refusals)-1]
					if !ok || lost.Reason != client.LostUnauthorized || lost.Status != want {
						t.Errorf("read: %v, want a session that is lost with %d", err, want)
					}
					if len(app.sockets) > 0 {
						t.Error("the app has a socket of it")
					}
				})
			})
		}
	}
}

// An app that has just started refuses everybody for a second: nobody is asked
// for a new handshake, and nobody's session ends.
func TestAppKnowsNobodyForAMoment(t *testing.T) {
	for _, status := range []int32{401, 403} {
		synctest.Test(t, func(t *testing.T) {
			app, p, v, socket := stageRestart(t, nil)
			app.status.Store(status)
			leave(t, socket, 1012)
			time.Sleep(900 * time.Millisecond)
			app.status.Store(0)
			say(t, <-app.sockets, "two")
			v.event(client.EventAdopted, "app_restarted")
			v.hear("two")
			v.sayAcked("again")
			if n := p.watch.count("dialled refused"); v.dials != 1 || n < 2 || n > 5 {
				t.Errorf("the client dialled %d times, want once, and the app refused %d", v.dials, n)
			}
		})
	}
}
