package merge

// MaxRegisters is how many keys Registers know.
const MaxRegisters = 1024

// Registers know the last write of each key: the one with the highest stamp, in
// whatever order they come, and however often. The zero value is ready. They are not
// safe for concurrent use.
type Registers struct {
	last  map[string]Stamp
	floor Stamp // the highest stamp that was forgotten
}

// Last returns the stamp of a key's last write; the zero Stamp: none is known.
func (r *Registers) Last(key string) Stamp { return r.last[key] }

// Len returns how many keys are known.
func (r *Registers) Len() int { return len(r.last) }

// Put reports whether a write is the last one of its key now: it is stale if another
// with a higher stamp has come. A repetition of the last one is stale too. Of a key
// that was forgotten, or never known, a write counts if it is behind all that were
// forgotten.
func (r *Registers) Put(key string, s Stamp) bool {
	if r.last == nil {
		r.last = map[string]Stamp{}
	}
	last, known := r.last[key]
	if !known {
		last = r.floor
	}
	if s.Compare(last) <= 0 {
		return false
	}
	if !known && len(r.last) == MaxRegisters {
		r.forget()
	}
	r.last[key] = s
	return true
}

// forget makes room for a key: that of the earliest write goes.
func (r *Registers) forget() {
	oldest := ""
	for key, s := range r.last {
		if oldest == "" || s.Compare(r.last[oldest]) < 0 {
			oldest = key
		}
	}
	if s := r.last[oldest]; r.floor.Compare(s) < 0 {
		r.floor = s
	}
	delete(r.last, oldest)
}

// All calls f for each key.
func (r *Registers) All(f func(key string, s Stamp)) {
	for key, s := range r.last {
		f(key, s)
	}
}
