package load

import (
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/fake"
)

// talkPast makes bursts of n with a pause after each, and confirms at the end.
func talkPast(t *testing.T, n, bursts int, pause time.Duration) *AckMeter {
	t.Helper()
	w := AckMeter{Limit: 50 * time.Millisecond}
	withFake(t, &fake.Sidecar{Resilient: true, BeatEvery: 9}, func(t *testing.T, p *Client) {
		w.Client = p
		for range bursts {
			if err := w.Burst([]byte("x"), n); err != nil {
				t.Fatal(err)
			}
			time.Sleep(pause) // of the bubble
		}
		if err := w.Confirm(); err != nil {
			t.Fatal(err)
		}
	})
	return &w
}

func TestWitnessOfPunctualPeer(t *testing.T) {
	for _, n := range []int{1, 16, 100} {
		if w := talkPast(t, n, 40, 7*time.Millisecond); w.Late != 0 || w.Messages != int64(40*n) {
			t.Errorf("bursts of %d: %d of %d late", n, w.Late, w.Messages)
		}
	}
}

// An acknowledgement is proven by the burst after it. With 16 ms in between,
// the oldest of three messages is 48 ms old by then, and with 17 ms 51 ms.
func TestWitnessKnowsTheLimit(t *testing.T) {
	if w := talkPast(t, 1, 30, 16*time.Millisecond); w.Late != 0 {
		t.Errorf("%d late below the limit", w.Late)
	}
	if w := talkPast(t, 1, 30, 17*time.Millisecond); w.Late == 0 {
		t.Error("none late beyond the limit")
	}
}

// A peer that says nothing until it is asked is late with everything.
func TestWitnessOfLatePeer(t *testing.T) {
	if w := talkPast(t, 3, 10, 60*time.Millisecond); w.Late != w.Messages || w.Messages != 30 {
		t.Errorf("%d of %d late, want all", w.Late, w.Messages)
	}
}
