package monotime

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMoment(t *testing.T) {
	for name, at := range map[string]time.Time{
		"now":           time.Now(),
		"long ago":      time.Now().Add(-1000 * time.Hour),
		"the beginning": epoch,
		"a mere date":   time.Date(2000, 1, 2, 3, 4, 5, 6, time.UTC),
	} {
		back := At(at).Time()
		if d := back.Sub(at).Abs(); d > 1 || At(at).IsZero() {
			t.Errorf("%s: off by %v", name, d)
		}
	}
	if !At(time.Time{}).IsZero() || !Time(0).Time().IsZero() {
		t.Error("none is not none")
	}
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		later := At(now.Add(time.Minute))
		time.Sleep(time.Minute)
		if d := time.Since(later.Time()); d != 0 {
			t.Errorf("in a bubble: off by %v", d)
		}
	})
}

func TestNext(t *testing.T) {
	for _, tc := range []struct{ m, want Time }{{1, 40}, {39, 40}, {40, 80}, {41, 80}, {-41, -40}, {-79, -40}, {-80, -40}} {
		if got := tc.m.Next(40); got != tc.want {
			t.Errorf("after %d comes %d, want %d", tc.m, got, tc.want)
		}
	}
}
