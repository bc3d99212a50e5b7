// Package tracing makes spans of what a sidecar reports (docs/TRACES.md). A handshake
// has spans in the trace that its client came with; a session has a trace of its own,
// to which all its owners add. Spans link from one to the other.
package tracing

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/otlp"
	"github.com/wsresilience/wsresilience/internal/traceparent"
	"github.com/wsresilience/wsresilience/wire"
)

// Names of spans.
const (
	spanHandshake  = "handshake"
	spanDial       = "dial app"
	spanTunnel     = "tunnel"
	spanSession    = "session"
	spanAttach     = "attach"
	spanResume     = "resume"
	spanAdopt      = "adopt"
	spanConnection = "connection"
	spanRestart    = "app restart"
	spanPlain      = "websocket"
	spanMessage    = "message"
)

// A Tracer is the proxy's Tracer and Observer. It is safe for concurrent use, and
// waits for nothing but a short lock.
type Tracer struct {
	sampler otlp.Sampler
	add     func(otlp.Span)

	mu       sync.Mutex
	sessions map[wire.SessionID]*life // those that are traced and live here
}

// New returns a Tracer that hands spans to add, which must not wait.
func New(sampler otlp.Sampler, add func(otlp.Span)) *Tracer {
	return &Tracer{sampler: sampler, add: add, sessions: map[wire.SessionID]*life{}}
}

// Handshake implements proxy.Tracer.
func (t *Tracer) Handshake(parent traceparent.Parent) traceparent.Parent {
	own, begins := parent, parent.IsZero()
	if begins {
		binary.BigEndian.PutUint64(own.TraceID[:], rand.Uint64())
		binary.BigEndian.PutUint64(own.TraceID[8:], rand.Uint64()|1) // not zero
		own.Flags = traceparent.Random
	}
	if !t.sampler.Samples(own, begins) {
		return traceparent.Parent{}
	}
	own.SpanID = newSpanID()
	own.Flags |= traceparent.Sampled
	return own
}

// Session implements proxy.Tracer: a session is traced if the handshake is that it
// began with here.
func (t *Tracer) Session(id wire.SessionID, handshake *event.Subject) traceparent.Parent {
	if p := handshake.Trace(); p.IsZero() || !t.sampler.Samples(p, false) {
		return traceparent.Parent{}
	}
	return event.SessionTrace(id)
}

func newSpanID() (id [8]byte) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1) // not zero
	return id
}

// Observe implements event.Observer.
func (t *Tracer) Observe(e event.Event) {
	switch e.Kind {
	case event.Answered:
		t.answered(&e)
	case event.Dialled, event.Forwarded:
		t.asked(&e)
	case event.Journaled, event.RoundTrip, event.Refused, event.StoreChanged, event.StreamChanged, event.Short, event.ForeignRecord:
		return // of no session, or of all sessions all the time
	case event.Began:
		if e.Client == event.Plain {
			return // its span is made at its end
		}
	case event.Ended:
		if e.Client == event.Plain {
			t.plainEnded(&e)
			return
		}
	}
	if e.Session != (wire.SessionID{}) {
		t.ofSession(&e)
	}
}

// answered makes the span of a handshake.
func (t *Tracer) answered(e *event.Event) {
	s := span(spanHandshake, otlp.Server, e)
	s.TraceID, s.SpanID, s.Parent = e.Span.TraceID, e.Span.SpanID, e.Parent
	s.Attributes = about(e.Subject)
	switch {
	case e.Refusal != 0:
		s.Failure = "refused: " + e.Refusal.String()
	case e.Reset != 0:
		s.Failure = "reset: " + e.Reset.String()
	case e.Status != 0:
		s.Failure = "the app refused"
	}
	if e.Status != 0 {
		s.Attributes = append(s.Attributes, otlp.Int("http.response.status_code", int64(e.Status)))
	}
	if e.Fact != "" {
		s.Attributes = append(s.Attributes, otlp.Text("wsr.fact", e.Fact))
	}
	if e.Session != (wire.SessionID{}) {
		s.Attributes = append(s.Attributes, otlp.Text("wsr.session", e.Session.String()))
		s.Links = append(s.Links, linkTo(event.SessionTrace(e.Session)))
	}
	t.add(s)
}

// asked makes the span of what another was asked for because of a handshake, or of an
// app that is dialled again.
func (t *Tracer) asked(e *event.Event) {
	if e.Span.IsZero() {
		return
	}
	s := span(spanDial, otlp.Client, e)
	outcome := e.Answer.String()
	if e.Kind == event.Forwarded {
		s.Name, outcome = spanTunnel, e.Forward.String()
	}
	s.TraceID, s.SpanID, s.Parent = e.Span.TraceID, e.Span.SpanID, e.Parent
	s.Attributes = append(s.Attributes, otlp.Text("wsr.outcome", outcome))
	if e.Owner != "" {
		s.Attributes = append(s.Attributes, otlp.Text("server.address", e.Owner))
	}
	if e.Status != 0 {
		s.Attributes = append(s.Attributes, otlp.Int("http.response.status_code", int64(e.Status)))
	}
	if e.Kind == event.Dialled && e.Answer != event.AppOK || e.Kind == event.Forwarded && e.Forward != event.ForwardServed {
		s.Failure = outcome
		if e.Fact != "" {
			s.Failure += ": " + e.Fact
		}
	}
	t.add(s)
}

// plainEnded makes the span of a plain connection, which is known when it is over.
func (t *Tracer) plainEnded(e *event.Event) {
	parent := e.Subject.Trace()
	own := t.Handshake(parent)
	if own.IsZero() {
		return
	}
	s := span(spanPlain, otlp.Server, e)
	s.TraceID, s.SpanID, s.Parent = own.TraceID, own.SpanID, parent.SpanID
	s.Attributes = append(about(e.Subject), otlp.Text("wsr.ending", e.Ending.String()))
	if e.Session != (wire.SessionID{}) {
		s.Attributes = append(s.Attributes, otlp.Text("wsr.session", e.Session.String()))
	}
	t.add(s)
}

// span is one that ends now and took what e says.
func span(name string, kind otlp.Kind, e *event.Event) otlp.Span {
	now := time.Now()
	return otlp.Span{Name: name, Kind: kind, Start: now.Add(-e.Took), End: now}
}

// about is what is known of a handshake. None of it is a header value or a query (I9).
func about(s *event.Subject) (list []otlp.Attribute) {
	if path := s.Path(); path != "" {
		list = append(list, otlp.Text("url.path", path))
	}
	if client := s.Client(); client != "" {
		list = append(list, otlp.Text("client.address", client))
	}
	return list
}

func linkTo(p traceparent.Parent) otlp.Link { return otlp.Link{TraceID: p.TraceID, SpanID: p.SpanID} }
