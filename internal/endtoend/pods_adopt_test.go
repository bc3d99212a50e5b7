package endtoend

import (
	"bytes"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/snapshot"
)

// The values of WSR_ADOPT.
var adoptions = map[string]func(asked, covered bool) bool{
	"never":  func(bool, bool) bool { return false },
	"auto":   func(asked, covered bool) bool { return asked || covered },
	"always": func(bool, bool) bool { return true },
}

const login = `{"type":"login","user":"a"}`

// loginGuide knows that a fresh app socket on /covered must hear the login.
func loginGuide(t *testing.T) *snapshot.Policy {
	t.Helper()
	g, err := snapshot.New([]byte(`{"rules":[{"path":"/covered","select":{"pointer":"/type","equals":"login"}}]}`), "", time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Who may go on with a fresh app socket, and what the others get: their last
// messages, and then 1012. No app socket is opened for them.
func TestAdoptionIsAllowed(t *testing.T) {
	for _, tc := range []struct {
		name, adopt, path string
		aware             bool
		heard             string // by the app; empty: it is not dialled again
	}{
		{"never, aware", "never", "/", true, ""},
		{"never, covered", "never", "/covered", false, ""},
		{"auto, unaware", "auto", "/", false, ""},
		{"auto, aware", "auto", "/", true, "1:" + login + " 2:later 2:again"},
		{"auto, covered", "auto", "/covered", false, "1:" + login + " 2:" + login + " 2:later 2:again"},
		{"always, unaware", "always", "/", false, "1:" + login + " 2:later 2:again"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := newScript()
				f := newFleet(t, app, true)
				change := func(c *proxy.Config) { c.Adopt, c.Snapshots = adoptions[tc.adopt], loginGuide(t) }
				f.add(change)
				f.add(change)
				v := f.connect(0, tc.path, &client.Options{Adopt: tc.aware})
				socket := <-app.sockets
				v.sayAcked(login)
				v.move(-1)
				synctest.Wait()
				say(t, socket, "one")
				say(t, socket, "two")
				synctest.Wait() // the journal has it
				v.say("later")
				v.to.Store(1)
				v.event(client.EventAdopted, "owner_lost")
				v.hear("one", "two")
				if tc.heard == "" {
					v.wantClosed(1012)
					synctest.Wait()
					if n := f.pods[1].watch.count("dialled ok"); n != 0 || len(app.sockets) != 0 {
						t.Errorf("the app was dialled %d times", n)
					}
					if n := f.pods[1].watch.count("ended resilient closed"); n != 1 {
						t.Errorf("the session did not come to its end")
					}
					return
				}
				say(t, <-app.sockets, "three")
				v.hear("three")
				v.sayAcked("again")
				if got := app.all(); got != tc.heard {
					t.Errorf("the app heard %q, want %q", got, tc.heard)
				}
			})
		})
	}
}

// An unaware client does not come back for its last words at once: they wait
// for it at the new owner, and so does the 1012.
func TestLastWordsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newScript()
		f := newFleet(t, app, true)
		f.add(nil)
		f.add(nil)
		v := f.connect(0, "/", nil)
		socket := <-app.sockets
		v.move(-1)
		synctest.Wait()
		say(t, socket, "one")
		synctest.Wait()
		v.to.Store(1)
		v.event(client.EventAdopted, "owner_lost")
		v.cut() // before anything was read
		v.hear("one")
		v.wantClosed(1012)
	})
}

// headOnly is a connection that breaks behind the handshake's answer.
type headOnly struct{ net.Conn }

func (h headOnly) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if at := bytes.Index(b[:n], []byte("\r\n\r\n")); at >= 0 {
		h.Conn.Close()
		return at + 4, err
	}
	return n, err
}

// The WELCOME that tells of the adoption is lost with its connection. The
// next one tells of it, since the client does not know yet.
func TestAdoptedWelcomeIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newScript()
		f := newFleet(t, app, true)
		f.add(nil)
		p := f.add(nil)
		v := f.connect(0, "/", &client.Options{Adopt: true})
		<-app.sockets
		v.sayAcked("hello")
		v.move(-1)
		synctest.Wait()
		v.mu.Lock()
		v.wrap = func(c net.Conn) net.Conn { return headOnly{c} }
		v.mu.Unlock()
		v.to.Store(1)
		v.event(client.EventAdopted, "owner_lost")
		v.sayAcked("again")
		if dialled, resumed := p.watch.count("dialled ok"), p.watch.count("resumed"); dialled != 1 || resumed != 1 {
			t.Errorf("%d adoptions and %d resumes, want one each: the first WELCOME was not lost", dialled, resumed)
		}
		if got, want := app.all(), "1:hello 2:again"; got != want {
			t.Errorf("the app heard %q, want %q", got, want)
		}
		v.cut()
		v.event(client.EventResumed, "")
	})
}
