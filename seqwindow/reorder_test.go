package seqwindow

import (
	"math/rand/v2"
	"testing"
)

func TestReorderReleasesInOrder(t *testing.T) {
	r := NewReorder[string](Limits{Messages: 3, Bytes: 10}, 1<<32-2)
	put := func(seq Serial, size int, want Verdict) {
		t.Helper()
		if got := r.Put(seq, size, "x"); got != want {
			t.Fatalf("Put(%d): %v, want %v", seq, got, want)
		}
	}
	put(0, 4, Fresh)
	put(0, 4, Duplicate)
	put(1<<32-2, 1, Duplicate) // released before
	put(2, 1, Gap)             // a fourth place
	put(1<<31-1, 1, Gap)       // no order
	put(1, 7, Gap)             // more bytes than allowed
	put(1, 6, Fresh)
	if _, _, ok := r.Take(); ok {
		t.Fatal("released a message before the one that is missing")
	}
	put(1<<32-1, 100, Fresh) // its turn: always taken
	for _, want := range []Serial{1<<32 - 1, 0, 1} {
		seq, _, ok := r.Take()
		equal(t, "released", ok, true)
		equal(t, "order", seq, want)
	}
	equal(t, "Received", r.Received(), 1)
	equal(t, "Bytes", r.Bytes(), 0)
}

// FuzzReorder compares with a map of everything that is held.
func FuzzReorder(f *testing.F) {
	rng := rand.New(rand.NewPCG(2, 1982))
	for range 4 {
		var script []byte
		for range 200 {
			script = append(script, byte(rng.UintN(256)), byte(rng.UintN(40)))
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		const messages, limit = 6, 100
		r := NewReorder[int](Limits{Messages: messages, Bytes: limit}, nearWrap)
		held, total, next := map[int]int{}, 0, 1 // place to size; places from 1
		for ; len(script) >= 2; script = script[2:] {
			if script[0]%4 == 0 {
				size, here := held[next]
				seq, msg, ok := r.Take()
				equal(t, "Take", ok, here)
				if ok {
					equal(t, "seq", seq, Add(nearWrap, next))
					equal(t, "message", msg, next)
					delete(held, next)
					total -= size
					next++
				}
			} else {
				i, size := next+int(script[0]>>2)%(messages+4)-2, int(script[1])
				_, here := held[i]
				want := Fresh
				switch {
				case i < next || here:
					want = Duplicate
				case i >= next+messages || i != next && total+size > limit:
					want = Gap
				default:
					held[i] = size
					total += size
				}
				equal(t, "Put", r.Put(Add(nearWrap, i), size, i), want)
			}
			equal(t, "Bytes", r.Bytes(), total)
			equal(t, "Received", r.Received(), Add(nearWrap, next-1))
		}
	})
}

func TestReorderDoesNotAllocate(t *testing.T) {
	r := NewReorder[[]byte](Limits{Messages: 8}, nearWrap)
	msg := make([]byte, 64)
	allocs := testing.AllocsPerRun(1000, func() {
		for ahead := 8; ahead > 0; ahead-- {
			if v := r.Put(Add(r.Received(), ahead), len(msg), msg); v != Fresh {
				t.Fatalf("%d ahead: %v", ahead, v)
			}
		}
		for range 8 {
			r.Take()
		}
	})
	if allocs != 0 {
		t.Fatalf("%v allocations per round, want none", allocs)
	}
}
