package demo

import (
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
)

// Limits of what is remembered.
const (
	// maxSockets bounds the app sockets of a user whose messages are still told
	// apart: a minute's worth and more.
	maxSockets = 64

	// lastWords bounds, as a time at the demo's rate in seconds, what may go
	// down with an app that was killed. WSR_PERSIST_AFTER is far below it, so
	// that a slow machine is not blamed on the sidecar.
	lastWords = 2
)

// report takes a record of an app, and reports whether it was about a client
// of this tally.
func (t *tally) report(r ledger.Record) (ours bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for u := range users {
		b := &t.books[u]
		if r.Key != t.key(u) && !b.Has(r.Sock) {
			continue
		}
		t.takeLocked(u, r)
		return true
	}
	return false
}

// takeLocked enters a record into a user's book. The caller holds mu.
func (t *tally) takeLocked(u user, r ledger.Record) {
	b, s := &t.books[u], t.socketOfLocked(u, r.Sock)
	switch r.Kind {
	case ledger.Opened:
		b.Forget(maxSockets, t.rulesLocked(u))
	case ledger.Read:
		if t.visitor != "" {
			b.Accept(r.N) // numbers are given out in a browser
		}
		t.last = time.Now()
	}
	first := !s.HasRead()
	missing := b.Take(r)
	if missing > 0 && t.visitor == "" && (u == plain || !first) { // an app before it may not have told all yet
		t.noteLocked("%s: %s missing on the way from it", u, plural(missing, "message"))
	}
}

// socketOfLocked returns the account of a socket. The caller holds mu.
func (t *tally) socketOfLocked(u user, id uint32) *ledger.Socket {
	s := t.books[u].Socket(id)
	s.Killed = s.Killed || t.killed[lab.AppOf(id)]
	return s
}

// kills notes, before it happens, that an app is killed.
func (t *tally) kills(app int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.killed[app] = true
	for u := range users {
		for _, s := range t.books[u].Sockets() {
			s.Killed = s.Killed || lab.AppOf(s.ID) == app
		}
	}
}

// newestLocked returns the open socket that the app would write to, or nil. The
// caller holds mu.
func (t *tally) newestLocked(u user) *ledger.Socket {
	for _, s := range slices.Backward(t.books[u].Sockets()) {
		if !s.Closed && !s.Killed {
			return s
		}
	}
	return nil
}

// socket returns the socket that a message for a user goes to. When there is
// none the message is counted as not sent.
func (t *tally) socket(u user) (sock uint32, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, b := t.newestLocked(u), &t.books[u]
	if s == nil {
		if t.visitor == "" || b.Known() > 0 { // a browser takes its time to begin
			b.Unsent++
		}
		return 0, false
	}
	return s.ID, true
}

// holder is the app that has a user's newest socket, 0 if none has.
func (t *tally) holder(u user) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.newestLocked(u); s != nil {
		return lab.AppOf(s.ID)
	}
	return 0
}

// settle says that nothing is broken any more from now on.
func (t *tally) settle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snap.settling = true
}

// fresh returns a function that reports whether something that was sent after
// now has arrived, from and to every user. What was sent before, and is not
// under way over a connection that is still to die, has arrived as well.
func (t *tally) fresh() func() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	var marks [users]ledger.Mark
	for u := range users {
		marks[u] = t.books[u].Mark()
	}
	return func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.books[plain].Passed(marks[plain]) && t.books[resilient].Passed(marks[resilient])
	}
}

// quiet reports whether everything has arrived, save what will never: nothing
// has come for a while although the resilient client waits for nothing.
func (t *tally) quiet() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := &t.books[resilient]
	v := t.rulesLocked(resilient)
	v.Final = true
	out, in := b.Counts(v)
	complete := out.Clean() && in.Clean() && b.Reached() == b.Sent()
	return complete && time.Since(t.last) > quietTime
}

// finish says that nothing is under way any more.
func (t *tally) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finished = true
}
