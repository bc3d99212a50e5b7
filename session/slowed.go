package session

import "sync/atomic"

// A Limit is what a client was slowed for.
type Limit uint8

// The values of Limit: one of Rates, or the memory for messages that have not come
// whole.
const (
	LimitMessages Limit = iota
	LimitBytes
	LimitControl
	LimitResumes
	LimitMemory

	limits = iota
)

// Slowed is how often clients were slowed, by Limit.
type Slowed [limits]uint64

// Slowings counts how often clients of all sessions were slowed: a pause counts
// once. The zero value is ready; it is safe for concurrent use.
type Slowings [limits]atomic.Uint64

// Count counts one.
func (s *Slowings) Count(l Limit) {
	if s != nil {
		s[l].Add(1)
	}
}

// Slowed returns what was counted so far.
func (s *Slowings) Slowed() (n Slowed) {
	for i := range s {
		n[i] = s[i].Load()
	}
	return n
}
