package snapshot

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// day is when conversations begin.
var day = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// mustGuide makes a Guide for a test.
func mustGuide(t testing.TB, rules, protocols string) *Policy {
	t.Helper()
	g, err := New([]byte(rules), protocols, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// play plays a conversation, one step a line:
//
//	client TEXT    the app's socket was handed this
//	app TEXT       the app says this, and it is for the client
//	app! TEXT      the app says this, and it is swallowed
//	hears TEXT     the app must have been told this, next
//	attach, detach
//	wait DURATION  Tick is called at each Deadline until then
//	restore        the app's socket is new
//	move           another pod loads what was saved, and its app's socket is new
//	restoring, restored, failed, complete, incomplete   must be so
//	restarts, ends the app's close with 1000 means that
//
// What the app is told and no step expects is an error.
func play(t *testing.T, g *Policy, script string) *Tracker {
	t.Helper()
	k, now := g.Tracker("/"), day
	var said []Message
	k.Attach(now, true)
	for n, line := range strings.Split(strings.TrimSpace(script), "\n") {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if verb != "hears" && len(said) > 0 {
			t.Fatalf("line %d, %s: the app was told %q before", n+1, line, said[0].Data)
		}
		switch verb {
		case "client":
			lend(rest, func(m Message) { k.Inbound(now, m) })
		case "app", "app!":
			lend(rest, func(m Message) {
				if got := k.Outbound(now, m); got != (verb == "app!") {
					t.Errorf("line %d, %s: swallowed %v", n+1, line, got)
				}
			})
		case "hears":
			if len(said) == 0 {
				t.Fatalf("line %d, %s: the app was told nothing", n+1, line)
			}
			if string(said[0].Data) != rest {
				t.Errorf("line %d: the app was told %s, want %s", n+1, said[0].Data, rest)
			}
			said = said[1:]
			continue
		case "attach", "detach":
			k.Attach(now, verb == "attach")
		case "wait":
			d, err := time.ParseDuration(rest)
			if err != nil {
				t.Fatal(err)
			}
			now = tickUntil(t, k, now, now.Add(d))
		case "move":
			moved := g.Tracker("/")
			if err := moved.Load(k.Save()); err != nil {
				t.Fatal(err)
			}
			k = moved
			k.Attach(now, true)
			k.Restore(now)
		case "restore":
			k.Restore(now)
		default:
			expectState(t, k, n+1, verb)
		}
		said = append(said, k.ToApp()...)
	}
	if len(said) > 0 {
		t.Errorf("the app was told %q at the end", said[0].Data)
	}
	return k
}

// lend calls fn with memory that is another's afterwards.
func lend(text string, fn func(Message)) {
	data := []byte(text)
	fn(Message{Data: data})
	copy(data, bytes.Repeat([]byte{'#'}, len(data)))
}

// tickUntil keeps the deadlines until then.
func tickUntil(t *testing.T, k *Tracker, now, until time.Time) time.Time {
	t.Helper()
	for range 1000 {
		at := k.Deadline()
		if at.IsZero() || at.After(until) {
			k.Tick(until)
			return until
		}
		if at.After(now) {
			now = at
		}
		k.Tick(now)
	}
	t.Fatal("a deadline that does not move")
	return now
}

// expectState checks what a Tracker says of itself.
func expectState(t *testing.T, k *Tracker, line int, verb string) {
	t.Helper()
	ok := false
	switch verb {
	case "restoring":
		ok = k.Restoring() && !k.Failed()
	case "restored":
		ok = !k.Restoring() && !k.Failed()
	case "failed":
		ok = k.Restoring() && k.Failed()
	case "complete":
		ok = k.Complete()
	case "incomplete":
		ok = !k.Complete()
	case "restarts", "ends":
		ok = k.Restarts(1000) == (verb == "restarts")
	default:
		t.Fatalf("line %d: no step %q", line, verb)
	}
	if !ok {
		t.Errorf("line %d: not %s (restoring %v, failed %v, complete %v)", line, verb, k.Restoring(), k.Failed(), k.Complete())
	}
}
