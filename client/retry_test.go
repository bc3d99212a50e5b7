package client

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/wire"
)

// comeback returns when a client makes its first attempt after a loss, and the
// longest of the waits that follow, if the sidecar asked for first and most.
func comeback(t *testing.T, seed uint64, opts *Options, first, most time.Duration) (at, longest time.Duration) {
	t.Helper()
	cfg, err := opts.settings()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	m := newMachine(cfg, rand.New(rand.NewPCG(seed, 1)))
	conn := m.attach(now, m.firstOffer())
	w := welcome(wire.StatusNew, 0, 1)
	w.RetryFirstMillis, w.RetryMostMillis = uint32(first.Milliseconds()), uint32(most.Milliseconds())
	m.welcome(now, conn, w)
	now = now.Add(time.Minute)
	m.drop(now, conn, &wire.CloseError{Code: 1006}, false)
	at = m.dial.at.Sub(now)
	for range 40 {
		now = m.dial.at
		m.dial.busy = true
		m.dialFailed(now)
		longest = max(longest, m.dial.at.Sub(now))
	}
	return at, longest
}

// A client that loses its connection alone, of a small sidecar, is back at once.
func TestFirstAttemptOfFew(t *testing.T) {
	first, most := backoff.Load{Sessions: 1}.Asked()
	for seed := range uint64(20) {
		if at, longest := comeback(t, seed, &Options{}, first, most); at > 10*time.Millisecond || longest > 5*time.Second {
			t.Errorf("first attempt after %v, waits up to %v", at, longest)
		}
	}
	if at, _ := comeback(t, 1, &Options{}, 0, 0); at != 0 {
		t.Errorf("nothing was asked for: first attempt after %v", at)
	}
}

// A thousand clients that lose their sidecar in one moment are spread over more
// than two seconds.
func TestFirstAttemptsOfMany(t *testing.T) {
	var all []time.Duration
	for n := range uint64(1000) {
		first, most := backoff.Load{Sessions: int(n) + 1}.Asked()
		at, _ := comeback(t, n, &Options{}, first, most)
		all = append(all, at)
	}
	slices.Sort(all)
	if spread := all[len(all)-1] - all[0]; spread < 2*time.Second {
		t.Errorf("all came within %v", spread)
	}
}

// The longest wait is what the sidecar asks for, unless the program has chosen
// one.
func TestLongestWait(t *testing.T) {
	for _, tc := range []struct {
		own, asked, want time.Duration
	}{
		{0, 0, 5 * time.Second},
		{0, 12 * time.Second, 12 * time.Second},
		{0, time.Hour, 30 * time.Second},
		{time.Second, 12 * time.Second, time.Second},
		{20 * time.Second, 5 * time.Second, 20 * time.Second},
	} {
		_, longest := comeback(t, 3, &Options{Backoff: Backoff{Max: tc.own, Jitter: -1}}, 0, tc.asked)
		if longest != tc.want {
			t.Errorf("own %v, asked %v: waits up to %v, want %v", tc.own, tc.asked, longest, tc.want)
		}
	}
}
