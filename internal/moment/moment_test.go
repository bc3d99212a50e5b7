package moment

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
	if !At(time.Time{}).IsZero() || !Moment(0).Time().IsZero() {
		t.Error("none is not none")
	}
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		later := At(now.Add(time.Minute))
		time.Sleep(time.Minute)
		if d := time.Now().Sub(later.Time()); d != 0 {
			t.Errorf("in a bubble: off by %v", d)
		}
	})
}
