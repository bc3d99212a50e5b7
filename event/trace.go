package event

import (
	"crypto/sha256"

	"github.com/wsresilience/wsresilience/internal/traceparent"
	"github.com/wsresilience/wsresilience/wire"
)

// SessionTrace is the root of a session's own trace. Its id is the session's, and its
// span's follows from that: so whoever owns the session, after an adoption too, adds
// to the same trace without having been told of it.
func SessionTrace(id wire.SessionID) traceparent.Parent {
	p := traceparent.Parent{TraceID: id, Flags: traceparent.Sampled | traceparent.Random}
	sum := sha256.Sum256(append([]byte("wsr session span "), id[:]...))
	copy(p.SpanID[:], sum[:])
	return p
}
