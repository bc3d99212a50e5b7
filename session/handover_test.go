package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/replytime"
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
