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
	a.mu.Unlock()
	if !ok {
		http.Error(w, "no such ticket", a.status)
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
