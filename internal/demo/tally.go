package demo

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// tally gathers what the apps, the clients, the pods and the network tell. It
// is safe for concurrent use.
type tally struct {
	// Immutable.
	options options
	started time.Time
	visitor string // whose clients it is about; "" is the terminal

	// Guarded by mu.
	mu       sync.Mutex
	snap     standing
	books    [users]book
	noted    int          // notes, ever
	killed   map[int]bool // apps
	finished bool
	last     time.Time // when any message came
}

func newTally(o options) *tally {
	return &tally{options: o, started: time.Now(), snap: standing{options: o}, killed: map[int]bool{}}
}

// rules are those by which a user's book is judged. The caller holds mu.
func (t *tally) rules(u user) verdictRules {
	return verdictRules{promised: u == resilient, lastWords: uint64(lastWords * t.options.rate), finished: t.finished}
}

// pace calls beat at the demo's rate until ctx ends. One that takes longer
// holds up the next ones, as it would in any program.
func (t *tally) pace(ctx context.Context, beat func()) {
	ticker := time.NewTicker(time.Second / time.Duration(t.options.rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			beat()
		}
	}
}

// produce hands a user's numbered messages to send until ctx ends.
func (t *tally) produce(ctx context.Context, u user, send func(p []byte)) {
	t.pace(ctx, func() {
		t.mu.Lock()
		n := t.books[u].in.next()
		t.mu.Unlock()
		send(strconv.AppendUint(nil, n, 10))
	})
}

// hear counts a message that came to a client: the name of the app's socket,
// and a number. Anything else was never sent.
func (t *tally) hear(u user, p []byte) {
	sock, number, _ := strings.Cut(string(p), " ")
	n, err1 := strconv.ParseUint(number, 10, 64)
	app, err2 := appOf(sock)
	t.mu.Lock()
	defer t.mu.Unlock()
	b, a := &t.books[u], &t.snap.accounts[u]
	if err1 != nil || err2 != nil || n == 0 {
		b.past.duplicated++
		return
	}
	l := b.life(sock, app, t.killed[app])
	if missing := b.hear(l, n); missing > 0 {
		t.note("%s: %s missing on the way to it", u, plural(missing, "message"))
	}
	t.last = time.Now()
	if !a.heard.IsZero() {
		a.wait = max(a.wait, t.last.Sub(a.heard))
	}
	a.heard = t.last
}

// read counts a message that came to an app.
func (t *tally) read(u user, l *life, n uint64) {
	b := &t.books[u]
	if t.visitor != "" {
		b.in.sent = max(b.in.sent, n) // numbers are given out in a browser
	}
	first := l.first == 0
	missing := b.read(l, n)
	if missing > 0 && t.visitor == "" && (u == plain || !first) { // an app before it may not have told all yet
		t.note("%s: %s missing on the way from it", u, plural(missing, "message"))
	}
	t.last = time.Now()
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
		t.note("%s: connected again after %s", u, t.away(u))
	} else {
		t.note("%s: resumed after %s, %s caught up", u, t.away(u), plural(t.pending(u), "message"))
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
		after = " after " + t.away(resilient).String()
	}
	t.note("%s: adopted (%s)%s", resilient, reason, after)
	a.connected = true
	a.adoptions++
}

// away is how long a user has been without messages. The caller holds mu.
func (t *tally) away(u user) time.Duration {
	return time.Since(t.snap.accounts[u].broken).Round(time.Millisecond)
}

// pending is what a user has to catch up with. The caller holds mu.
func (t *tally) pending(u user) uint64 {
	c := t.books[u].counts(t.rules(u))[toClient]
	return c.sent - min(c.sent, t.snap.accounts[u].held+c.gone)
}

func (t *tally) disconnected(u user) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.snap.accounts[u]
	c := t.books[u].counts(t.rules(u))[toClient]
	a.connected, a.held, a.broken = false, c.received, a.heard
}

// fault notes that something was broken, and counts it.
func (t *tally) fault(kind faultKind, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snap.count(kind)
	t.note(format, args...)
	t.snap.notes[len(t.snap.notes)-1].kind = kind
}

// say notes anything else.
func (t *tally) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note(format, args...)
}

// note adds a line to the story. The caller holds mu.
func (t *tally) note(format string, args ...any) {
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
		t.note("%s: tunnels to the owner of a session", v.name)
	}
	t.snap.pods[slot] = v
}

// hasKeys tells whether somebody can press some.
func (t *tally) hasKeys(yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snap.keys = yes
}

// hasPage tells where a browser finds the demo.
func (t *tally) hasPage(url string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snap.page = url
}

// isWatched tells whether a browser shows the demo.
func (t *tally) isWatched(yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snap.watched = yes
}

// standing returns a copy that stays as it is.
func (t *tally) standing() standing {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.snap
	s.elapsed = time.Since(t.started)
	s.notes = slices.Clone(s.notes)
	for u := range users {
		s.accounts[u].counts = t.books[u].counts(t.rules(u))
	}
	return s
}
