package proxy

import (
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/traceparent"
)

// observe tells the observer of e, if there is one.
func (s *Server) observe(e event.Event) {
	if s.observer != nil {
		s.observer.Observe(e)
	}
}

// observe tells the observer of something that happened to c's session.
func (c *sessionDriver) observe(e event.Event) {
	e.Session, e.Subject = c.id, c.subject
	c.srv.observe(e)
}

// observe tells the observer of something that happened to a request, and to the
// session that it names.
func (q *request) observe(e event.Event) {
	e.Session, e.Subject = q.session, q.subject
	q.s.observe(e)
}

func (c *sessionDriver) accepted(kind event.ClientKind) {
	c.observe(event.Event{Kind: event.Accepted, Client: kind})
}

func (c *sessionDriver) began(kind event.ClientKind) {
	c.observe(event.Event{Kind: event.Began, Client: kind})
}

// dialled reports a handshake with the app that was made again, in span below parent.
func (c *sessionDriver) dialled(answer event.AppAnswer, began time.Time, span, parent traceparent.Parent) {
	c.observe(event.Event{Kind: event.Dialled, Answer: answer, Took: time.Since(began), Span: span, Parent: parent.SpanID})
}
