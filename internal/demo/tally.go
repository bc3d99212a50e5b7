package demo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
)

// tally gathers what the apps, the clients, the pods and the network tell. It
// is safe for concurrent use.
type tally struct {
	// Immutable.
	options options
	started time.Time
	visitor string // whose clients it is about; "" is the terminal
	keys    uint32 // the users' in the apps' records begin here

	// Guarded by mu.
	mu       sync.Mutex
	snap     snapshot
	books    [users]ledger.Book
	noted    int          // notes, ever
	killed   map[int]bool // apps
	finished bool
	last     time.Time // when any message came
}

// terminalKeys is where the keys of the terminal's users begin. A visitor's
// are above.
const terminalKeys = 1

func newTally(o options) *tally {
	return &tally{options: o, started: time.Now(), keys: terminalKeys, snap: snapshot{options: o}, killed: map[int]bool{}}
}

// key is what a user's app sockets are known by.
func (t *tally) key(u user) uint32 { return t.keys + uint32(u) }

// rulesLocked are those by which a user's book is judged: the plain client was
// promised nothing. The caller holds mu.
func (t *tally) rulesLocked(u user) ledger.Rules {
	r := ledger.Rules{Final: t.finished, OnlyKilled: true}
	if u == resilient {
		r.LastWords = uint32(lastWords * t.options.rate)
	}
	return r
}

// countsLocked judges a user's book. What no app and no client can have sent counts
// as a duplicate. The caller holds mu.
func (t *tally) countsLocked(u user) [2]count {
	b := &t.books[u]
	out, in := b.Counts(t.rulesLocked(u))
	out.Doubled += b.Foreign
	return [2]count{toClient: {out, b.Unsent}, toApp: {in, 0}}
}

// produce hands a user's numbered messages to send until ctx ends.
func (t *tally) produce(ctx context.Context, u user, send func(p []byte)) {
	lab.Pace(ctx, t.options.rate, func() {
		t.mu.Lock()
		n := t.books[u].Next()
		t.books[u].Accept(n) // sending it is up to the client
		t.mu.Unlock()
		send(ledger.Tag{Stream: t.key(u), N: n}.Append(nil))
	})
}

// hear counts a message that came to a client. Anything but a tag was never
// sent.
func (t *tally) hear(u user, p []byte) {
	tag, ok := ledger.ParseTag(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	b, a := &t.books[u], &t.snap.accounts[u]
	if !ok {
		b.Foreign++
		return
	}
	t.socketOfLocked(u, tag.Stream)
	if missing := b.Heard(tag); missing > 0 {
		t.noteLocked("%s: %s missing on the way to it", u, plural(missing, "message"))
	}
	t.last = time.Now()
	if !a.heard.IsZero() {
		a.wait = max(a.wait, t.last.Sub(a.heard))
	}
	a.heard = t.last
}

// connected notes the first connection of a user, or a later one.
func (t *tally) connected(u user) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.snap.accounts[u]
	if a.heard.IsZero() {
		a.connected, a.heard = true, time.Now()
		return
	}
	if u == plain {
		t.noteLocked("%s: connected again after %s", u, t.awayLocked(u))
	} else {
		t.noteLocked("%s: resumed after %s, %s caught up", u, t.awayLocked(u), plural(t.pendingLocked(u), "message"))
	}
	a.connected = true
	a.comebacks++
}

// adopted notes that the app's socket behind the resilient client is a new
// one, which may happen under a living connection.
func (t *tally) adopted(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.snap.accounts[resilient]
	after := ", the connection held"
	if !a.connected {
		after = " after " + t.awayLocked(resilient).String()
	}
	t.noteLocked("%s: adopted (%s)%s", resilient, reason, after)
	a.connected = true
	a.adoptions++
}

// awayLocked is how long a user has been without messages. The caller holds mu.
func (t *tally) awayLocked(u user) time.Duration {
	return time.Since(t.snap.accounts[u].broken).Round(time.Millisecond)
}

// pendingLocked is what a user has to catch up with. The caller holds mu.
func (t *tally) pendingLocked(u user) int {
	c := t.countsLocked(u)[toClient]
	return max(0, c.Sent-t.snap.accounts[u].held-c.Tail)
}

func (t *tally) disconnected(u user) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.snap.accounts[u]
	a.connected, a.held, a.broken = false, t.countsLocked(u)[toClient].Got, a.heard
}

// fault notes that something was broken, and counts it.
func (t *tally) fault(kind faultKind, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snap.count(kind)
	t.noteLocked(format, args...)
	t.snap.notes[len(t.snap.notes)-1].kind = kind
}

// say notes anything else.
func (t *tally) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noteLocked(format, args...)
}

// noteLocked adds a line to the notes. The caller holds mu.
func (t *tally) noteLocked(format string, args ...any) {
	if len(t.snap.notes) == maxNotes {
		t.snap.notes = slices.Delete(t.snap.notes, 0, 1)
	}
	t.snap.notes = append(t.snap.notes, note{at: time.Since(t.started), text: fmt.Sprintf(format, args...)})
	t.noted++
}

// watch takes what is to be shown of a pod.
func (t *tally) watch(slot int, v podView) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := &t.snap.pods[slot]; old.name == v.name && v.tunnels > old.tunnels {
		t.noteLocked("%s: tunnels to the owner of a session", v.name)
	}
	t.snap.pods[slot] = v
}

// hasKeys notes whether the terminal has keys to press.
func (t *tally) hasKeys(yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snap.keys = yes
}

// hasPage notes where a browser finds the demo.
func (t *tally) hasPage(url string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snap.page = url
}

// isWatched notes whether a browser shows the demo.
func (t *tally) isWatched(yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snap.watched = yes
}

// snapshot returns a copy that stays as it is.
func (t *tally) snapshot() snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.snap
	s.elapsed = time.Since(t.started)
	s.notes = slices.Clone(s.notes)
	for u := range users {
		s.accounts[u].counts = t.countsLocked(u)
	}
	return s
}
