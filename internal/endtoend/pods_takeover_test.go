package endtoend

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/proxy"
)

// singleLoginApp is an app that allows one connection per user: a new login takes
// the place of the one before, whose socket it ends.
type singleLoginApp struct {
	takes time.Duration // from a login until the app acts on it
	code  websocket.StatusCode

	mu     sync.Mutex
	socket map[string]*websocket.Conn // by user
	logins map[string]int
	kicked map[string]int
}

func newSingle(takes time.Duration, code websocket.StatusCode) *singleLoginApp {
	return &singleLoginApp{takes: takes, code: code, socket: map[string]*websocket.Conn{}, logins: map[string]int{}, kicked: map[string]int{}}
}

func (a *singleLoginApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	_, p, err := c.Read(context.Background())
	if err != nil {
		return
	}
	time.Sleep(a.takes)
	user := string(p)
	a.mu.Lock()
	old := a.socket[user]
	a.socket[user] = c
	a.logins[user]++
	if old != nil {
		a.kicked[user]++
	}
	a.mu.Unlock()
	if old != nil && a.code == websocket.StatusAbnormalClosure {
		old.CloseNow()
	} else if old != nil {
		go old.Close(a.code, "another has come")
	}
	if c.Write(context.Background(), websocket.MessageText, []byte("hello")) != nil {
		return
	}
	for {
		_, p, err := c.Read(context.Background())
		if err != nil {
			break
		}
		if c.Write(context.Background(), websocket.MessageText, p) != nil {
			break
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.socket[user] == c {
		delete(a.socket, user)
	}
}

func (a *singleLoginApp) counts(user string) (logins, kicked int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.logins[user], a.kicked[user]
}

func user(i int) string { return fmt.Sprintf(`{"type":"login","user":"%d"}`, i) }

// logIn is a client program that has logged in.
func (f *fleet) logIn(at int, user string) *podClient {
	f.t.Helper()
	v := f.connect(at, "/covered", nil)
	v.sayAcked(user)
	v.hear("hello")
	return v
}

// A client's place at the app is taken by another one: the app ends the old
// socket, and the sidecar does not dial it again, whether the old client is
// gone (a ghost), or still there (a tab, a device), so that the new one stays.
// Neither the other clients nor the time that the app takes matter.
func TestTakenPlaceStaysTaken(t *testing.T) {
	for _, takes := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond} {
		for _, code := range []websocket.StatusCode{1006, 1000, 4000} {
			for _, there := range []bool{false, true} {
				for _, others := range []int{0, 5} {
					name := fmt.Sprintf("%v/%d/there=%v/others=%d", takes, code, there, others)
					t.Run(name, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { takePlace(t, takes, code, there, others) })
					})
				}
			}
		}
	}
}

// loginsTwice logs a user in, who stays or leaves, and then again, and waits until
// nothing more is to be expected.
func loginsTwice(t *testing.T, app *singleLoginApp, there bool, others int) (p *pod, old, next *podClient) {
	t.Helper()
	f := newFleet(t, app, true)
	p = f.add(func(c *proxy.Config) { c.AppRetry, c.Snapshots = retry, loginGuide(t) })
	for i := range others {
		f.logIn(0, user(i))
	}
	old = f.logIn(0, login)
	if !there {
		old.move(-1)
		time.Sleep(time.Second)
	}
	next = f.logIn(0, login)
	time.Sleep(retry + 20*time.Second)
	return p, old, next
}

func takePlace(t *testing.T, takes time.Duration, code websocket.StatusCode, there bool, others int) {
	app := newSingle(takes, code)
	p, old, next := loginsTwice(t, app, there, others)
	if logins, kicked := app.counts(login); logins != 2 || kicked != 1 {
		t.Errorf("%d logins and %d kicked, want 2 and 1", logins, kicked)
	}
	next.sayAcked("still here")
	next.hear("still here")
	if eventLog := next.eventLog(); eventLog != "" {
		t.Errorf("the new client was told %q", eventLog)
	}
	// The old one is told, whenever it comes.
	old.to.Store(0)
	old.wantClosed(int(code))
	if n := p.watch.count("app restarted ok"); n != 0 {
		t.Errorf("%d restarts, want none", n)
	}
}

// The app ends the old socket with a code that says a restart. That is believed
// once: the two do not take the place from each other for ever, and a client that
// is away takes it from nobody.
func TestTakenPlaceIsCalledRestart(t *testing.T) {
	for _, code := range []websocket.StatusCode{1001, 1012} {
		for _, there := range []bool{false, true} {
			for _, others := range []int{0, 5} {
				t.Run(fmt.Sprintf("%d/there=%v/others=%d", code, there, others), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						app := newSingle(0, code)
						_, _, next := loginsTwice(t, app, there, others)
						want := 2
						if there {
							want = 4 // each is dialled again, once
						}
						if logins, _ := app.counts(login); logins != want {
							t.Errorf("%d logins, want %d", logins, want)
						}
						if there {
							next.hear("hello") // of the second login
						}
						next.sayAcked("still here")
						next.hear("still here")
					})
				})
			}
		}
	}
}

// A whole client program dies, and its successor logs in with all its
// identities.
func TestTakenPlacesOfMany(t *testing.T) {
	for _, takes := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			app := newSingle(takes, 1006)
			f := newFleet(t, app, true)
			f.add(func(c *proxy.Config) { c.AppRetry, c.Snapshots = retry, loginGuide(t) })
			const users = 20
			for i := range users {
				f.logIn(0, user(i)).move(-1)
			}
			time.Sleep(time.Second)
			var work sync.WaitGroup
			for i := range users {
				work.Go(func() { f.logIn(0, user(i)) })
			}
			work.Wait()
			time.Sleep(retry + 20*time.Second)
			for i := range users {
				if logins, kicked := app.counts(user(i)); logins != 2 || kicked != 1 {
					t.Errorf("%v: user %d: %d logins and %d kicked, want 2 and 1", takes, i, logins, kicked)
				}
			}
		})
	}
}

// The successor is on another pod, and the old client's socket is the only one
// of its pod: nothing says that the app did not restart. A client that is away
// is waited for, and one that is there costs the other one dial and no more.
func TestTakenPlaceOnAnotherPod(t *testing.T) {
	for _, there := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			app := newSingle(0, 1006)
			f := newFleet(t, app, true)
			change := func(c *proxy.Config) { c.AppRetry, c.Snapshots = retry, loginGuide(t) }
			f.add(change)
			f.add(change)
			old := f.logIn(0, login)
			if !there {
				old.move(-1)
				time.Sleep(time.Second)
			}
			f.logIn(1, login)
			time.Sleep(2 * time.Minute / 3)
			want := 2
			if there {
				want = 4 // each is dialled again, once
			}
			if logins, _ := app.counts(login); logins != want {
				t.Errorf("there=%v: %d logins, want %d", there, logins, want)
			}
		})
	}
}
