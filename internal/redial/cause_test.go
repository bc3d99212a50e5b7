package redial

import (
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		e    Evidence
		want cause
	}{
		"the only one":       {Evidence{Broke: 1}, unclear},
		"all of them":        {Evidence{Broke: 20}, unclear},
		"one of two":         {Evidence{Broke: 1, Alive: 1}, meant},
		"one of many":        {Evidence{Broke: 1, Alive: 1000}, meant},
		"two of three":       {Evidence{Broke: 2, Alive: 1}, unclear},
		"a process of eight": {Evidence{Broke: 12, Alive: 88}, meant},
		"a process of seven": {Evidence{Broke: 13, Alive: 87}, unclear},
		"two of five, whose successors are there":      {Evidence{Broke: 2, Opened: 2, Alive: 3}, meant},
		"all clients of a program that is new":         {Evidence{Broke: 20, Opened: 20, Alive: 20}, meant},
		"a process of two, while somebody comes":       {Evidence{Broke: 50, Opened: 3, Alive: 50}, unclear},
		"the only one, and a successor is at the gate": {Evidence{Broke: 1, Opened: 1, Alive: 1}, meant},
	} {
		if got := c.e.cause(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestNext plays searches: what is known at a time, and the step.
func TestNext(t *testing.T) {
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	type turn struct {
		at       int // ms since the break
		attached bool
		said     bool
		e        Evidence
		want     Step
	}
	up := func(tried int, broke, alive int) Evidence {
		return Evidence{TriedAt: at(tried), UpSince: at(-3_600_000), Broke: broke, Alive: alive}
	}
	down := func(tried int) Evidence { return Evidence{TriedAt: at(tried), Down: true, Broke: 1, Alive: 5} }
	back := func(since, tried int) Evidence {
		return Evidence{TriedAt: at(tried), Down: true, UpSince: at(since), Broke: 1, Alive: 5}
	}
	for name, turns := range map[string][]turn{
		"its close says so": {
			{0, true, true, up(-1000, 1, 5), Dial{}},
		},
		"it is gone": {
			{0, true, false, up(-1000, 1, 5), Probe{}},
			{1, true, false, down(0), Dial{}},
			{30_000, true, false, down(29_000), GiveUp{}},
		},
		"it is gone a little later": {
			{0, true, false, up(-1000, 1, 5), Probe{}},
			{1, true, false, up(0, 1, 5), Wait{at(20)}},
			{20, true, false, up(0, 1, 5), Probe{}},
			{21, true, false, down(20), Dial{}},
		},
		"it lives, and so do the others": {
			{0, true, false, up(-1000, 1, 5), Probe{}},
			{1, true, false, up(0, 1, 5), Wait{at(20)}},
			{21, true, false, up(20, 1, 5), Wait{at(100)}},
			{100, true, false, up(20, 1, 5), Probe{}},
			{101, true, false, up(100, 1, 5), Close{}},
		},
		"it lives, and the client is away": {
			{101, false, false, up(100, 1, 5), Close{}},
		},
		"it lives, and there is nothing to compare": {
			{101, true, false, up(100, 1, 0), Dial{}},
		},
		"the same, and the client is away: only for the client is it tried": {
			{101, false, false, up(100, 1, 0), Wait{}},
			{90_000, false, false, up(60_000, 1, 3), Wait{}},
			{90_001, true, false, up(60_000, 1, 3), Dial{}},
			{120_001, true, false, up(60_000, 1, 3), GiveUp{}},
		},
		"all broke": {
			{101, true, false, up(100, 9, 0), Dial{}},
		},
		"it is gone, and the client is away: tried when it has been up for a while": {
			{0, false, false, down(0), Probe{}},
			{5000, false, false, down(5000), Probe{}},
			{8000, false, false, back(7900, 7900), Wait{at(17_900)}},
			{17_900, false, false, back(7900, 7900), Dial{}},
		},
		"it is gone for good, and the client is away": {
			{30_000, false, false, down(29_000), GiveUp{}},
		},
		"it fell again meanwhile": {
			{8000, false, false, back(7900, 7900), Wait{at(17_900)}},
			{12_000, false, false, back(11_000, 11_000), Wait{at(21_000)}},
			{21_000, false, false, down(20_000), Probe{}},
			{50_999, false, false, down(50_000), Probe{}},
			{51_000, false, false, down(50_000), GiveUp{}},
		},
		"the client is back before that": {
			{8000, false, false, back(7900, 7900), Wait{at(17_900)}},
			{9000, true, false, back(7900, 7900), Dial{}},
		},
		"its close says so, the others broke, and the client is away": {
			{0, false, true, up(-1000, 1, 5), Probe{}},
			{101, false, true, up(100, 6, 0), Wait{at(10_000)}},
			{10_000, false, true, up(100, 6, 0), Dial{}},
		},
		"its close says so, the others live, and the client is away: only for the client is it tried": {
			{101, false, true, up(100, 1, 5), Wait{}},
			{90_000, false, true, up(60_000, 1, 5), Wait{}},
			{90_001, true, true, up(60_000, 1, 5), Dial{}},
		},
	} {
		var h History
		s, _ := h.Lost(start, turns[0].attached, patience, middle)
		for i, turn := range turns {
			f := Facts{Now: at(turn.at), Said: turn.said, Attached: turn.attached, Evidence: turn.e}
			if got := s.Next(&f); got != turn.want {
				t.Errorf("%s: step %d is %#v, want %#v", name, i+1, got, turn.want)
			}
		}
	}
}

// TestLeave plays searches for why an app has ended a socket while its pod stops.
func TestLeave(t *testing.T) {
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	type turn struct {
		at   int // ms since the break
		e    Evidence
		want Step
	}
	seen := func(tried, broke, opened, alive int) Evidence {
		return Evidence{TriedAt: at(tried), UpSince: at(-3_600_000), Broke: broke, Opened: opened, Alive: alive}
	}
	down := Evidence{TriedAt: at(0), Down: true, Broke: 1, Alive: 5}
	for name, tc := range map[string]struct {
		said, certain bool // the app's close, or its protocol, says that it restarts
		turns         []turn
	}{
		"it is gone": {false, false, []turn{
			{0, seen(-1000, 1, 0, 5), Probe{}}, {1, down, HandOver{}},
		}},
		"it is gone a little later": {false, false, []turn{
			{1, seen(0, 1, 0, 5), Wait{at(20)}}, {20, seen(0, 1, 0, 5), Probe{}}, {21, down, HandOver{}},
		}},
		"it ended them all, and is there still": {false, false, []turn{{101, seen(100, 9, 0, 0), HandOver{}}}},
		"it has this one only":                  {false, false, []turn{{101, seen(100, 1, 0, 0), HandOver{}}}},
		"it ends one after the other": {false, false, []turn{
			{101, seen(100, 3, 0, 97), Wait{at(1000)}}, {1000, seen(100, 20, 0, 80), HandOver{}},
		}},
		"it lives, and so do the others": {false, false, []turn{
			{101, seen(100, 1, 0, 5), Wait{at(1000)}}, {1000, seen(100, 1, 0, 5), Probe{}}, {1001, seen(1000, 1, 0, 5), Close{}},
		}},
		"it lives, but not for long": {false, false, []turn{
			{101, seen(100, 1, 0, 5), Wait{at(1000)}}, {1000, seen(100, 1, 0, 5), Probe{}}, {1001, down, HandOver{}},
		}},
		"its close says so":     {true, false, []turn{{101, seen(100, 1, 0, 5), HandOver{}}}},
		"its protocol says so":  {true, true, []turn{{0, seen(-1000, 1, 1, 5), HandOver{}}}},
		"and a successor shows": {true, false, []turn{{101, seen(100, 1, 1, 5), Wait{at(1000)}}, {1001, seen(1000, 1, 1, 5), Close{}}}},
	} {
		s := Leave(start)
		for i, turn := range tc.turns {
			f := Facts{Now: at(turn.at), Said: tc.said, Certain: tc.certain, Attached: i%2 == 0, Evidence: turn.e}
			if got := s.Next(&f); got != turn.want {
				t.Errorf("%s: step %d is %#v, want %#v", name, i+1, got, turn.want)
			}
		}
		if s.Failed(at(1001)) {
			t.Errorf("%s: an app that stops is waited for", name)
		}
	}
}

// An app that ends the replacement of a socket as it ended the first, and was
// there all the time, means it: another client has taken the place, and the two
// would take it from each other for ever.
func TestTwiceIsMeant(t *testing.T) {
	var h History
	lives := func(now time.Time) *Facts {
		return &Facts{Now: now.Add(together), Attached: true, Evidence: Evidence{TriedAt: now.Add(together), UpSince: start, Broke: 1}}
	}
	now := start
	for i, want := range []Step{Dial{}, Close{}} {
		s, _ := h.Lost(now, true, patience, middle)
		got := s.Next(lives(now))
		if w, ok := got.(Wait); ok { // slower after a crash
			f := lives(now)
			f.Now = w.Until
			got = s.Next(f)
		}
		if got != want {
			t.Errorf("break %d: %#v, want %#v", i+1, got, want)
		}
		h.Made(now.Add(time.Second), &s)
		now = now.Add(2 * time.Second)
	}
	// After a life that lasted it is an accident again.
	h = History{}
	s, _ := h.Lost(start, true, patience, middle)
	s.Next(lives(start))
	h.Made(start, &s)
	s, _ = h.Lost(start.Add(minLifetime), true, patience, middle)
	if got := s.Next(lives(start.Add(minLifetime))); got != (Dial{}) {
		t.Errorf("after a life: %#v, want a dial", got)
	}
}

// An app may end one socket, whose place another client has taken, with a code
// that says a restart. It is believed once. If it does the same to the
// replacement while its other sockets live, it is that: otherwise the two clients
// would take the place from each other.
func TestRestartSaidTwice(t *testing.T) {
	for name, tc := range map[string]struct {
		broke, alive int
		certain      bool
		want         Step // after the second time
	}{
		"the others live":      {1, 5, false, Close{}},
		"the others broke too": {6, 0, false, Dial{}},
		"the app's protocol says it, or a restore was refused": {1, 5, true, Dial{}},
	} {
		var h History
		now := start
		for i, want := range []Step{Dial{}, tc.want} {
			s, _ := h.Lost(now, true, patience, middle)
			f := Facts{Now: now, Attached: true, Said: true, Certain: tc.certain}
			f.Evidence = Evidence{TriedAt: now.Add(together), UpSince: start, Broke: tc.broke, Alive: tc.alive}
			got := s.Next(&f)
			for w, ok := got.(Wait); ok; w, ok = got.(Wait) {
				f.Now = w.Until
				got = s.Next(&f)
			}
			if got != want {
				t.Errorf("%s: break %d: %#v, want %#v", name, i+1, got, want)
			}
			h.Made(now.Add(time.Second), &s)
			now = now.Add(2 * time.Second)
		}
	}
}

func TestSockets(t *testing.T) {
	var s Sockets
	now := start
	for range 5 {
		s.Dialling(now)
		s.Dialled()
		s.Opened()
	}
	now = now.Add(time.Minute)
	s.Tried(now, now, true)
	s.Closed(now, false)
	s.Closed(now.Add(-time.Second), true) // another moment
	broke := now
	s.Closed(broke, true)
	s.Dialling(now.Add(50 * time.Millisecond))
	s.Closed(broke.Add(60*time.Millisecond), true)
	got := s.evidence(broke.Add(together), broke, together)
	if want := (Evidence{TriedAt: now, UpSince: now, Broke: 2, Opened: 1, Alive: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	s.Tried(now.Add(time.Second), now.Add(2*time.Second), false)
	got = s.evidence(now.Add(10*time.Second), broke, together)
	if !got.Down || !got.UpSince.IsZero() || got.Broke != 2 {
		t.Errorf("%+v, want that it is down, and the two", got)
	}
	s.Tried(now.Add(3*time.Second), now.Add(3*time.Second), true)
	if got := s.evidence(now.Add(10*time.Second), now.Add(5*time.Second), together); got.Down || !got.UpSince.Equal(now.Add(3*time.Second)) {
		t.Errorf("%+v, want that it is up", got)
	}
	late := Search{broke: now.Add(time.Minute)}
	if late.Evidence(now.Add(time.Minute), &s).Down {
		t.Error("it is down a minute later")
	}
	if late.UnreadSince(now); !late.Evidence(now.Add(time.Minute), &s).Down {
		t.Error("it was not down since the socket was read")
	}
	// More time than a counter remembers.
	var all counter
	for i := range 1000 {
		all.add(start.Add(time.Duration(i) * slotWidth))
	}
	last := start.Add(999 * slotWidth)
	if n := all.between(start, last); n != len(all.slots) {
		t.Errorf("a counter of %d, want the %d that it has room for", n, len(all.slots))
	}
}
