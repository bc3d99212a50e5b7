package merge

// MaxDevices is of how many devices a Vector knows: more than may share a session.
const MaxDevices = 256

// A Vector knows how many messages of each device have come: a version vector. Those
// of one device come in order, and may come again. The zero value is ready. It is not
// safe for concurrent use.
type Vector struct{ came map[uint16]uint32 }

// Fresh reports whether message n of a device has not come before, and notes that it
// has. Numbers are serial (RFC 1982).
func (v *Vector) Fresh(device uint16, n uint32) bool {
	if v.came == nil {
		v.came = map[uint16]uint32{}
	}
	came, known := v.came[device]
	if known && int32(n-came) <= 0 {
		return false
	}
	if !known && len(v.came) == MaxDevices {
		v.forget()
	}
	v.came[device] = n
	return true
}

// forget makes room for a device: the one with the lowest number goes, which joined
// first.
func (v *Vector) forget() {
	lowest := ^uint16(0)
	for device := range v.came {
		lowest = min(lowest, device)
	}
	delete(v.came, lowest)
}
