package endtoend

import (
	"context"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// again is the offer of a client's further attempt to resume.
func again(token string, attempt uint32) wire.Offer {
	return wire.Offer{Resilient: true, Adopt: true, Resume: &wire.Resume{Token: token, Attempt: attempt}}
}

// A client's abandoned attempt that comes after its newer one is late, whichever
// way it takes: to the owner, by another pod, or to the one that adopted the
// session.
func TestLateAttempts(t *testing.T) {
	t.Parallel()
	app := newScript()
	f := fleetOf(t, 3, app, nil)
	first := f.pods[0].open(t, nil)
	late := func(owner *pod, attempt uint32, at ...*pod) {
		t.Helper()
		superseded := owner.watch.count("detached superseded")
		for _, p := range at {
			c, err := p.contend(t.Context(), nil, again(first.token, attempt))
			if err != nil {
				t.Fatal(err)
			}
			if c.conn.Close(); c.status != "reset try_again" {
				t.Errorf("a late attempt: %s, want reset try_again", c.status)
			}
		}
		if st, n := owner.Stats(), owner.watch.count("detached superseded"); st.Attached != 1 || n != superseded {
			t.Errorf("%d sessions are attached, %d were superseded", st.Attached, n-superseded)
		}
	}
	second, err := f.pods[1].contend(t.Context(), nil, again(first.token, 2))
	if err != nil || second.status != "resumed" {
		t.Fatal(second, err)
	}
	late(f.pods[0], 1, f.pods...)
	late(f.pods[0], 2, f.pods...)

	if err := f.pods[0].link.Down(true); err != nil {
		t.Fatal(err)
	}
	fourth, err := f.pods[1].contend(t.Context(), nil, again(first.token, 4))
	if err != nil || fourth.status != "adopted" {
		t.Fatal(fourth, err)
	}
	late(f.pods[1], 3, f.pods[1:]...)
	fifth, err := f.pods[2].contend(t.Context(), nil, again(first.token, 5))
	if err != nil || fifth.status != "adopted" { // it was not told yet
		t.Fatal(fifth, err)
	}
	if n := len(app.sockets); n != 2 {
		t.Errorf("%d app sockets, want 2", n)
	}
	for _, c := range []*contender{first, second, fourth, fifth} {
		c.conn.Close()
	}
}

// A sidecar is stopped while a client tries twice, so that both attempts lie in
// its sockets. Whichever it reads first, the newer one stays.
func TestAttemptsOfStoppedSidecar(t *testing.T) {
	t.Parallel()
	app := newScript()
	backend := httptest.NewServer(app)
	defer backend.Close()
	p := newProcess(t, backend.URL, t.TempDir())
	at := &pod{dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", p.Addr)
	}}
	for range 8 {
		first := at.open(t, nil)
		socket := <-app.sockets
		if err := p.Pause(); err != nil {
			t.Fatal(err)
		}
		type outcome struct {
			c   *contender
			err error
		}
		try := func(attempt uint32) <-chan outcome {
			done := make(chan outcome, 1)
			go func() {
				c, err := at.contend(t.Context(), nil, again(first.token, attempt))
				done <- outcome{c, err}
			}()
			time.Sleep(20 * time.Millisecond) // it is in the socket
			return done
		}
		newer := try(2)
		older := try(1)
		if err := p.Resume(); err != nil {
			t.Fatal(err)
		}
		n, o := <-newer, <-older
		if n.err != nil || o.err != nil {
			t.Fatal(n.err, o.err)
		}
		say(t, socket, "last")
		if n.c.listen("last"); n.c.status != "resumed" || n.c.end != nil {
			t.Errorf("the newer attempt: %s, then %v; the older: %s", n.c.status, n.c.end, o.c.status)
		}
		n.c.conn.Close()
		o.c.conn.Close()
	}
}
