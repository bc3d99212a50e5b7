package merge

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// rounds is how many merges are simulated: `make merges` does a million.
var rounds = flag.Int("merges", 2000, "merges to simulate")

// A write is one that a device made: at a time of its own, having seen another.
type write struct {
	key   string
	stamp Stamp
	n     uint32
}

// writes are those of several devices with clocks that differ, each of which has seen
// some of what the others wrote before.
func writes(r *rand.Rand, devices int) (all []write) {
	counts := make([]uint32, devices)
	errors := make([]int64, devices)
	for i := range errors {
		errors[i] = r.Int64N(20) - 10
	}
	for now := range 5 + r.Int64N(20) {
		device := r.IntN(devices)
		w := write{key: fmt.Sprint(r.IntN(3))}
		var seen Stamp
		for _, o := range all {
			if o.key == w.key && r.IntN(2) == 0 && o.stamp.Compare(seen) > 0 {
				seen = o.stamp
			}
		}
		counts[device]++
		w.n, w.stamp = counts[device], Next(uint16(device+1), 1000+now+errors[device], seen)
		if w.stamp.Compare(seen) <= 0 {
			panic("a write is not behind what its device had seen")
		}
		all = append(all, w)
	}
	return all
}

// TestMerges: in whatever order writes come, and however often, the end is that of a
// model which knows all of them at once.
func TestMerges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, uint64(*rounds)))
	for range *rounds {
		all := writes(r, 2+r.IntN(4))
		want := map[string]Stamp{}
		for _, w := range all {
			if w.stamp.Compare(want[w.key]) > 0 {
				want[w.key] = w.stamp
			}
		}
		var registers Registers
		handed := map[string]Stamp{} // what the app got last
		come := slices.Clone(all)
		for range r.IntN(len(all)) {
			come = append(come, all[r.IntN(len(all))])
		}
		r.Shuffle(len(come), func(i, j int) { come[i], come[j] = come[j], come[i] })
		for _, w := range come {
			if registers.Put(w.key, w.stamp) {
				handed[w.key] = w.stamp
			}
		}
		if !maps.Equal(handed, want) {
			t.Fatalf("the app ends with %v, want %v, of %v", handed, want, come)
		}
		logs(t, r, all)
		versions(t, r)
	}
}

// logs: what each device says comes in its order, among that of the others, and some of
// it again. Each message is in the log once, and those of a device in their order.
func logs(t *testing.T, r *rand.Rand, all []write) {
	queues := map[uint16][]uint32{}
	for _, w := range all {
		queues[w.stamp.Device] = append(queues[w.stamp.Device], w.n)
	}
	var v Vector
	log := map[uint16][]uint32{}
	left := maps.Clone(queues)
	for len(left) > 0 {
		devices := slices.Sorted(maps.Keys(left))
		d := devices[r.IntN(len(devices))]
		if came := len(queues[d]) - len(left[d]); came > 0 && r.IntN(3) == 0 {
			left[d] = queues[d][r.IntN(came):] // its connection broke: it says some of it again
		}
		if n := left[d][0]; v.Fresh(d, n) {
			log[d] = append(log[d], n)
		}
		if left[d] = left[d][1:]; len(left[d]) == 0 {
			delete(left, d)
		}
	}
	if !maps.EqualFunc(log, queues, slices.Equal) {
		t.Fatalf("the log is %v, want %v", log, queues)
	}
}

// versions: devices write on what they have seen, the app follows what it gets and says
// the next version. No write is lost: each that the app got was made on the one before.
func versions(t *testing.T, r *rand.Rand) {
	var v Versions
	present := 0
	seen := make([]int, 3)
	var under []int // what the app has not followed yet
	for now := range int64(60) {
		switch d := r.IntN(3); r.IntN(3) {
		case 0:
			seen[d] = present
		case 1:
			if v.Put(now, "k", uint16(d+1), fmt.Sprint(seen[d]), fmt.Sprint(present)) {
				if seen[d] != present {
					t.Fatalf("a write on version %d passes at %d", seen[d], present)
				}
				under = append(under, d)
			}
		default:
			for _, other := range under {
				if other != under[0] {
					t.Fatalf("devices %d and %d wrote on version %d", under[0], other, present)
				}
			}
			if len(under) > 0 {
				under = nil
				present++
			}
		}
	}
}

// TestBounds: what is forgotten lets no older write pass.
func TestBounds(t *testing.T) {
	var r Registers
	for i := range 3 * MaxRegisters {
		if !r.Put(fmt.Sprint(i), Stamp{Time: int64(i + 1), Device: 1}) {
			t.Fatalf("write %d does not count", i)
		}
	}
	if len(r.last) != MaxRegisters || r.Put("0", Stamp{Time: 1, Device: 9}) || r.Put("new", Stamp{Time: 5}) {
		t.Errorf("%d keys are known, and a write counts that is older than what was forgotten", len(r.last))
	}
	var v Vector
	for d := range uint16(2 * MaxDevices) {
		v.Fresh(d, 7)
	}
	if len(v.came) != MaxDevices || v.Fresh(2*MaxDevices-1, 7) {
		t.Errorf("%d devices are known", len(v.came))
	}
	var s Versions
	for i := range 3 * MaxRegisters {
		s.Put(0, fmt.Sprint(i), 1, "", "")
	}
	if len(s.claims) > MaxRegisters {
		t.Errorf("%d writes are under way", len(s.claims))
	}
	if s.Put(1, fmt.Sprint(3*MaxRegisters-1), 2, "", "") || !s.Put(claimTime, fmt.Sprint(3*MaxRegisters-1), 2, "", "") {
		t.Error("a write that the app does not follow holds up others for another time than it should")
	}
}
