package proxy

import (
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/traceparent"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// A Tracer decides what is traced. What happens in a trace it hears as an Observer.
// It is safe for concurrent use and does not wait.
type Tracer interface {
	// Handshake returns the place in a trace of a handshake that comes from parent,
	// or from nowhere if that is zero. Zero: it is not traced.
	Handshake(parent traceparent.Parent) traceparent.Parent
	// Session returns the root of a session's own trace; zero: it is not traced.
	Session(id wire.SessionID, handshake *event.Subject) traceparent.Parent
	// Delivered is told of messages of clients and apps (Config.TraceMessages), under
	// the lock of their session.
	Delivered(id wire.SessionID, d session.Delivery)
}

// A traced is what a request has in a trace. The zero value is not traced.
type traced struct {
	span   traceparent.Parent // of the handshake
	parent [8]byte            // span that the client was in
	end    event.Event        // why the client has no session
}

// trace puts the handshake of a session into a trace, if it is to be in one: whoever
// is asked because of it, the app or another sidecar, hears of its span instead of
// the client's. Otherwise, and for all that is no session, what the client said of
// its trace passes as it came.
func (q *request) trace() {
	if q.s.cfg.Tracer == nil {
		return
	}
	parent := q.s.cfg.Propagators.Extract(q.r.Header.Values)
	q.span = q.s.cfg.Tracer.Handshake(parent)
	if q.span.IsZero() {
		return
	}
	q.parent = parent.SpanID
	came := traceparent.Propagators{traceparent.TraceContext}.Extract(q.r.Header.Values)
	q.r = q.s.within(q.r, q.span)
	now := traceparent.Propagators{traceparent.TraceContext}.Extract(q.r.Header.Values)
	if came.TraceID != now.TraceID {
		q.r.Header.Del("Tracestate") // it is of another trace
	}
}

// answered reports the handshake's span, when it is over.
func (q *request) answered() {
	if q.span.IsZero() {
		return
	}
	e := q.end
	e.Kind, e.Span, e.Parent, e.Took = event.Answered, q.span, q.parent, time.Since(q.began)
	q.observe(e)
}

// child returns a place below p, for a span of ours; zero below zero.
func child(p traceparent.Parent) traceparent.Parent {
	if !p.IsZero() {
		binary.BigEndian.PutUint64(p.SpanID[:], rand.Uint64()|1) // not zero
	}
	return p
}

// within returns r as a request from span; as it is, if that is zero.
func (s *Server) within(r *http.Request, span traceparent.Parent) *http.Request {
	if span.IsZero() {
		return r
	}
	own := r.WithContext(r.Context())
	own.Header = r.Header.Clone()
	s.cfg.Propagators.Inject(own.Header, span)
	return own
}

// trace is the root of the session's trace; zero: it is not traced.
func (c *sessionDriver) trace() traceparent.Parent {
	if c.srv.cfg.Tracer == nil {
		return traceparent.Parent{}
	}
	return c.srv.cfg.Tracer.Session(c.id, c.subject)
}
