package session

import (
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/rate"
)

// Rates are how much a client may do; zero means as much as it can. A client that
// sends faster is not read meanwhile.
type Rates struct {
	Messages int // per second; of a plain client each fragment is one
	Bytes    int // per second, of all that it sends
	Control  int // control messages, and control frames, per second
	Resumes  int // of one session, per minute
}

// Slow reports whether clients may have to wait for what they are yet to send.
func (r Rates) Slow() bool { return r.Messages > 0 || r.Bytes > 0 || r.Control > 0 }

// leastPause is how long a client is not read at least, so that one that is
// always too fast costs a few steps a second and not one for each message.
const leastPause = 20 * time.Millisecond

// A pace is what one client has done lately.
type pace struct {
	messages, bytes, control, resumes rate.Bucket

	until  monotime.Time // when the client is read again
	shared *Config       // that the copy was made of
}

// paced returns a Config with a pace of its own, if there are rates: otherwise a
// session has no memory for it, and looks at nothing.
func (c *Config) paced() *Config {
	if c.Rates == (Rates{}) {
		return c
	}
	own := struct {
		Config
		pace pace
	}{Config: *c}
	own.pace.shared, own.Config.pace = c, &own.pace
	return &own.Config
}

func perSecond(n int) rate.Limit { return rate.Limit{N: int64(n), Per: time.Second} }
func perMinute(n int) rate.Limit { return rate.Limit{N: int64(n), Per: time.Minute} }

// charge counts what a client has sent. pause follows, when that is whole.
func (c *Config) charge(now time.Time, messages, control, bytes int) {
	p := c.pace
	if p == nil {
		return
	}
	at := monotime.At(now)
	p.messages.Take(at, perSecond(c.Rates.Messages), int64(messages))
	p.control.Take(at, perSecond(c.Rates.Control), int64(control))
	p.bytes.Take(at, perSecond(c.Rates.Bytes), int64(bytes))
}

// pause begins a pause when a client has sent the last that it may. In the middle
// of a frame only its bytes can be that: the rest of it is no other message.
func (c *Config) pause(now time.Time, midFrame bool) {
	p := c.pace
	if p == nil {
		return
	}
	at := monotime.At(now)
	wait, limit := p.bytes.Wait(at, perSecond(c.Rates.Bytes)), LimitBytes
	if !midFrame {
		if w := p.messages.Wait(at, perSecond(c.Rates.Messages)); w > wait {
			wait, limit = w, LimitMessages
		}
		if w := p.control.Wait(at, perSecond(c.Rates.Control)); w > wait {
			wait, limit = w, LimitControl
		}
	}
	if wait > 0 {
		if p.until <= at {
			c.Slowed.Count(limit)
		}
		p.until = at.Add(max(wait, leastPause))
	}
}

// tooFast reports whether a client is not read since it sent more than it may.
func (c *Config) tooFast(now time.Time) bool {
	return c.pace != nil && c.pace.until != 0 && monotime.At(now) < c.pace.until
}

// ResumesTooOften reports whether the session has been resumed as often as it may.
func (s *Session) ResumesTooOften(now time.Time) bool {
	p := s.cfg.pace
	return p != nil && p.resumes.Wait(monotime.At(now), perMinute(s.cfg.Rates.Resumes)) > 0
}

// CountResume counts a resume.
func (s *Session) CountResume(now time.Time) {
	if p := s.cfg.pace; p != nil {
		p.resumes.Take(monotime.At(now), perMinute(s.cfg.Rates.Resumes), 1)
	}
}

// tooFast is as in Config. It does not count where the client has to be heard and
// what it sends goes nowhere, or not far: while the session moves or its app has
// ended it, and before the client has restored the app's context.
func (s *Session) tooFast(now time.Time) bool {
	return s.cfg.pace != nil && s.paces() && s.cfg.tooFast(now)
}

func (s *Session) paces() bool {
	return !s.HandingOver() && !s.closing.byApp && !s.context.awaited && s.closing.ended == 0
}

// chargeMessage counts a message of the client: data, or control.
func (s *Session) chargeMessage(now time.Time, data bool, bytes int) {
	switch {
	case !s.paces():
		return
	case data:
		s.cfg.charge(now, 1, 0, bytes)
	default:
		s.cfg.charge(now, 0, 1, bytes)
	}
	s.cfg.pause(now, false)
}
