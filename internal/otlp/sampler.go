package otlp

import (
	"encoding/binary"

	"github.com/wsresilience/wsresilience/internal/traceparent"
)

// A Sampler decides which traces are recorded (OTEL_TRACES_SAMPLER). The same trace
// has the same decision everywhere. The zero value records none.
type Sampler struct {
	believesParent bool   // who comes from a trace has the decision made there
	most           uint64 // of a trace's id, by its last eight bytes, shifted as they are compared
}

// bits63 is the range that a part of a trace's id is compared in, as by the SDKs.
const bits63 = 1 << 63

// NewSampler returns one that records that part of all traces, from 0 to 1. With
// believesParent that is for those that begin here.
func NewSampler(believesParent bool, part float64) Sampler {
	s := Sampler{believesParent: believesParent}
	switch {
	case part >= 1:
		s.most = bits63
	case part > 0:
		s.most = uint64(part * bits63)
	}
	return s
}

// Samples reports whether the trace is recorded that p is a place in. begins says
// that it begins there, so that nobody has decided yet.
func (s Sampler) Samples(p traceparent.Parent, begins bool) bool {
	if s.believesParent && !begins {
		return p.Sampled()
	}
	return binary.BigEndian.Uint64(p.TraceID[8:])>>1 < s.most
}

// Never reports whether no trace is ever recorded.
func (s Sampler) Never() bool { return s.most == 0 && !s.believesParent }
