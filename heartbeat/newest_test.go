package heartbeat

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

func TestNewestAccept(t *testing.T) {
	const top = math.MaxUint32
	tests := []struct {
		name  string
		seqs  []uint32
		fresh []bool
	}{
		{"any first beat", []uint32{1 << 31, 1<<31 + 1}, []bool{true, true}},
		{"zero as the first beat", []uint32{0, 0, 1}, []bool{true, false, true}},
		{"a repetition", []uint32{5, 5}, []bool{true, false}},
		{"an older one, then the next", []uint32{5, 4, 6}, []bool{true, false, true}},
		{"a gap is not an error", []uint32{5, 900, 6}, []bool{true, true, false}},
		{"across the wrap", []uint32{top - 1, top, 0, 1, top, 0}, []bool{true, true, true, true, false, false}},
		{"the farthest newer number", []uint32{7, 7 + 1<<31 - 1}, []bool{true, true}},
		{"exactly 2^31 away is unordered", []uint32{7, 7 + 1<<31, 8}, []bool{true, false, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var n Newest
			for i, seq := range tt.seqs {
				err := n.Accept(Payload{Seq: seq})
				if (err == nil) != tt.fresh[i] || (err != nil && !errors.Is(err, ErrStale)) {
					t.Errorf("beat %d, seq %d: %v, fresh should be %v", i, seq, err, tt.fresh[i])
				}
			}
		})
	}
}

// FuzzNewest walks in signed 16-bit steps, so that a 64-bit counter that
// never wraps is the naive model.
func FuzzNewest(f *testing.F) {
	f.Add(uint32(math.MaxUint32), []byte{0, 1, 0, 1, 0xFF, 0xFF, 0, 2})
	f.Add(uint32(0), []byte{0xFF, 0xFE, 0, 3})
	f.Fuzz(func(t *testing.T, start uint32, steps []byte) {
		var n Newest
		at := int64(start) + 1<<40 // room to step back; a multiple of 2^32
		newest := int64(math.MinInt64)
		for len(steps) >= 2 {
			at += int64(int16(binary.BigEndian.Uint16(steps)))
			steps = steps[2:]
			if newest-at > math.MaxInt32 {
				return // beyond what serial arithmetic can order
			}
			fresh := n.Accept(Payload{Seq: uint32(at)}) == nil
			if fresh != (at > newest) {
				t.Fatalf("seq %d after %d: accepted %v", at, newest, fresh)
			}
			newest = max(newest, at)
		}
	})
}
