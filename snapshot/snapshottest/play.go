// Package snapshottest plays conversations between a client and its app to a
// [snapshot.Tracker]. The tests of the presets are scripts for it.
package snapshottest

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
)

// Start is when conversations begin.
var Start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Policy returns a policy for a test, whose presets are those of known.
func Policy(t testing.TB, rules, protocols string, known ...snapshot.Protocol) *snapshot.Policy {
	t.Helper()
	p, err := snapshot.New([]byte(rules), protocols, 5*time.Minute, known)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Preset returns a policy of one preset, for all paths.
func Preset(t testing.TB, name string, start func() snapshot.Preset) *snapshot.Policy {
	t.Helper()
	return Policy(t, "", name, snapshot.Protocol{Name: name, New: start})
}

// Play plays a conversation, one step a line, and returns the Tracker at its end:
//
//	client TEXT      the app's socket was handed this
//	app TEXT         the app says this, and it is for the client
//	app! TEXT        the app says this, and it is swallowed
//	to-app TEXT      the app must have been told this, next
//	to-client TEXT   the client must have been told this, next
//	attach, detach
//	wait DURATION    Tick is called at each Deadline until then
//	restore          the app's socket is new
//	move             another pod loads what was saved, and its app's socket is new
//	restoring, restored, failed, complete, incomplete, in-flight, aligned   must be so
//	ended, going                                   the app has, has not, said that this is the end
//	restarts CODE, ends CODE                       what the app's close means
//	owes answer, owes nothing, owes unknown        what the app owes the client
//
// A verb that ends in /b is of a binary message, in /x of one in hex; \n and \0
// stand for themselves. What either side is told and no step expects is an
// error.
func Play(t *testing.T, p *snapshot.Policy, script string) *snapshot.Tracker {
	t.Helper()
	s := &stage{t: t, policy: p, tracker: p.Tracker("/"), now: Start}
	s.tracker.Attach(s.now, true)
	for n, line := range strings.Split(strings.TrimSpace(script), "\n") {
		verb, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if verb != "" {
			s.line, s.step = n+1, line
			s.play(verb, text)
		}
	}
	s.line, s.step = s.line+1, "end"
	s.nothingTold(s.toClient, "client")
	s.nothingTold(s.toApp, "app")
	return s.tracker
}

// A stage is where a script is played.
type stage struct {
	t               *testing.T
	policy          *snapshot.Policy
	tracker         *snapshot.Tracker
	now             time.Time
	toApp, toClient []snapshot.Message // that no step has expected yet
	line            int
	step            string
}

// play plays one step.
func (s *stage) play(verb, text string) {
	s.t.Helper()
	verb, m := s.message(verb, text)
	switch verb {
	case "to-client":
		s.toClient = s.told(s.toClient, m, "client")
		return
	case "to-app":
		s.nothingTold(s.toClient, "client")
		s.toApp = s.told(s.toApp, m, "app")
		return
	}
	s.nothingTold(s.toClient, "client")
	s.nothingTold(s.toApp, "app")
	s.act(verb, text, m)
	s.toApp = s.tracker.ToApp()
	s.toClient = s.tracker.ToClient()
}

// act does what a step says.
func (s *stage) act(verb, text string, m snapshot.Message) {
	s.t.Helper()
	k := s.tracker
	switch verb {
	case "client":
		k.Inbound(s.now, m)
		overwrite(m)
	case "app", "app!":
		if got := k.Outbound(s.now, m); got != (verb == "app!") {
			s.t.Errorf("line %d, %s: swallowed %v", s.line, s.step, got)
		}
		overwrite(m)
	case "attach", "detach":
		k.Attach(s.now, verb == "attach")
	case "wait":
		d, err := time.ParseDuration(text)
		if err != nil {
			s.t.Fatal(err)
		}
		s.wait(s.now.Add(d))
	case "move":
		s.tracker = Moved(s.t, s.policy, k)
		s.tracker.Attach(s.now, true)
		s.tracker.Restore(s.now)
	case "restore":
		k.Restore(s.now)
	default:
		s.expect(verb, text)
	}
}

// expect checks what the Tracker says of itself.
func (s *stage) expect(verb, text string) {
	s.t.Helper()
	k, ok := s.tracker, false
	switch verb {
	case "restoring":
		ok = k.Restoring() && !k.Failed()
	case "restored":
		ok = !k.Restoring() && !k.Failed()
	case "failed":
		ok = k.Restoring() && k.Failed()
	case "complete", "incomplete":
		ok = k.Complete() == (verb == "complete")
	case "in-flight", "aligned":
		ok = k.InFlight() == (verb == "in-flight")
	case "ended", "going":
		ok = k.Ended() == (verb == "ended")
	case "owes":
		ok = k.Owes() == map[string]snapshot.Owed{"unknown": snapshot.OwedUnknown, "nothing": snapshot.OwedNothing, "answer": snapshot.OwedAnswer}[text]
	case "restarts", "ends":
		code, err := strconv.ParseUint(text, 10, 16)
		ok = err == nil && k.Restarts(uint16(code)) == (verb == "restarts")
	default:
		s.t.Fatalf("line %d: no step %q", s.line, verb)
	}
	if !ok {
		s.t.Errorf("line %d: not %s (restoring %v, failed %v, complete %v)", s.line, s.step, k.Restoring(), k.Failed(), k.Complete())
	}
}

// told checks that m is the first of what was told, and returns the rest.
func (s *stage) told(all []snapshot.Message, m snapshot.Message, whom string) []snapshot.Message {
	s.t.Helper()
	if len(all) == 0 {
		s.t.Fatalf("line %d, %s: the %s was told nothing", s.line, s.step, whom)
	}
	if got := all[0]; got.Binary != m.Binary || !bytes.Equal(got.Data, m.Data) {
		s.t.Errorf("line %d, %s: the %s was told %q (%x)", s.line, s.step, whom, got.Data, got.Data)
	}
	return all[1:]
}

// nothingTold checks that no step is missing that expects what was told.
func (s *stage) nothingTold(all []snapshot.Message, whom string) {
	s.t.Helper()
	if len(all) > 0 {
		s.t.Fatalf("line %d, %s: the %s was told %q before", s.line, s.step, whom, all[0].Data)
	}
}

// message reads the message of a step.
func (s *stage) message(verb, text string) (string, snapshot.Message) {
	s.t.Helper()
	verb, form, _ := strings.Cut(verb, "/")
	switch form {
	case "x":
		data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			s.t.Fatalf("%s: %v", text, err)
		}
		return verb, snapshot.Message{Binary: true, Data: data}
	case "b":
		return verb, snapshot.Message{Binary: true, Data: []byte(text)}
	}
	return verb, snapshot.Message{Data: []byte(strings.NewReplacer(`\n`, "\n", `\0`, "\x00").Replace(text))}
}

// overwrite does what the owner of lent memory may do afterwards.
func overwrite(m snapshot.Message) { copy(m.Data, slices.Repeat([]byte{'#'}, len(m.Data))) }

// wait keeps the deadlines until then.
func (s *stage) wait(until time.Time) {
	s.t.Helper()
	for range 1000 {
		at := s.tracker.Deadline()
		if at.IsZero() || at.After(until) {
			s.now = until
			s.tracker.Tick(s.now)
			return
		}
		if at.After(s.now) {
			s.now = at
		}
		s.tracker.Tick(s.now)
	}
	s.t.Fatal("a deadline that does not move")
}

// Moved returns what another pod has after it loaded what was saved.
func Moved(t *testing.T, p *snapshot.Policy, k *snapshot.Tracker) *snapshot.Tracker {
	t.Helper()
	other := p.Tracker("/")
	if err := other.Load(k.Save()); err != nil {
		t.Fatal(err)
	}
	return other
}
