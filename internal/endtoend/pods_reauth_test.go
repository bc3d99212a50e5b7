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

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
)

// loginApp is an app with logins that end. It answers questions about a client
// after a while.
type loginApp struct {
	*script
	takes time.Duration

	mu     sync.Mutex
	login  string // that is valid
	status int    // of the answer to any question; 0: as the login says
	asked  int
}

func (a *loginApp) set(login string, status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.login, a.status = login, status
}

func (a *loginApp) questions() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

func (a *loginApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/may" {
		a.script.ServeHTTP(w, r)
		return
	}
	time.Sleep(a.takes)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	switch {
	case a.status != 0:
		w.WriteHeader(a.status)
	case r.Header.Get("Authorization") != a.login:
		w.WriteHeader(http.StatusUnauthorized)
	}
}

const reauthEvery = time.Minute

// stageReauth is a client with a login that is valid, on the first of two pods.
func stageReauth(t *testing.T, takes time.Duration) (*loginApp, *fleet, *podClient, func(login string)) {
	t.Helper()
	app := &loginApp{script: newScript(), takes: takes, login: "first"}
	f := newFleet(t, app, true)
	for range 2 {
		f.add(func(c *proxy.Config) { c.ResumeAuth, c.ReauthEvery, c.SessionTTL = "/may", reauthEvery, time.Hour })
	}
	var mu sync.Mutex
	login := "first"
	v := f.connect(0, "/", &client.Options{Adopt: true, Header: func(context.Context) (http.Header, error) {
		mu.Lock()
		defer mu.Unlock()
		return http.Header{"Authorization": {login}}, nil
	}})
	v.sayAcked("hello")
	return app, f, v, func(l string) {
		mu.Lock()
		defer mu.Unlock()
		login = l
	}
}

// While the login is valid the app is asked again and again, and nobody notices.
// One that is renewed in time is used, and one that has ended is asked for anew.
func TestClientIsAskedAboutAgain(t *testing.T) {
	for _, takes := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond} {
		t.Run(fmt.Sprint(takes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app, f, v, logIn := stageReauth(t, takes)
				socket := <-app.sockets
				time.Sleep(10 * reauthEvery)
				if n := app.questions(); n < 10 || n > 40 {
					t.Errorf("the app was asked %d times in 10 intervals", n)
				}
				if log := v.eventLog(); log != "" {
					t.Errorf("the client was told %q", log)
				}
				app.set("second", 0)
				logIn("second")
				time.Sleep(reauthEvery + time.Second)
				v.event(client.EventResumed, "")
				say(t, socket, "two")
				v.hear("two")
				v.sayAcked("again")
				time.Sleep(3 * reauthEvery)
				if log := v.eventLog(); log != "" {
					t.Errorf("then the client was told %q", log)
				}
				if st := f.pods[0].Stats(); st.Attached != 1 {
					t.Errorf("%d sessions are attached", st.Attached)
				}
			})
		})
	}
}

// An app that cannot tell ends no session, however long that lasts.
func TestAppCannotTellAboutClient(t *testing.T) {
	for _, status := range []int{500, 503, 429} {
		synctest.Test(t, func(t *testing.T) {
			app, _, v, _ := stageReauth(t, 0)
			app.set("", status)
			time.Sleep(time.Hour)
			if log := v.eventLog(); log != "" || app.questions() < 100 {
				t.Errorf("%d: the client was told %q after %d questions", status, log, app.questions())
			}
			v.sayAcked("still here")
		})
	}
}

// The app refuses the new handshake too: the session ends, and the client is told
// with which status.
func TestClientIsRefusedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, f, v, logIn := stageReauth(t, 50*time.Millisecond)
		app.set("", 403)
		logIn("second")
		_, _, err := v.Read(t.Context())
		if lost, ok := errors.AsType[*client.SessionLostError](err); !ok || lost.Reason != client.LostUnauthorized || lost.Status != 403 {
			t.Errorf("read: %v", err)
		}
		time.Sleep(time.Second)
		if st := f.pods[0].Stats(); st.Attached+st.Detached != 0 {
			t.Errorf("%d sessions are left", st.Attached+st.Detached)
		}
	})
}

// A client that stays though it was asked to come again is disconnected after a
// while, and one that is away is asked about when it comes.
func TestClientThatDoesNotRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, f, v, _ := stageReauth(t, 0)
		v.to.Store(-1) // it cannot come
		app.set("second", 0)
		time.Sleep(reauthEvery + 35*time.Second)
		if st := f.pods[0].Stats(); st.Attached != 0 || st.Detached != 1 {
			t.Fatalf("%d attached, %d detached", st.Attached, st.Detached)
		}
		if n := f.pods[0].watch.count("detached unauthorised"); n != 1 {
			t.Errorf("%d disconnections", n)
		}
		app.set("first", 0)
		asked := app.questions()
		time.Sleep(2 * reauthEvery)
		if n := app.questions(); n != asked {
			t.Errorf("the app was asked %d times about a client that is away", n-asked)
		}
		v.to.Store(0)
		v.event(client.EventResumed, "")
		v.sayAcked("again")
	})
}

// A session that has moved is asked about where it is, with the handshake that
// it came with.
func TestMovedSessionIsAskedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, f, v, logIn := stageReauth(t, 0)
		v.move(-1)
		if err := <-f.pods[0].drains(t); err != nil {
			t.Fatal(err)
		}
		logIn("second")
		app.set("second", 0)
		v.to.Store(1)
		v.event(client.EventAdopted, "drained")
		asked := app.questions()
		time.Sleep(5 * reauthEvery)
		if n := app.questions() - asked; n < 5 {
			t.Errorf("the app was asked %d times in five intervals", n)
		}
		if log := v.eventLog(); log != "" {
			t.Errorf("the client was told %q", log)
		}
		v.sayAcked("again")
	})
}
