package proxy

import (
	"testing"
	"time"
)

// One hanging attempt does not use a search up.
func TestRedialUntil(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, tc := range []struct{ left, want time.Duration }{
		{time.Minute, 30 * time.Second}, {30 * time.Second, 15 * time.Second}, {15 * time.Second, 10 * time.Second}, {5 * time.Second, 5 * time.Second},
	} {
		if got := redialUntil(now, now.Add(tc.left)).Sub(now); got != tc.want {
			t.Errorf("%v left: %v, want %v", tc.left, got, tc.want)
		}
	}
}
