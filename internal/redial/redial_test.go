package redial

import (
	"testing"
	"time"
)

const patience = 30 * time.Second

var start = time.Unix(1_800_000_000, 0)

func middle() float64 { return 0.5 } // no jitter

// TestLost plays the ends of app sockets: each line is one, and whether it is
// worth to look for another and how long the first attempt waits.
func TestLost(t *testing.T) {
	type end struct {
		at       time.Duration // of the end, since the session began
		attached bool
		wait     time.Duration // -1: it is given up
		back     time.Duration // when the app is back
	}
	for name, ends := range map[string][]end{
		"accidents": {
			{time.Second, true, 0, 2 * time.Second},
			{12 * time.Second, true, 0, 13 * time.Second},
			{23 * time.Second, false, 0, 24 * time.Second},
		},
		"a crash loop is slowed down, and given up after the patience": {
			{time.Second, true, 0, 2 * time.Second},
			{3 * time.Second, true, 100 * time.Millisecond, 4 * time.Second},
			{5 * time.Second, true, 200 * time.Millisecond, 6 * time.Second},
			{7 * time.Second, true, 400 * time.Millisecond, 8 * time.Second},
			{9 * time.Second, true, 800 * time.Millisecond, 15 * time.Second},
			{17 * time.Second, true, 1600 * time.Millisecond, 20 * time.Second},
			{22 * time.Second, true, 1600 * time.Millisecond, 30 * time.Second},
			{33 * time.Second, true, -1, 0},
		},
		"without a client it is given up sooner": {
			{time.Second, false, 0, 2 * time.Second},
			{3 * time.Second, false, 100 * time.Millisecond, 4 * time.Second},
			{5 * time.Second, false, 200 * time.Millisecond, 6 * time.Second},
			{7 * time.Second, false, -1, 0},
		},
		"a socket that lives ends a crash loop": {
			{time.Second, true, 0, 2 * time.Second},
			{3 * time.Second, true, 100 * time.Millisecond, 4 * time.Second},
			{14 * time.Second, true, 0, 15 * time.Second},
			{16 * time.Second, true, 100 * time.Millisecond, 17 * time.Second},
		},
	} {
		var h History
		for i, e := range ends {
			now := start.Add(e.at)
			s, ok := h.Lost(now, e.attached, patience, middle)
			wait := s.Due.Sub(now)
			if !ok {
				wait = -1
			}
			if wait != e.wait || ok && s.End != now.Add(patience) {
				t.Errorf("%s: end %d: waits %v until %v, want %v", name, i+1, wait, s.End, e.wait)
			}
			h.Made(start.Add(e.back), &s)
		}
	}
}

func TestFailed(t *testing.T) {
	var h History
	s, _ := h.Lost(start, true, patience, middle)
	now := start
	for i, want := range []int{100, 200, 400, 800, 1600, 1600, 1600} {
		if ok := s.Failed(now); !ok || s.Due.Sub(now) != time.Duration(want)*time.Millisecond {
			t.Errorf("attempt %d: %v, %v, want %v ms", i+1, s.Due.Sub(now), ok, want)
		}
		now = s.Due
	}
	if s.Failed(s.End) {
		t.Error("it goes on behind the end")
	}
}

// An app that was away between two refusals has just started again.
func TestDeniedAnew(t *testing.T) {
	var h History
	s, _ := h.Lost(start, true, patience, middle)
	s.Denied(start)
	s.Failed(start.Add(settling / 2))
	if s.Denied(start.Add(settling)) {
		t.Error("its word counts at once")
	}
	// Near the end of the search it has its time too.
	s, _ = h.Lost(start, true, patience, middle)
	s.Denied(start.Add(patience))
	if !s.Due.Before(s.End) {
		t.Error("it is not asked again")
	}
}

// An app that does not accept the handshake waits for a new one: of a client
// that is there for as long as the app was waited for, and of one that is away
// until it comes.
func TestDenied(t *testing.T) {
	var h History
	s, _ := h.Lost(start, true, patience, middle)
	denied := start.Add(5 * time.Second)
	for now := denied; !s.Denied(now); now = s.Due {
		if s.Due != now.Add(settlingPause) || s.Due.After(denied.Add(settling)) {
			t.Fatalf("%v after its first no the app is asked again after %v", now.Sub(denied), s.Due.Sub(now))
		}
	}
	denied = denied.Add(settling)
	f := Facts{Now: denied, Said: true, Attached: true, Denied: true}
	end := denied.Add(patience)
	if got := s.Next(&f); got != (Wait{end}) {
		t.Errorf("with a client: %#v, want to wait for it", got)
	}
	f.Denied = false
	if got := s.Next(&f); got != (Dial{}) {
		t.Errorf("with a new handshake: %#v, want a dial", got)
	}
	f.Denied, f.Now = true, end
	if got := s.Next(&f); got != (GiveUp{}) {
		t.Errorf("without one: %#v, want to give up", got)
	}
	f.Attached = false
	if got := s.Next(&f); got != (Wait{}) {
		t.Errorf("without a client: %#v, want to wait for it", got)
	}
}
