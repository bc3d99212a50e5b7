package demo

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What an app reports of a socket, as the first field of a line. The second
// one names the socket.
const (
	reportOpened = "opened" // with the user
	reportWrites = "writes" // before it does, so that a crash hides nothing
	reportFailed = "failed" // what it was about to write was refused
	reportUnsent = "unsent" // the socket was closed before it could write
	reportRead   = "read"   // with what
	reportClosed = "closed"
)

// socketName names a socket of an app, and appOf returns that app's number.
func socketName(app, n int) string { return fmt.Sprintf("%d.%d", app, n) }

func appOf(sock string) (int, error) {
	app, _, _ := strings.Cut(sock, ".")
	return strconv.Atoi(app)
}

// report takes a line of an app, and tells whether it was about a client of
// this tally. One that no app writes is ignored: it may have been killed while
// it wrote it.
func (t *tally) report(line string) (ours bool) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return false
	}
	app, err := appOf(fields[1])
	if err != nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	u, l := t.find(fields, app)
	if l == nil {
		return false
	}
	switch fields[0] {
	case reportOpened:
		t.books[u].forget(t.rules(u))
	case reportWrites:
		l.wrote()
	case reportFailed:
		l.failed()
		t.books[u].unsent++
	case reportUnsent:
		t.books[u].unsent++
	case reportRead:
		t.read(u, l, numberRead(fields))
	case reportClosed:
		l.closed = true
	}
	return true
}

// find returns the life that a report is about. The caller holds mu.
func (t *tally) find(fields []string, app int) (user, *life) {
	if fields[0] == reportOpened && len(fields) > 2 {
		if u, visitor, ok := userNamed(fields[2]); ok && visitor == t.visitor {
			return u, t.books[u].life(fields[1], app, t.killed[app])
		}
	}
	for u := range users {
		for _, l := range t.books[u].lives {
			if l.sock == fields[1] {
				return u, l
			}
		}
	}
	return 0, nil
}

// numberRead is what an app read: 0, which was never sent, if it is no number.
func numberRead(fields []string) uint64 {
	if len(fields) < 3 {
		return 0
	}
	n, err := strconv.ParseUint(fields[2], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// kills notes, before it happens, that an app is killed.
func (t *tally) kills(app int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.killed[app] = true
	for u := range users {
		for _, l := range t.books[u].lives {
			l.killed = l.killed || l.app == app
		}
	}
}

// socket returns the socket that a message for a user goes to, and its app.
// When there is none the message is counted as not sent.
func (t *tally) socket(u user) (sock string, app int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.books[u].newest()
	if l == nil {
		if t.visitor == "" || t.books[u].opened > 0 { // a browser takes its time to begin
			t.books[u].unsent++
		}
		return "", 0, false
	}
	return l.sock, l.app, true
}

// holder is the app that has a user's newest socket, 0 if none has.
func (t *tally) holder(u user) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.books[u].newest(); l != nil {
		return l.app
	}
	return 0
}

// settle says that nothing is broken any more from now on.
func (t *tally) settle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snap.settling = true
}

// A mark is how far a user's messages were.
type mark struct {
	life    int    // the newest
	out, in uint64 // sent, over that life and by the user
}

func (b *book) mark() mark {
	m := mark{life: b.opened, in: b.in.sent}
	if n := len(b.lives); n > 0 {
		m.out = b.lives[n-1].out.sent
	}
	return m
}

// passed tells whether something that was sent after m has arrived, both ways.
func (b *book) passed(m mark) bool {
	for _, l := range b.lives {
		later := l.order > m.life && l.out.highest > 0
		if later || l.order == m.life && l.out.highest > m.out {
			return b.in.highest > m.in
		}
	}
	return false
}

// fresh returns a function which tells whether something that was sent after
// now has arrived, from and to every user. What was sent before, and is not
// under way over a connection that is still to die, has arrived as well.
func (t *tally) fresh() func() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	var marks [users]mark
	for u := range users {
		marks[u] = t.books[u].mark()
	}
	return func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.books[plain].passed(marks[plain]) && t.books[resilient].passed(marks[resilient])
	}
}

// quiet tells whether everything has arrived, save what will never: nothing
// has come for a while although the resilient client waits for nothing.
func (t *tally) quiet() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := &t.books[resilient]
	v := t.rules(resilient)
	v.finished = true
	counts := b.counts(v)
	complete := counts[toClient].clean() && counts[toApp].clean() && b.in.highest == b.in.sent
	return complete && time.Since(t.last) > quietTime
}

// finish says that nothing is under way any more.
func (t *tally) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finished = true
	for u := range users {
		t.books[u].in.finish()
	}
}
