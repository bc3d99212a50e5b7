package proxy

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/admission"
	"github.com/wsresilience/wsresilience/internal/reauth"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// maxReasking bounds the questions about clients that are there. The rest of
// maxAsking is for those that come back.
const maxReasking = maxAsking / 4

// reauthorize asks the app about the clients that are there, as they fall due,
// until the server stops.
func (s *Server) reauthorize() {
	turns := make(chan struct{}, maxReasking)
	scan := time.NewTicker(s.reauth.ScanEvery())
	defer scan.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-scan.C:
		}
		for _, c := range s.sessions.all() {
			if !c.isQuestionDue() {
				continue
			}
			select {
			case turns <- struct{}{}:
			case <-s.life.Done():
				return
			}
			s.work.Go(func() {
				c.reauthorize()
				<-turns
			})
		}
	}
}

// isQuestionDue reports whether the app is to be asked about the session's
// client now, and takes the steps that need no question.
func (c *sessionDriver) isQuestionDue() bool {
	now := c.enter()
	defer c.leave()
	if c.commonLocked() != nil {
		return false // it is no client's: members are asked about when they join and resume
	}
	m, ok := c.m.(*session.Session)
	if !ok || c.saved == nil {
		return false
	}
	switch c.saved.watch.Next(reauth.Facts{Now: now, Attached: m.Attached(), Leaving: c.over || m.HandingOver()}).(type) {
	case reauth.Ask:
		return true
	case reauth.Disconnect:
		m.Disconnect(now, ws.StatusPolicyViolation, "not authorised")
		c.settleLocked(now)
	}
	return false
}

// reauthorize asks the app whether the client may keep its session, with the
// handshake that it came with last, and does what follows.
func (c *sessionDriver) reauthorize() {
	r, offer := c.handshake()
	reason, status, fact := c.srv.askApp(c.srv.life, r, offer.Scheme)
	c.observe(event.Event{Kind: event.Authorized, Answer: authorityAnswer(reason), Status: refusedStatus(reason, status), Fact: fact})
	answer := reauth.Unknown
	switch reason {
	case 0:
		answer = reauth.Allowed
	case wire.ResetUnauthorized:
		answer = reauth.Refused
	}
	now := c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	if !ok || c.over {
		return
	}
	if c.saved.request != r {
		c.saved.watch.Superseded()
		return
	}
	step := c.saved.watch.Answered(now, answer, !m.Echoes(), c.srv.reauth)
	if step == nil {
		return
	}
	switch step.(type) {
	case reauth.Renew:
		m.GoAway(wire.GoAwayAuthenticate, 0)
	case reauth.End:
		m.End(now, session.EndedUnauthorized, ws.StatusPolicyViolation)
	}
	c.settleLocked(now)
}

// authorizedLocked notes that the app has allowed the client its session, or
// taken its handshake.
func (c *sessionDriver) authorizedLocked(now time.Time) {
	if c.saved != nil && c.srv.reauth.Every > 0 {
		c.saved.watch.Allowed(now, c.srv.reauth)
	}
}

// isRenewing reports whether the app refuses the handshake that the session has,
// and its client was asked for a new one.
func (c *sessionDriver) isRenewing() bool {
	c.enter()
	defer c.leave()
	return c.saved != nil && c.saved.watch.Refused()
}

// answerRefusal tells the client why it cannot have its session, which then ends
// if the app's word is final.
func (r *resume) answerRefusal(step admission.Refuse) {
	if step.Final {
		defer r.found.refused()
	}
	if step.Status != 0 {
		r.resetRefused(step.Status, step.Fact)
		return
	}
	r.reset(step.Reason, step.Fact)
}
