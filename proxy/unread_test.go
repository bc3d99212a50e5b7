package proxy

import (
	"testing"
	"time"
)

// TestUnread plays when a socket is read and when it is not, in seconds.
func TestUnread(t *testing.T) {
	type note struct {
		at     time.Duration
		paused bool
	}
	for name, c := range map[string]struct {
		notes []note
		at    time.Duration
		since time.Duration
		ok    bool
	}{
		"always read":                      {nil, 5, 0, false},
		"not read":                         {[]note{{3, true}}, 100, 3, true},
		"read again a moment ago":          {[]note{{3, true}, {50, false}}, 51, 3, true},
		"read again for a while":           {[]note{{3, true}, {50, false}}, 53, 0, false},
		"read now and then":                {[]note{{3, true}, {50, false}, {51, true}, {52, false}, {53, true}}, 60, 3, true},
		"not read, and much later again":   {[]note{{3, true}, {50, false}, {60, true}}, 61, 60, true},
		"not read from the beginning":      {[]note{{0, true}}, 1, 0, true},
		"said twice, and then it was read": {[]note{{3, true}, {9, true}, {10, false}}, 11, 3, true},
		"for longer than a counter lasts":  {[]note{{5_000_000, true}}, 5_000_003, 5_000_000, true},
	} {
		var u unread
		for _, n := range c.notes {
			u.note(n.at*time.Second, n.paused) //nolint:durationcheck // seconds, as a number
		}
		age, ok := u.at(c.at * time.Second)                        //nolint:durationcheck // the same
		if ok != c.ok || ok && age != (c.at-c.since)*time.Second { //nolint:durationcheck // the same
			t.Errorf("%s: for %v, %v", name, age, ok)
		}
	}
}
