package heartbeat

import (
	"testing"
	"time"
)

// What the peer's TCP says decides whether a beat without an answer was missed.
func TestSent(t *testing.T) {
	const second = time.Second
	type says struct {
		acked   uint64
		quiet   time.Duration
		lacking bool
	}
	for _, c := range []struct {
		name  string
		says  func(beat int) says
		beats int // until the link is dead; 0: it stays
	}{
		{"it has all, and its program does not answer", func(int) says { return says{100, second, false} }, 4},
		{"it answers nothing", func(int) says { return says{100, time.Hour, true} }, 4},
		{"it takes some between any two beats", func(n int) says { return says{uint64(100 * n), second, true} }, 0},
		{"it takes some between every second", func(n int) says { return says{uint64(1 + n/2), second, true} }, 0},
		{"it takes nothing more after the fifth", func(n int) says { return says{uint64(min(n, 5)), second, true} }, 8},
		{"it answers, and makes no room", func(int) says { return says{100, second, true} }, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(1e9, 0)
			var m Monitor
			m.Init(nil, now)
			m.Connected(now)
			for n := 1; n <= 20; n++ {
				now = m.Deadline()
				if n > 1 && !m.Unanswered(now) {
					t.Fatalf("beat %d has an answer", n)
				}
				if m.Unanswered(now) {
					s := c.says(n)
					m.Sent(now, s.acked, s.quiet, s.lacking)
				}
				if m.Tick(now) == VerdictDead {
					if n != c.beats {
						t.Errorf("dead at beat %d, want %d", n, c.beats)
					}
					return
				}
				m.Next(now, 0)
			}
			if c.beats != 0 {
				t.Errorf("alive, want dead at beat %d", c.beats)
			}
		})
	}
}

// A late answer makes the next miss the last, but not while bytes wait.
func TestSentAfterLateAnswer(t *testing.T) {
	for _, lacking := range []bool{false, true} {
		now := time.Unix(1e9, 0)
		var m Monitor
		m.Init(nil, now)
		m.Connected(now)
		for _, took := range []time.Duration{time.Millisecond, time.Millisecond, time.Second} {
			now = m.Deadline()
			m.Tick(now)
			p := m.Next(now, 0)
			if err := m.Answer(now.Add(took), p); err != nil {
				t.Fatal(err)
			}
		}
		if m.State() != StateDegraded {
			t.Fatalf("state %v", m.State())
		}
		now = m.Deadline()
		m.Tick(now)
		m.Next(now, 0)
		now = m.Deadline()
		m.Sent(now, 100, time.Hour, lacking)
		if dead := m.Tick(now) == VerdictDead; dead == lacking {
			t.Errorf("lacking %v: dead %v", lacking, dead)
		}
	}
}

// A skipped beat is neither sent nor missed.
func TestSkip(t *testing.T) {
	now := time.Unix(1e9, 0)
	var m Monitor
	m.Init(nil, now)
	m.Connected(now)
	for range 10 {
		now = m.Deadline()
		if v := m.Tick(now); v != VerdictSend {
			t.Fatalf("verdict %v", v)
		}
		m.Skip(now)
		if !m.Deadline().After(now) {
			t.Fatal("it is due again at once")
		}
	}
	if m.Loss() != 0 {
		t.Errorf("loss %v", m.Loss())
	}
}
