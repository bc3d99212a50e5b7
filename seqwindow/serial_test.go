package seqwindow

import (
	"math"
	"testing"
)

func TestSerialOrder(t *testing.T) {
	const top Serial = 1<<32 - 1
	for _, c := range []struct {
		a, b Serial
		less bool
		diff int32
	}{
		{0, 1, true, -1},
		{1, 0, false, 1},
		{5, 5, false, 0},
		{top, 0, true, -1},
		{0, top, false, 1},
		{top - 2, 3, true, -6},
		{0, 1<<31 - 1, true, -(1<<31 - 1)},
		{top, 1<<31 - 2, true, -(1<<31 - 1)},
		{0, 1 << 31, false, math.MinInt32}, // RFC 1982 §3.2: no order
		{1 << 31, 0, false, math.MinInt32},
	} {
		equal(t, "Less", Less(c.a, c.b), c.less)
		equal(t, "LessEq", LessEq(c.a, c.b), c.less || c.a == c.b)
		equal(t, "Diff", Diff(c.a, c.b), c.diff)
	}
	equal(t, "Add over the wrap", Add(top, 2), 1)
	equal(t, "Add back over the wrap", Add(1, -2), top)
}

// FuzzSerial compares the arithmetic with the definition in RFC 1982 §3.2,
// written out.
func FuzzSerial(f *testing.F) {
	f.Add(uint32(0), uint32(1)<<31)
	f.Add(uint32(math.MaxUint32), uint32(0))
	f.Add(uint32(7), uint32(7))
	f.Fuzz(func(t *testing.T, a, b uint32) {
		i1, i2 := int64(a), int64(b)
		less := i1 < i2 && i2-i1 < 1<<31 || i1 > i2 && i1-i2 > 1<<31
		equal(t, "Less", Less(Serial(a), Serial(b)), less)
		equal(t, "LessEq", LessEq(Serial(a), Serial(b)), less || a == b)
		equal(t, "Diff and Add", Add(Serial(b), int(Diff(Serial(a), Serial(b)))), Serial(a))
	})
}
