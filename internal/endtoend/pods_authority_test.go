package endtoend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/drain"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
	"github.com/wsresilience/wsresilience/wire"
)

// attempt resumes with a token and returns how that ended. The client has
// received nothing and waits for WELCOME.
func (p *pod) attempt(t *testing.T, token string, header http.Header) *contender {
	t.Helper()
	c, err := p.contend(t.Context(), header, wire.Offer{Resilient: true, Adopt: true, Resume: &wire.Resume{Token: token}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

// open begins a session.
func (p *pod) open(t *testing.T, header http.Header) *contender {
	t.Helper()
	c, err := p.contend(t.Context(), header, wire.Offer{Resilient: true, Adopt: true})
	if err != nil || c.status != "new" {
		t.Fatal(c, err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

// losesOwner takes the owner of a session away whose client has left, and whose
// journal has a message.
func (f *fleet) losesOwner(owner *pod, client *contender, app *websocket.Conn) {
	f.t.Helper()
	id := owner.session(f.t).ID
	client.conn.Close()
	soon(f.t, "the owner notices", func() bool { return owner.Stats().Detached == 1 })
	say(f.t, app, "out-1")
	f.journaled(id, 1)
	if err := owner.link.Down(true); err != nil {
		f.t.Fatal(err)
	}
}

// undisturbed is what a session is that others have tried to resume in vain.
func (p *pod) undisturbed(t *testing.T) {
	t.Helper()
	if st, n := p.Stats(), p.watch.count("detached superseded"); st.Attached != 1 || n != 0 {
		t.Errorf("%d sessions are attached, %d were superseded", st.Attached, n)
	}
}

// A token is worth nothing without what it is bound to, on whatever pod.
func TestBoundTokens(t *testing.T) {
	t.Parallel()
	app := newScript()
	f := fleetOf(t, 2, app, func(c *proxy.Config) {
		c.Bind = []string{"authorization", "cookie:sid", "header:X-Tenant"}
	})
	right := http.Header{"Authorization": {"Bearer a"}, "Cookie": {"theme=dark; sid=1"}, "X-Tenant": {"one"}, "Origin": {"https://app"}}
	owner, other := f.pods[0], f.pods[1]
	victim := owner.open(t, right)
	<-app.sockets
	wrong := func(change func(http.Header)) http.Header {
		h := right.Clone()
		change(h)
		return h
	}
	thieves := []http.Header{
		wrong(func(h http.Header) { h.Set("Authorization", "Bearer b") }),
		wrong(func(h http.Header) { h.Del("Authorization") }),
		wrong(func(h http.Header) { h.Set("Cookie", "theme=dark; sid=2") }),
		wrong(func(h http.Header) { h.Set("X-Tenant", "two") }),
		wrong(func(h http.Header) { h.Set("Origin", "https://evil") }),
		{},
	}
	for i, h := range thieves {
		for _, p := range f.pods {
			if c := p.attempt(t, victim.token, h); c.status != "reset token" {
				t.Errorf("thief %d: %s, want reset token", i, c.status)
			}
		}
	}
	owner.undisturbed(t)
	if n := other.watch.count("forwarded served"); n != 0 {
		t.Errorf("%d thieves were passed on", n)
	}
	// The same client, with another theme and at the other pod.
	same := wrong(func(h http.Header) { h.Set("Cookie", "sid=1; theme=light") })
	back := other.attempt(t, victim.token, same)
	if back.status != "resumed" {
		t.Fatalf("the client itself: %s", back.status)
	}
	back.conn.Close()
	soon(t, "the owner notices", func() bool { return owner.Stats().Detached == 1 })
	if err := owner.link.Down(true); err != nil {
		t.Fatal(err)
	}
	for i, h := range thieves {
		if c := other.attempt(t, back.token, h); c.status != "reset token" {
			t.Errorf("thief %d at an adoption: %s, want reset token", i, c.status)
		}
	}
	if c := other.attempt(t, back.token, right); c.status != "adopted" {
		t.Errorf("the client itself at an adoption: %s", c.status)
	}
	soon(t, "one app socket is new", func() bool { return len(app.sockets) == 1 })
}

// authApp is an app that is asked before a resume.
type authApp struct {
	*script
	status atomic.Int32
	asked  atomic.Int32
}

func (g *authApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/may" {
		g.script.ServeHTTP(w, r)
		return
	}
	g.asked.Add(1)
	w.WriteHeader(int(g.status.Load()))
}

// The app says who may have his session back, wherever it is.
func TestAppDecidesResumes(t *testing.T) {
	t.Parallel()
	app := &authApp{script: newScript()}
	f := fleetOf(t, 2, app, func(c *proxy.Config) { c.ResumeAuth = "/may" })
	owner, other := f.pods[0], f.pods[1]
	victim := owner.open(t, nil)
	<-app.sockets
	refused := func(when string, pods ...*pod) {
		t.Helper()
		for status, want := range map[int32]string{403: "reset unauthorised", 302: "reset unauthorised", 500: "reset try_again"} {
			app.status.Store(status)
			for _, p := range pods {
				if c := p.attempt(t, victim.token, nil); c.status != want {
					t.Errorf("%s: the app said %d: %s, want %s", when, status, c.status, want)
				}
			}
		}
	}
	refused("the owner lives", owner, other)
	owner.undisturbed(t)
	app.status.Store(200)
	back := other.attempt(t, victim.token, nil)
	if back.status != "resumed" {
		t.Fatalf("the app said 200: %s", back.status)
	}
	back.conn.Close()
	soon(t, "the owner notices", func() bool { return owner.Stats().Detached == 1 })
	if err := owner.link.Down(true); err != nil {
		t.Fatal(err)
	}
	refused("the owner is gone", other)
	if n := len(app.sockets); n != 0 {
		t.Errorf("%d app sockets were opened for who may not", n)
	}
	app.status.Store(204)
	if c := other.attempt(t, victim.token, nil); c.status != "adopted" {
		t.Errorf("the app said 204: %s", c.status)
	}
}

// The real client of a user who has logged out.
func TestLoggedOutClient(t *testing.T) {
	t.Parallel()
	app := &authApp{script: newScript()}
	f := fleetOf(t, 1, app, func(c *proxy.Config) { c.ResumeAuth = "/may" })
	v := f.connect(0, "/", nil)
	app.status.Store(500)
	v.cut()
	soon(t, "the app is asked", func() bool { return app.asked.Load() >= 2 })
	if eventLog := v.eventLog(); eventLog != "" {
		t.Errorf("while the app cannot tell, the client was told %q", eventLog)
	}
	app.status.Store(200)
	v.event(client.EventResumed, "")
	app.status.Store(403)
	v.cut()
	v.event(client.EventReset, "unauthorised")
	_, _, err := v.Read(t.Context())
	if lost, ok := errors.AsType[*client.SessionLostError](err); !ok || lost.Reason != client.LostUnauthorized {
		t.Errorf("read: %v", err)
	}
}

// The keys rotate by rolling updates: first the new key is listed, then it
// seals, then the old one is dropped. A session lives through all of it.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	older, newer := keyring.Generate(), keyring.Generate()
	app := newScript()
	f := newFleet(t, app, false)
	memory := storetest.NewMemory(storetest.MemoryConfig{})
	pod := func(keys ...[]byte) {
		f.add(func(c *proxy.Config) {
			ring := newRing(t, keys...)
			c.Tokens, c.Proofs, c.Store = ring, ring, store.NewSealedStore(memory, ring)
		})
	}
	pod(older)
	pod(older, newer)
	pod(newer, older)
	pod(newer)
	v := f.connect(0, "/", &client.Options{Adopt: true})
	left := f.connect(0, "/", &client.Options{Adopt: true}) // stays away until its key is gone
	socket := <-app.sockets
	<-app.sockets
	left.move(-1)
	for i := range f.pods[1:] {
		v.sayAcked(fmt.Sprint("in-", i))
		say(t, socket, "got it") // an answer that is missing could be on its way
		v.hear("got it")
		// Both lists are there at a time: the tunnel goes either way.
		v.move(i + 1)
		v.event(client.EventResumed, "")
		v.move(-1)
		soon(t, "the pod notices", func() bool { return f.pods[i].Stats().Attached == 0 })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := f.pods[i].Drain(ctx, drain.Schedule{Move: 50 * time.Millisecond, Stragglers: 2 * time.Second}); err != nil {
			t.Fatal(err)
		}
		v.to.Store(int64(i + 1))
		v.event(client.EventAdopted, "drained")
		socket = <-app.sockets
		say(t, socket, fmt.Sprint("out-", i))
		v.hear(fmt.Sprint("out-", i))
	}
	v.sayAcked("end")
	soon(t, "the app has read it", func() bool { return strings.HasSuffix(app.all(), "end") })
	for i, want := range []string{"in-0", "in-1", "in-2", "end"} {
		if n := strings.Count(app.all(), want); n != 1 {
			t.Errorf("%d: the app heard %s %d times", i, want, n)
		}
	}
	left.to.Store(3)
	left.event(client.EventReset, "token")
}

// A token that its client has replaced is worth nothing, and somebody should
// look: it is counted and logged once, and not itself in the log.
func TestTokenUsedTwice(t *testing.T) {
	t.Parallel()
	app := newScript()
	f := fleetOf(t, 2, app, nil)
	owner, other := f.pods[0], f.pods[1]
	first := owner.open(t, nil)
	socket := <-app.sockets
	second := owner.attempt(t, first.token, nil)
	if second.status != "resumed" {
		t.Fatal(second.status)
	}
	if err := second.conn.WriteMessage(2, wire.AppendAck(nil, 0)); err != nil { // it has the new one
		t.Fatal(err)
	}
	soon(t, "the acknowledgement arrives", func() bool { return owner.Stats().Traffic.AcksHeard > 0 })
	reused := func(p *pod) {
		t.Helper()
		if c := p.attempt(t, first.token, nil); c.status != "reset token" {
			t.Errorf("the old token: %s", c.status)
		}
		if n, lines := p.watch.count("token reused"), p.log.with("used up"); n != 1 || len(lines) != 1 || !strings.Contains(lines[0], "audit=true") {
			t.Errorf("it was counted %d times and logged as %q", n, lines)
		}
	}
	reused(owner)
	if n := owner.watch.count("detached superseded"); n != 1 || owner.Stats().Attached != 1 {
		t.Error("the session was disturbed")
	}
	f.losesOwner(owner, second, socket)
	reused(other)
	third := other.attempt(t, second.token, nil)
	if third.status != "adopted" {
		t.Errorf("the newer token: %s", third.status)
	}
	for _, p := range f.pods {
		for _, token := range []string{first.token, second.token, third.token} {
			if strings.Contains(p.log.String(), token) {
				t.Error("the log holds a token (I9)")
			}
		}
	}
}
