package budget

import "testing"

func TestBudget(t *testing.T) {
	b := New(100)
	if !b.Take(80) || b.Scarce() || b.Take(21) || !b.Take(8) || !b.Scarce() || b.UsedUp() {
		t.Fatalf("used %d of %d: scarce %v, used up %v", b.Used(), b.Limit(), b.Scarce(), b.UsedUp())
	}
	b.Charge(20)
	if !b.UsedUp() || b.Used() != 108 {
		t.Errorf("used %d, used up %v; want 108, and so", b.Used(), b.UsedUp())
	}
	b.Charge(-108)
	if b.Used() != 0 || b.Scarce() {
		t.Errorf("used %d after all was given back", b.Used())
	}
	if none := New(0); !none.Take(1<<40) || none.Scarce() || none.UsedUp() {
		t.Error("a budget without limit has one")
	}
}

// A share leaves the rest to others, and has a part that others cannot take.
func TestShare(t *testing.T) {
	b := New(800)
	s := b.Share(400)
	var first, second, third Hold
	if !first.Grow(s, 300) || !second.Grow(s, 100) {
		t.Fatal("what fits was refused")
	}
	// The first that does not fit goes through, so that somebody gets on.
	if !first.Grow(s, 500) || s.Used() != 600 || b.Used() != 600 {
		t.Fatalf("used %d, in all %d; want 600", s.Used(), b.Used())
	}
	if third.Grow(s, 10) || third.Grow(s, 20) || !third.Waiting() || s.Waiting() != 1 || s.Waits() != 1 {
		t.Fatal("a second one goes through")
	}
	if !first.Grow(s, 700) {
		t.Error("the one that was let through has to wait")
	}
	first.Release(s)
	if !third.Grow(s, 10) || third.Waiting() || s.Waiting() != 0 {
		t.Error("it waits although there is memory")
	}
	second.Release(s)
	third.Release(s)
	if s.Used() != 0 || b.Used() != 0 {
		t.Errorf("used %d, in all %d, after all was given back", s.Used(), b.Used())
	}

	b.Charge(800) // by others
	if !first.Grow(s, 30) || first.beyond {
		t.Error("the share's own part was refused")
	}
	if !second.Grow(s, 20) || second.beyond {
		t.Error("the share's own part was refused before it was used")
	}
	if !third.Grow(s, 50) || !third.beyond {
		t.Error("beyond its own part the share takes what others have")
	}
}

func TestHoldOfNoShare(t *testing.T) {
	var h Hold
	if !h.Grow(nil, 1<<40) {
		t.Error("refused")
	}
	h.Release(nil)
}

func FuzzHolds(f *testing.F) {
	f.Add([]byte{1, 200, 2, 250, 3, 90, 1, 0, 2, 0, 3, 0})
	f.Fuzz(func(t *testing.T, steps []byte) {
		b := New(1000)
		s := b.Share(750)
		var holds [8]Hold
		for ; len(steps) >= 2; steps = steps[2:] {
			h := &holds[steps[0]%8]
			if steps[1] == 0 {
				h.Release(s)
			} else {
				h.Grow(s, int64(steps[1])*5)
			}
			var sum, waiting int64
			beyond := 0
			for i := range holds {
				sum += holds[i].bytes
				if holds[i].waiting {
					waiting++
				}
				if holds[i].beyond {
					beyond++
				}
			}
			if sum != s.Used() || sum != b.Used() || waiting != s.Waiting() || beyond > 1 {
				t.Fatalf("held %d, used %d of the share and %d of the budget; %d wait, %d known; %d beyond", sum, s.Used(), b.Used(), waiting, s.Waiting(), beyond)
			}
			if beyond == 0 && sum > 750 {
				t.Fatalf("%d bytes of a share of 750", sum)
			}
		}
	})
}
