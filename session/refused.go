package session

import (
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
)

// Connections in a row that end with the same message of the app as the first
// that was sent and not acknowledged, before that message is to blame. Of a
// connection that ends with 1009 it may be a message of the client: the client
// finds that out with two (PROTOCOL §9.1).
const (
	maxFailures       = 2
	maxFailuresTooBig = 3
)

// noteFailure looks for the message that ends the client's connections, after
// one that ended with code and not by us. Nothing is looked for in messages as
// long as connections end for other reasons.
func (s *Session) noteFailure(now time.Time, code ws.StatusCode) {
	first := s.window.Acked() + 1
	if s.closing.ended != 0 || s.HandingOver() || s.window.Sent() == s.window.Acked() && !s.window.MidMessage() {
		return
	}
	c := &s.client
	if c.failedAt != first {
		c.failedAt, c.failures = first, 0
	}
	c.failures = min(c.failures+1, maxFailuresTooBig)
	switch {
	case c.failures >= maxFailures && s.startsWithInvalidText():
		s.refuse(now, ws.StatusInvalidFramePayloadData, "message is not UTF-8", CauseNotUTF8)
	case c.failures >= maxFailuresTooBig && code == ws.StatusMessageTooBig:
		s.refuse(now, code, "message too big for the client", CauseClientTooBig)
	}
}

// startsWithInvalidText reports whether the first message of the window is text
// that is not UTF-8. A client has to fail its connection then (RFC 6455 §8.1).
func (s *Session) startsWithInvalidText() (invalid bool) {
	s.window.Each(s.window.Acked(), func(_ seqwindow.Serial, _ uint32, parts [][]byte) bool {
		raw, err := s.plainFrame(parts)
		if err != nil {
			return false
		}
		h, err := frame.Rules{}.Parse(raw)
		invalid = err == nil && h.OpCode == ws.OpText && !utf8.Valid(raw[h.Size:])
		return false
	})
	return invalid
}

// refuse ends the session as the client would have ended a connection to the
// app. It hears of it when it comes back.
func (s *Session) refuse(now time.Time, code ws.StatusCode, reason string, cause CloseCause) {
	s.client.refused, s.restart.lost = true, false
	s.queueAppClose(code, reason)
	s.appEnded(now, code, reason, cause)
}
