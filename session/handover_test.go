package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/replytime"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/presets"
	"github.com/wsresilience/wsresilience/wire"
)

// Sessions show how long their app takes, and no more than that: what a full
// window, a stop of the process or another app socket adds is not its time.
func TestRepliesAreTimed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		acks   bool       // the client acknowledges the answers
		middle [][]string // between the sixth question and its answer
		after  [][]string // behind that answer
	}{
		{"nothing happens", true, nil, nil},
		{"the window is full", false, nil, [][]string{{"wait", "2s"}, {"client", "acks", "5"}}},
		{"the process stops", true, [][]string{{"journal", "waits"}, {"suspect"}, {"wait", "2s"}, {"journal", "ok"}, {"journal", "flows"}}, nil},
		{"the app restarts", true, [][]string{{"app", "cut"}, {"wait", "2s"}, {"app", "back"}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := new(replytime.Paths).Path("/")
			for range 3 {
				st := newStage(t)
				st.s = New(st.cfg, st.now, Start{ID: wire.SessionID{1}, AppReplaceable: true, Replies: path})
				st.s.Attach(st.now, wire.StatusNew, Position{Next: 1}, false)
				st.settle()
				for i := range 6 {
					st.do([]string{"client", "text", "ask"})
					if i == 5 {
						for _, command := range tc.middle {
							st.do(command)
						}
					}
					st.wait(40 * time.Millisecond)
					st.do([]string{"app", "text", "size=200"})
					if tc.acks {
						st.do([]string{"client", "acks", fmt.Sprint(i + 1)})
					}
				}
				for _, command := range tc.after {
					st.do(command)
				}
				st.s.end(EndedExpired)
			}
			if e := path.Expect(); e.Wait < 60*time.Millisecond || e.Wait > 80*time.Millisecond || !e.Sure || !e.Answers {
				t.Errorf("%+v, want 40ms and half of it", e)
			}
		})
	}
}

// Nothing is known of the app yet, as in the first seconds of a pod. What it was
// asked is waited for, however long it takes, and where that was not long enough
// the client is told.
func TestAppThatIsNotKnownOwes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer time.Duration // of the app; 0: none
		moves  time.Duration // when its socket is closed
		owed   bool
	}{
		{"answers before a second", 300 * time.Millisecond, time.Second, false},
		{"answers after two seconds", 2 * time.Second, 3100 * time.Millisecond, false},
		{"answers too late", 6 * time.Second, 5 * time.Second, true},
		{"does not answer", 0, 5 * time.Second, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st := newStage(t)
			st.s = New(st.cfg, st.now, Start{ID: wire.SessionID{1}, Replies: new(replytime.Paths).Path("/")})
			st.s.Attach(st.now, wire.StatusNew, Position{Next: 1}, false)
			st.settle()
			st.do([]string{"client", "text", "ask"})
			st.do([]string{"handover"})
			begin, moved := st.now, time.Duration(0)
			for moved == 0 && st.now.Sub(begin) < 20*time.Second {
				st.wait(100 * time.Millisecond)
				if st.now.Sub(begin) == tc.answer {
					st.do([]string{"app", "text", "answer"})
				}
				if slices.Contains(st.log, "app <- close 1001 moving") {
					moved = st.now.Sub(begin)
				}
			}
			st.do([]string{"app", "frame-close", "1001"})
			log := strings.Join(st.log, "\n")
			if owed := strings.Contains(log, "handed owed"); moved != tc.moves || owed != tc.owed || !strings.Contains(log, "ends: handed") {
				t.Errorf("moved after %v, owed %v; want %v, %v\n%s", moved, owed, tc.moves, tc.owed, log)
			}
		})
	}
}

// The preset of the app's protocol knows what is owed: an answer is waited for
// longer than any other took, and where none is owed nothing is waited for but
// the least time.
func TestPresetKnowsWhatIsOwed(t *testing.T) {
	const init, ack = `{"type":"connection_init"}`, `{"type":"connection_ack"}`
	policy, err := snapshot.New(nil, "graphql-transport-ws", time.Minute, presets.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		ask    string
		answer time.Duration // of the app; 0: none
		moves  time.Duration // when its socket is closed
		owed   bool
	}{
		{"a query", `{"id":"1","type":"subscribe","payload":{"query":"{a}"}}`, 3 * time.Second, 3 * time.Second, false},
		{"a query that takes too long", `{"id":"1","type":"subscribe","payload":{"query":"{a}"}}`, 0, 5 * time.Second, true},
		{"a subscription", `{"id":"1","type":"subscribe","payload":{"query":"subscription {a}"}}`, 0, 100 * time.Millisecond, false},
		{"what is not of the protocol, to an app that is not known", `{"type":"x"}`, 0, 5 * time.Second, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st := newStage(t)
			st.cfg.HandOverQuiet = 100 * time.Millisecond
			st.s = New(st.cfg, st.now, Start{
				ID: wire.SessionID{1}, AppReplaceableIfRestored: true, Tracker: policy.Tracker("/"), Replies: new(replytime.Paths).Path("/"),
			})
			st.s.Attach(st.now, wire.StatusNew, Position{Next: 1}, false)
			st.settle()
			st.do([]string{"client", "text", init})
			st.do([]string{"app", "text", ack})
			st.do([]string{"client", "text", tc.ask})
			st.do([]string{"handover"})
			begin, moved := st.now, time.Duration(0)
			for moved == 0 && st.now.Sub(begin) < 20*time.Second {
				st.wait(50 * time.Millisecond)
				if tc.answer != 0 && st.now.Sub(begin) == tc.answer {
					st.do([]string{"app", "text", `{"id":"1","type":"complete"}`})
				}
				if slices.Contains(st.log, "app <- close 1001 moving") {
					moved = st.now.Sub(begin)
				}
			}
			st.do([]string{"app", "frame-close", "1001"})
			log := strings.Join(st.log, "\n")
			if owed := strings.Contains(log, "handed owed"); moved != tc.moves || owed != tc.owed || !strings.Contains(log, "ends: handed") {
				t.Errorf("moved after %v, owed %v; want %v, %v\n%s", moved, owed, tc.moves, tc.owed, log)
			}
		})
	}
}
