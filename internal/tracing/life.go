package tracing

import (
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/otlp"
	"github.com/wsresilience/wsresilience/internal/traceparent"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// maxEvents bounds what is kept of one session until it ends; the newest count.
const maxEvents = 64

// A life is a session while this sidecar owns it. The lock of the Tracer guards it.
type life struct {
	root    traceparent.Parent
	span    [8]byte // of this ownership: the root's, or one below it
	subject *event.Subject
	began   time.Time
	events  []otlp.Event
	left    int // events that were left out

	connected time.Time      // zero: no client is there
	by        *event.Subject // the handshake of the connection
	replayed  int
}

// ofSession follows a session.
func (t *Tracer) ofSession(e *event.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.sessions[e.Session]
	if l == nil {
		if e.Kind != event.Began && !(e.Kind == event.Resumed && e.Resume == event.ResumeAdopted) {
			return // it has not begun here yet, is over, or is not traced
		}
		root := t.Session(e.Session, e.Subject)
		if root.IsZero() {
			return
		}
		l = newLife(root, e.Subject)
		t.sessions[e.Session] = l
	}
	switch e.Kind {
	case event.Began:
		if e.Adopted == 0 {
			l.connected, l.by = time.Now(), e.Subject
			t.step(l, spanAttach, 0, l.by, about(l.subject))
		}
	case event.Resumed:
		t.resumed(l, e)
	case event.Detached:
		t.detached(l, e)
	case event.AppRestarted:
		t.restarted(l, e)
	case event.Ended:
		t.ended(l, e)
		return
	}
	l.note(e)
}

// newLife begins to follow a session. The first owner's span is the root, which
// others know without having heard of it.
func newLife(root traceparent.Parent, subject *event.Subject) *life {
	l := &life{root: root, span: root.SpanID, subject: subject, began: time.Now()}
	if subject.Epoch() > 1 {
		l.span = newSpanID()
	}
	return l
}

// step makes a span below the session's that ends now.
func (t *Tracer) step(l *life, name string, took time.Duration, by *event.Subject, attributes []otlp.Attribute) {
	now := time.Now()
	t.add(otlp.Span{
		TraceID: l.root.TraceID, SpanID: newSpanID(), Parent: l.span, Name: name, Kind: otlp.Internal,
		Start: now.Add(-took), End: now, Attributes: attributes, Links: linksTo(by),
	})
}

func linksTo(s *event.Subject) []otlp.Link {
	if p := s.Trace(); !p.IsZero() {
		return []otlp.Link{linkTo(p)}
	}
	return nil
}

func (t *Tracer) resumed(l *life, e *event.Event) {
	if e.Resume == event.ResumeReset {
		return // the client does not have it
	}
	name := spanResume
	attributes := []otlp.Attribute{otlp.Int("wsr.replayed", int64(e.Lacking))}
	if e.Resume == event.ResumeAdopted {
		name = spanAdopt
		attributes = append(attributes, otlp.Text("wsr.reason", e.Adopted.String()))
	}
	if e.Away >= 0 {
		attributes = append(attributes, otlp.Int("wsr.away_ms", e.Away.Milliseconds()))
	}
	if e.Owner != "" {
		attributes = append(attributes, otlp.Text("wsr.owner", e.Owner))
	}
	if e.Via != "" {
		attributes = append(attributes, otlp.Text("wsr.via", e.Via))
	}
	if e.Came != nil {
		l.by = e.Came
	}
	l.connected, l.replayed = time.Now(), e.Lacking
	t.step(l, name, e.Took, l.by, attributes)
}

// Delivered implements proxy.Tracer.
func (t *Tracer) Delivered(id wire.SessionID, d session.Delivery) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.sessions[id]; l != nil {
		from := "app"
		if d.FromClient {
			from = "client"
		}
		t.step(l, spanMessage, d.Took, nil, []otlp.Attribute{otlp.Text("wsr.from", from), otlp.Int("wsr.seq", int64(d.Seq)), otlp.Int("wsr.bytes", int64(d.Bytes))})
	}
}

// detached makes the span of a connection that is over.
func (t *Tracer) detached(l *life, e *event.Event) {
	if l.connected.IsZero() {
		return
	}
	attributes := append(about(l.by), otlp.Int("wsr.replayed", int64(l.replayed)), otlp.Text("wsr.cause", e.Cause.String()))
	if e.Code != 0 {
		attributes = append(attributes, otlp.Int("wsr.close_code", int64(e.Code)))
	}
	t.step(l, spanConnection, time.Since(l.connected), l.by, attributes)
	l.connected = time.Time{}
}

func (t *Tracer) restarted(l *life, e *event.Event) {
	now := time.Now()
	s := otlp.Span{
		TraceID: l.root.TraceID, SpanID: newSpanID(), Parent: l.span, Name: spanRestart, Kind: otlp.Internal,
		Start: now.Add(-e.Took), End: now, Attributes: []otlp.Attribute{otlp.Text("wsr.outcome", e.Restart.String())},
	}
	if e.Restart == event.RestartGaveUp {
		s.Failure = "the app did not come back"
	}
	t.add(s)
}

// ended makes the session's own span.
func (t *Tracer) ended(l *life, e *event.Event) {
	delete(t.sessions, e.Session)
	if !l.connected.IsZero() {
		t.detached(l, &event.Event{Cause: event.DetachedClosed})
	}
	l.note(e)
	s := otlp.Span{
		TraceID: l.root.TraceID, SpanID: l.span, Name: spanSession, Kind: otlp.Internal, Start: l.began, End: time.Now(),
		Events: l.events, Links: linksTo(l.subject),
		Attributes: append(about(l.subject),
			otlp.Text("wsr.session", wire.SessionID(l.root.TraceID).String()), otlp.Int("wsr.epoch", int64(l.subject.Epoch())),
			otlp.Text("wsr.ending", e.Ending.String())),
	}
	if l.span != l.root.SpanID {
		s.Parent = l.root.SpanID
	}
	if l.left > 0 {
		s.Attributes = append(s.Attributes, otlp.Int("wsr.events_left_out", int64(l.left)))
	}
	if line, ok := e.Line(); ok && line.Level >= event.Error {
		s.Failure = line.Text
	}
	t.add(s)
}

// note keeps an event in the words that the log has for it.
func (l *life) note(e *event.Event) {
	line, ok := e.Line()
	if !ok {
		return
	}
	n := otlp.Event{Time: time.Now(), Name: line.Text}
	for _, a := range line.Attrs {
		switch a.Name {
		case "session", "epoch", "path", "client", "trace":
			continue // the span says it
		}
		switch v := a.Value.(type) {
		case string:
			n.Attributes = append(n.Attributes, otlp.Text("wsr."+a.Name, v))
		case int:
			n.Attributes = append(n.Attributes, otlp.Int("wsr."+a.Name, int64(v)))
		case bool:
			n.Attributes = append(n.Attributes, otlp.Bool("wsr."+a.Name, v))
		case time.Duration:
			n.Attributes = append(n.Attributes, otlp.Int("wsr."+a.Name+"_ms", v.Milliseconds()))
		}
	}
	if len(l.events) >= maxEvents {
		copy(l.events, l.events[1:])
		l.events = l.events[:maxEvents-1]
		l.left++
	}
	l.events = append(l.events, n)
}
