package main

import (
	"testing"
	"time"
)

// talkPast makes bursts of n with a pause after each, and confirms at the end.
func talkPast(t *testing.T, n, bursts int, pause time.Duration) *witness {
	t.Helper()
	w := witness{limit: persistDefault}
	withFake(t, &fake{resilient: true, beatEvery: 9}, func(t *testing.T, p *peer) {
		w.peer = p
		for range bursts {
			if err := w.burst([]byte("x"), n); err != nil {
				t.Fatal(err)
			}
			time.Sleep(pause) // of the bubble
		}
		if err := w.confirm(); err != nil {
			t.Fatal(err)
		}
	})
	return &w
}

func TestWitnessOfPunctualPeer(t *testing.T) {
	for _, n := range []int{1, 16, 100} {
		if w := talkPast(t, n, 40, 7*time.Millisecond); w.late != 0 || w.messages != int64(40*n) {
			t.Errorf("bursts of %d: %d of %d late", n, w.late, w.messages)
		}
	}
}

// An acknowledgement is proven by the burst after it. With 16 ms in between,
// the oldest of three messages is 48 ms old by then, and with 17 ms 51 ms.
func TestWitnessKnowsTheLimit(t *testing.T) {
	if w := talkPast(t, 1, 30, 16*time.Millisecond); w.late != 0 {
		t.Errorf("%d late below the limit", w.late)
	}
	if w := talkPast(t, 1, 30, 17*time.Millisecond); w.late == 0 {
		t.Error("none late beyond the limit")
	}
}

// A peer that says nothing until it is asked is late with everything.
func TestWitnessOfLatePeer(t *testing.T) {
	if w := talkPast(t, 3, 10, 60*time.Millisecond); w.late != w.messages || w.messages != 30 {
		t.Errorf("%d of %d late, want all", w.late, w.messages)
	}
}
