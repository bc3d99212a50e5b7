package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// tally gathers what the app, the clients and the network tell. It is safe
// for concurrent use.
type tally struct {
	// Immutable.
	options demoOptions
	started time.Time

	// Guarded by mu.
	mu   sync.Mutex
	snap standing
	last time.Time // when any message came
}

func newTally(o demoOptions) *tally {
	return &tally{options: o, started: time.Now(), snap: standing{options: o}}
}

// produce hands numbered messages to send at a steady rate until ctx ends. A
// send that takes longer holds up the next ones, as it would in any program.
func (t *tally) produce(ctx context.Context, u user, d direction, send func(p []byte)) {
	beat := time.NewTicker(time.Second / time.Duration(t.options.rate))
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		t.mu.Lock()
		n := t.snap.accounts[u].scores[d].next()
		t.mu.Unlock()
		send(strconv.AppendUint(nil, n, 10))
	}
}

// arrive counts a message that came. One that is no number was never sent.
func (t *tally) arrive(u user, d direction, p []byte) {
	n, err := strconv.ParseUint(string(p), 10, 64)
	if err != nil {
		n = 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.snap.accounts[u]
	if missing := a.scores[d].arrive(n); missing > 0 {
		t.note("%s: %s lost on the way %s it", u, plural(missing, "message"), [...]string{"to", "from"}[d])
	}
	now := time.Now()
	t.last = now
	if d == toClient {
		if !a.heard.IsZero() {
			a.wait = max(a.wait, now.Sub(a.heard))
		}
		a.heard = now
	}
}

// connected notes the first connection of a user, or a later one.
func (t *tally) connected(u user) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.snap.accounts[u]
	a.connected = true
	if a.heard.IsZero() {
		a.heard = time.Now()
		return
	}
	a.comebacks++
	away := time.Since(a.broken).Round(time.Millisecond)
	if u == plain {
		t.note("%s: connected again after %s", u, away)
		return
	}
	t.note("%s: resumed after %s, %s caught up", u, away, plural(a.scores[toClient].sent-a.held, "message"))
}

func (t *tally) disconnected(u user) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.snap.accounts[u]
	a.connected, a.held, a.broken = false, a.scores[toClient].highest, a.heard
}

// cut notes that the network was broken.
func (t *tally) cut(how string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snap.cuts++
	t.note("cut: %s", how)
}

// say notes anything else.
func (t *tally) say(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note("%s", text)
}

// note adds a line to the story. The caller holds mu.
func (t *tally) note(format string, args ...any) {
	if len(t.snap.notes) == maxNotes {
		t.snap.notes = slices.Delete(t.snap.notes, 0, 1)
	}
	t.snap.notes = append(t.snap.notes, note{time.Since(t.started), fmt.Sprintf(format, args...)})
}

// settle says that the network stays whole from now on.
func (t *tally) settle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snap.settling = true
}

// fresh returns a function which tells whether something that was sent after
// now has arrived, from and to every user. What was sent before, and is not
// under way over a connection that is still to die, has arrived as well.
func (t *tally) fresh() func() bool {
	before := t.standing()
	return func() bool {
		return t.all(func(u user, d direction, c *score) bool { return c.highest > before.accounts[u].scores[d].sent })
	}
}

// quiet tells whether everything has arrived, save what will never: nothing
// has come for a while although the resilient client waits for nothing.
func (t *tally) quiet() bool {
	complete := t.all(func(u user, d direction, c *score) bool { return u == plain || c.received == c.sent })
	t.mu.Lock()
	defer t.mu.Unlock()
	return complete && time.Since(t.last) > quietTime
}

func (t *tally) all(holds func(u user, d direction, c *score) bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for u := range t.snap.accounts {
		for d := range t.snap.accounts[u].scores {
			if !holds(user(u), direction(d), &t.snap.accounts[u].scores[d]) {
				return false
			}
		}
	}
	return true
}

// finish says that nothing is under way any more.
func (t *tally) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for u := range t.snap.accounts {
		for d := range t.snap.accounts[u].scores {
			t.snap.accounts[u].scores[d].finish()
		}
	}
}

// standing returns a copy that stays as it is.
func (t *tally) standing() standing {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.snap
	s.elapsed = time.Since(t.started)
	s.notes = slices.Clone(s.notes)
	for u := range s.accounts {
		for d := range s.accounts[u].scores {
			s.accounts[u].scores[d].gaps = nil // what they are made of is nobody's business
		}
	}
	return s
}
