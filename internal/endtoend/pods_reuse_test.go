package endtoend

import (
	"github.com/wsresilience/wsresilience/proxy"
	"testing"

	"github.com/wsresilience/wsresilience/wire"
)

// numbered is an attempt that says its number.
func (p *pod) numbered(t *testing.T, token string, n uint32) *contender {
	t.Helper()
	c, err := p.contend(t.Context(), nil, wire.Offer{Resilient: true, Adopt: true, Resume: &wire.Resume{Token: token, Attempt: n}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

// confirm shows that c has read its WELCOME.
func (p *pod) confirm(t *testing.T, c *contender) {
	t.Helper()
	before := p.Stats().Traffic.AcksHeard
	if err := c.conn.WriteMessage(2, wire.AppendAck(nil, 0)); err != nil {
		t.Fatal(err)
	}
	soon(t, "the acknowledgement arrives", func() bool { return p.Stats().Traffic.AcksHeard > before })
}

// An attempt that lay in a socket, while a later one of the same client was
// welcomed, comes with a used-up token: no copy of it is suspected, neither by the
// owner nor, from the journal, by another sidecar. With a number that the client
// cannot have used by then, it is a copy.
func TestLateAttemptsAreNoCopies(t *testing.T) {
	t.Parallel()
	app := newScript()
	f := fleetOf(t, 2, app, nil)
	owner, other := f.pods[0], f.pods[1]
	first := owner.open(t, nil)
	socket := <-app.sockets
	second := owner.numbered(t, first.token, 3)
	if second.status != "resumed" {
		t.Fatal(second.status)
	}
	owner.confirm(t, second)
	check := func(p *pod) {
		t.Helper()
		for _, n := range []uint32{1, 2, 3} {
			if c := p.numbered(t, first.token, n); c.status != "reset token" {
				t.Errorf("attempt %d: %s", n, c.status)
			}
		}
		if n, lines := p.watch.count("token reused"), p.log.with("used up"); n != 0 || len(lines) != 0 {
			t.Errorf("suspected %d times: %q", n, lines)
		}
		if c := p.numbered(t, first.token, 4); c.status != "reset token" {
			t.Errorf("a copy: %s", c.status)
		}
		if n := p.watch.count("token reused"); n != 1 {
			t.Errorf("a copy was reported %d times", n)
		}
	}
	check(owner)
	if owner.Stats().Attached != 1 {
		t.Error("the session was disturbed")
	}
	f.losesOwner(owner, second, socket)
	check(other)
	if third := other.numbered(t, second.token, 5); third.status != "adopted" {
		t.Errorf("the newer token: %s", third.status)
	}
}

// With WSR_TOKEN_REUSE=end a copy of a used-up token ends the session, for both who
// have it, at its owner and in the journal. What may be a late attempt of the client
// itself does not: one with a number from before, or any of a client that does not
// number them.
func TestCopyEndsSession(t *testing.T) {
	t.Parallel()
	for name, journaled := range map[string]bool{"at its owner": false, "in the journal": true} {
		for numbers, n := range map[string]uint32{"numbered": 3, "not numbered": 0} {
			t.Run(name+", "+numbers, func(t *testing.T) {
				t.Parallel()
				app := newScript()
				f := fleetOf(t, 2, app, func(c *proxy.Config) { c.EndReused = true })
				owner, other := f.pods[0], f.pods[1]
				first := owner.open(t, nil)
				socket := <-app.sockets
				id := owner.session(t).ID
				second := owner.numbered(t, first.token, n)
				if second.status != "resumed" {
					t.Fatal(second.status)
				}
				owner.confirm(t, second)
				at := owner
				if journaled {
					second.conn.Close()
					soon(t, "the owner notices", func() bool { return owner.Stats().Detached == 1 })
					say(t, socket, "out-1")
					f.journaled(id, 1)
					if err := owner.link.Down(true); err != nil {
						t.Fatal(err)
					}
					at = other
				}
				for attempt := range n + 1 {
					if attempt == 0 && n > 0 {
						continue // a client that numbers them makes none without
					}
					if c := at.numbered(t, first.token, attempt); c.status != "reset token" {
						t.Errorf("attempt %d: %s", attempt, c.status)
					}
				}
				if n == 0 || n > 0 && !journaled {
					if at.watch.count("ended token_reused") != 0 || owner.Stats().Attached+owner.Stats().Detached != 1 {
						t.Error("a late attempt has ended the session")
					}
				}
				if n == 0 {
					return
				}
				if c := at.numbered(t, first.token, n+5); c.status != "reset token" {
					t.Errorf("the copy: %s", c.status)
				}
				for _, p := range f.pods {
					if journaled && p == owner {
						continue // nobody reaches it
					}
					if c := p.numbered(t, second.token, n+1); c.status != "reset unknown" {
						t.Errorf("the client comes again to %s: %s", p.addr, c.status)
					}
				}
			})
		}
	}
}
