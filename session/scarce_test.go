package session

import (
	"testing"

	"github.com/wsresilience/wsresilience/seqwindow"
)

// Others have used the budget up. A session that lives is slowed, in both
// directions, and goes on when there is memory again; it is never ended (I6).
func TestScarceMemorySlows(t *testing.T) {
	const budget = 64 << 10
	st := newStage(t)
	st.cfg.Pool = seqwindow.NewPool(budget)
	var greedy seqwindow.Sender
	greedy.Init(st.cfg.Pool, seqwindow.Limits{Bytes: 2 * budget, Messages: budget}, 0)
	for greedy.Append(make([]byte, 1000), 0) == nil {
	}
	play := func(commands ...[]string) {
		t.Helper()
		for _, c := range commands {
			st.log = st.log[:0]
			st.do(c)
			if st.s.closing.ended != 0 {
				t.Fatalf("%v: the session ends: %v", c, st.s.closing.ended)
			}
		}
	}
	play([]string{"new"}, []string{"client", "takes", "0"}, []string{"app", "takes", "0"})
	play([]string{"client", "text", "one"}, []string{"app", "text", "one"})
	if !st.out.PauseClient || !st.out.PauseApp {
		t.Errorf("paused: client %v, app %v; want both", st.out.PauseClient, st.out.PauseApp)
	}
	play([]string{"client", "text", "two"}, []string{"app", "text", "two"})
	if n := st.s.window.Len() + st.s.queue.Len(); n != 2 {
		t.Errorf("%d messages are held while there is no memory, want one each way", n)
	}
	greedy.Reset()
	play([]string{"wait", "1s"})
	if st.out.PauseClient || st.out.PauseApp {
		t.Errorf("paused after memory came back: client %v, app %v", st.out.PauseClient, st.out.PauseApp)
	}
}

func TestKeepsNoMore(t *testing.T) {
	for _, tt := range []struct {
		name         string
		budget, used int // chunks
		held         int
		want         bool
	}{
		{"plenty", 16, 1, 1 << 20, false},
		{"no budget", 0, 100, 1 << 20, false},
		{"scarce, holds nothing", 16, 14, 0, false},
		{"scarce, holds little", 16, 14, scarceWindow - 1, false},
		{"scarce, holds enough", 16, 14, scarceWindow, true},
		{"used up, holds nothing", 16, 16, 0, false},
		{"used up, holds little", 16, 16, 1, true},
		{"beyond", 16, 20, 1, true},
	} {
		c := Config{Pool: seqwindow.NewPool(int64(tt.budget) * 4096)}
		var s seqwindow.Sender
		s.Init(c.Pool, seqwindow.Limits{Bytes: 1 << 20}, 0)
		for c.Pool.InUse() < int64(tt.used)*4096 {
			if err := s.AppendOver(make([]byte, 1000), 0); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.keepsNoMore(tt.held); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
