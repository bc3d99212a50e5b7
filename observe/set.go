package observe

import (
	"iter"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wsresilience/wsresilience/event"
)

// A set is one counter per value of a label. It is made whole, so that a
// series is there, with 0, before its first event, and alerts can rely on it.
type set[T event.Label] []prometheus.Counter

// newSet makes the counters for the last label of vec; before are the values
// of the ones in front of it.
func newSet[T event.Label](vec *prometheus.CounterVec, values iter.Seq[T], before ...string) (s set[T]) {
	for value := range values {
		for len(s) <= int(value) {
			s = append(s, nil)
		}
		s[value] = vec.WithLabelValues(append(before[:len(before):len(before)], value.String())...)
	}
	return s
}

// inc counts one event. A value without a name is a mistake in the program,
// and not worth a panic under a session's lock.
func (s set[T]) inc(value T) {
	if int(value) < len(s) && s[value] != nil {
		s[value].Inc()
	}
}

// span yields the values from first to last.
func span[T event.Label](first, last T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := first; v <= last && yield(v); v++ {
		}
	}
}
