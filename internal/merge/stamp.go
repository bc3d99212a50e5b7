// Package merge decides which of several writes counts that devices made without
// knowing of each other. It does no I/O and reads no clock.
package merge

import "cmp"

// A Stamp is an instant of a hybrid logical clock: the time of the write as its device
// had it, unless that device had seen a later write; then right behind that one.
// Between equal instants the number of the device decides, so that no two stamps of
// different devices are equal.
type Stamp struct {
	Time   int64  // ms since 1970
	Count  uint32 // of writes that follow on each other in that ms
	Device uint16
}

// Compare returns a negative number if s is before o.
func (s Stamp) Compare(o Stamp) int {
	return cmp.Or(cmp.Compare(s.Time, o.Time), cmp.Compare(s.Count, o.Count), cmp.Compare(s.Device, o.Device))
}

// Next returns the stamp of a write that a device made at a time, having seen a write
// with the stamp seen; the zero Stamp: none.
func Next(device uint16, time int64, seen Stamp) Stamp {
	if time > seen.Time {
		return Stamp{Time: time, Device: device}
	}
	return Stamp{Time: seen.Time, Count: seen.Count + 1, Device: device}
}
