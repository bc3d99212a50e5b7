package proxy

import (
	"net"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// self is this sidecar's address as others know it.
func (s *Server) self() string { return instance.Address(s.cfg.Advertise) }

// hostOf is the address without its port, which of a sidecar's own connection says
// nothing.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// detached reports the end of a connection that we closed, or that the client
// closed with a close frame.
func (c *sessionDriver) detached(o *session.Output) {
	e := o.CloseClient
	if e.Limit > 0 {
		c.observe(event.Event{Kind: event.MessageRefused, Size: e.Size, Limit: e.Limit, Advice: event.AdviceSize})
	}
	cause, fact := detachCause(e), e.Fact()
	if cause == event.DetachedSuperseded || cause == event.DetachedUnauthorized || e.Reason == session.NoHeartbeat {
		fact = "" // event has better words than the close frame
	}
	c.observe(event.Event{Kind: event.Detached, Cause: cause, Code: uint16(e.Code), Fact: fact, Came: c.comes, Ending: o.Ended})
}

func goneFact(broken bool) string {
	if broken {
		return "the connection broke"
	}
	return "the connection ended without a close frame"
}

// detachCause is why a connection that is closed with e is.
func detachCause(e *wire.CloseError) event.DetachCause {
	switch {
	case e.Remote:
		return event.DetachedClient
	case e.Code == wire.CodeSuperseded:
		return event.DetachedSuperseded
	case e.Code == wire.CodeTimeout:
		return event.DetachedHeartbeat
	case e.Code == ws.StatusProtocolError, e.Code == wire.CodeViolation, e.Code == ws.StatusMessageTooBig:
		return event.DetachedProtocol
	case e.Code == wire.CodeRestart:
		return event.DetachedShutdown
	case e.Code == ws.StatusPolicyViolation:
		return event.DetachedUnauthorized
	case e.Code == ws.StatusInternalServerError:
		return event.DetachedInternal
	}
	return event.DetachedClosed
}

// reportTooBig reports the message of the app because of which a session ends.
func (c *sessionDriver) reportTooBig() {
	m, ok := c.m.(*session.Session)
	if !ok {
		return
	}
	if size, limit, ok := m.AppTooBig(); ok {
		c.observe(event.Event{Kind: event.MessageRefused, FromApp: true, Size: size, Limit: limit, Advice: event.AdviceSize})
	}
}

// ended is called by a driver, under its lock, when its session is over.
func (s *Server) ended(c *sessionDriver, why session.Ending) {
	e := event.Event{Kind: event.Ended, Client: event.Resilient, Ending: why, Took: monotime.Now().Sub(c.born)}
	if c.plain {
		e.Client = event.Plain
	}
	if m, ok := c.m.(*session.Session); ok {
		var code ws.StatusCode
		e.Closed, code = m.Closed()
		e.Code = uint16(code)
		e.Advice = c.adviceFor(why, e.Closed, code)
	}
	c.observe(e)
}

// adviceFor is what would have kept a session that ends.
func (c *sessionDriver) adviceFor(why session.Ending, closed session.CloseCause, code ws.StatusCode) event.Advice {
	switch {
	case why == session.EndedExpired:
		return event.AdviceTTL
	case why == session.EndedReleased:
		return event.AdviceJournal
	case why != session.EndedClosed:
		return event.NoAdvice
	}
	switch closed {
	case session.CauseUnrestored, session.CauseNoApp:
		return c.srv.restoreAdvice(c.m.(*session.Session).ContextKept())
	case session.CauseAppTooBig:
		return event.AdviceSize
	case session.CauseApp, session.CauseAppBroke:
		restarts := code == ws.StatusAbnormalClosure || code == ws.StatusGoingAway || code == wire.CodeRestart
		if restarts && c.srv.cfg.AppRetry <= 0 {
			return event.AdviceRetry
		}
	}
	return event.NoAdvice
}

// restoreAdvice is what would have let a session go on with a fresh app socket;
// kept reports whether a part of the app's context is known.
func (s *Server) restoreAdvice(kept bool) event.Advice {
	switch {
	case !s.live.Load().cfg.Adopt(true, true):
		return event.AdviceAdopt
	case kept:
		return event.AdviceSnapshot
	}
	return event.AdviceContext
}

// adoption is the report of an adoption. That a session which is adopted without
// an app socket ends for that reason alone, it says already.
func (r *resume) adoption(m *session.Session, now time.Time) event.Event {
	e := event.Event{
		Kind: event.Resumed, Resume: event.ResumeAdopted, Adopted: m.Adopted(), Via: r.via, Came: r.subject,
		Away: r.s.awaySince(r.facts.Record, m.Adopted(), now),
	}
	e.Owner = r.s.self()
	e.Former, e.Fact = r.s.admission.Former(&r.facts)
	if closed, _ := m.Closed(); closed == session.CauseNoApp {
		e.Fact += "; nothing restores the app's context, so that the client gets what is left, and then a close with 1012"
		e.Advice = r.s.restoreAdvice(m.ContextKept())
	}
	return e
}

// awaySince returns for how long the client of a session that the journal holds
// has been away; negative if that is not known. An owner that is lost did not
// write it down. One whose client left for good wrote a moment that is earlier by
// what such a client's time is shorter, so that a time which fits both says
// nothing.
func (s *Server) awaySince(state *store.State, reason wire.AdoptReason, now time.Time) time.Duration {
	if state.DetachedAt == 0 {
		if reason == wire.AdoptOwnerLost {
			return -1
		}
		return 0 // it moved with its client
	}
	away := now.Sub(time.UnixMilli(state.DetachedAt))
	if away > s.cfg.SessionTTL-s.cfg.SessionTTLGoingAway {
		return -1
	}
	return max(away, 0)
}
