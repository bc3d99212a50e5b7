package tracing

import (
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/otlp"
	"github.com/wsresilience/wsresilience/internal/traceparent"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// recorder keeps the names of spans.
type recorder struct{ names []string }

func (r *recorder) add(s otlp.Span) { r.names = append(r.names, s.Name) }

func (r *recorder) want(t *testing.T, names string) {
	t.Helper()
	if got := strings.Join(r.names, ", "); got != names {
		t.Errorf("spans %q, want %q", got, names)
	}
	r.names = nil
}

var id = wire.SessionID{1}

// from is a handshake that is traced.
func from(t *Tracer, epoch uint32) *event.Subject {
	return event.NewSubject(event.About{Path: "/ws", Epoch: epoch, Trace: t.Handshake(traceparent.Parent{})})
}

func TestLifeOfASession(t *testing.T) {
	var r recorder
	tr := New(otlp.NewSampler(true, 1), r.add)
	s := from(tr, 1)
	play := func(events ...event.Event) {
		for _, e := range events {
			e.Session, e.Subject = id, s
			tr.Observe(e)
		}
	}
	play(event.Event{Kind: event.Accepted, Client: event.Resilient}, event.Event{Kind: event.Began, Client: event.Resilient})
	r.want(t, "attach")
	play(event.Event{Kind: event.Detached, Cause: event.DetachedGone}, event.Event{Kind: event.Accepted, Client: event.Resilient},
		event.Event{Kind: event.Resumed, Resume: event.ResumeResumed, Came: from(tr, 1)})
	r.want(t, "connection, resume")
	play(event.Event{Kind: event.Resumed, Resume: event.ResumeReset}, event.Event{Kind: event.AppRestarted, Restart: event.RestartGaveUp, Took: time.Second})
	r.want(t, "app restart")
	for range 3 * maxEvents {
		play(event.Event{Kind: event.LinkState, Link: heartbeat.StateDegraded})
	}
	if l := tr.sessions[id]; len(l.events) != maxEvents || l.left == 0 || cap(l.events) > 2*maxEvents {
		t.Errorf("%d events are kept, %d left out", len(l.events), l.left)
	}
	play(event.Event{Kind: event.Ended, Client: event.Resilient, Ending: session.EndedClosed})
	r.want(t, "connection, session")

	// Reports that come behind the end, or of what is not here, begin nothing.
	play(event.Event{Kind: event.Accepted, Client: event.Resilient}, event.Event{Kind: event.Resumed, Resume: event.ResumeResumed},
		event.Event{Kind: event.Detached}, event.Event{Kind: event.Ended, Client: event.Resilient})
	r.want(t, "")
	if len(tr.sessions) != 0 {
		t.Errorf("%d sessions are followed", len(tr.sessions))
	}
}

// An adopted session is followed from its resume on, or without a client.
func TestLifeOfAnAdoptedSession(t *testing.T) {
	var r recorder
	tr := New(otlp.NewSampler(true, 1), r.add)
	s := from(tr, 2)
	for _, e := range []event.Event{
		{Kind: event.Accepted, Client: event.Resilient},
		{Kind: event.Resumed, Resume: event.ResumeAdopted, Adopted: wire.AdoptOwnerLost},
		{Kind: event.Began, Client: event.Resilient, Adopted: wire.AdoptOwnerLost},
		{Kind: event.Ended, Client: event.Resilient, Ending: session.EndedHanded},

		{Kind: event.Began, Client: event.Resilient, Adopted: wire.AdoptOwnerLost, Fact: "its client has gone meanwhile"},
		{Kind: event.Ended, Client: event.Resilient, Ending: session.EndedExpired},
	} {
		e.Session, e.Subject = id, s
		tr.Observe(e)
	}
	r.want(t, "adopt, connection, session, session")
}

// What is not sampled leaves nothing, in any role.
func TestNotSampled(t *testing.T) {
	for name, sampler := range map[string]otlp.Sampler{"by the parent": otlp.NewSampler(true, 1), "never": {}} {
		var r recorder
		tr := New(sampler, r.add)
		p := traceparent.Parent{TraceID: [16]byte{1}, SpanID: [8]byte{1}}
		if sampler.Never() {
			p.Flags = traceparent.Sampled
		}
		if got := tr.Handshake(p); !got.IsZero() {
			t.Errorf("%s: a handshake is in %v", name, got)
		}
		s := event.NewSubject(event.About{Path: "/ws", Epoch: 1, Trace: p})
		for _, e := range []event.Event{
			{Kind: event.Dialled}, {Kind: event.Forwarded}, {Kind: event.Began, Session: id}, {Kind: event.Ended, Session: id},
			{Kind: event.Began}, {Kind: event.Ended, Client: event.Plain},
		} {
			e.Subject = s
			tr.Observe(e)
		}
		r.want(t, "")
		if len(tr.sessions) != 0 {
			t.Errorf("%s: %d sessions are followed", name, len(tr.sessions))
		}
	}
}

func TestPlainConnection(t *testing.T) {
	var r recorder
	tr := New(otlp.NewSampler(true, 1), r.add)
	subject := event.NewSubject(event.About{Path: "/ws", Trace: tr.Handshake(traceparent.Parent{})})
	for _, e := range []event.Event{
		{Kind: event.Accepted, Client: event.Plain}, {Kind: event.Began, Client: event.Plain},
		{Kind: event.LinkState}, {Kind: event.Ended, Client: event.Plain, Took: time.Second},
	} {
		e.Session, e.Subject = id, subject // it has an id, as in the log
		tr.Observe(e)
	}
	r.want(t, "websocket")
	if len(tr.sessions) != 0 {
		t.Error("a plain connection is followed as a session")
	}
}

// A handshake goes on in its client's trace, or begins one.
func TestHandshake(t *testing.T) {
	tr := New(otlp.NewSampler(true, 1), nil)
	p := traceparent.Parent{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Flags: traceparent.Sampled}
	if got := tr.Handshake(p); got.TraceID != p.TraceID || got.SpanID == p.SpanID || !got.Sampled() {
		t.Errorf("from %v in %v", p, got)
	}
	one, other := tr.Handshake(traceparent.Parent{}), tr.Handshake(traceparent.Parent{})
	if one.TraceID == other.TraceID || !one.Sampled() || one.SpanID == [8]byte{} {
		t.Errorf("from nowhere in %v and %v", one, other)
	}
}
