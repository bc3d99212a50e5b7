package session

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits of the echo.
const (
	// echoDelay and echoMessages are when the client is asked what it has:
	// often enough that little comes twice, and rarely beside the data.
	echoDelay    = 100 * time.Millisecond
	echoMessages = 32

	// maxEchoes are under way at a time.
	maxEchoes = 64
)

// echoMagic begins the payload of our pings; a number of u32 follows.
const echoMagic = "WSRE"

// echo makes a session of a client that does not know wsr.v1. Nothing is said
// to it but WebSocket pings, whose pongs browsers send by themselves and in
// order: they show that the browser has what was sent before. It is the
// browser that has it, not the page, and what a pong has not shown is sent
// again on the next connection, so this is at-least-once. What the client sends
// is not numbered, so nothing of that is repeated or missed by us.
type echo struct {
	seq     uint32 // of the newest ping
	pings   []echoPing
	covered seqwindow.Serial // by the newest ping
	since   time.Time        // when the first message after that was seen written
}

type echoPing struct {
	seq  uint32
	sent seqwindow.Serial // the last message before it
}

// Subprotocol is what the app chose.
func (s *Session) Subprotocol() string { return s.subprotocol }

// AttachEcho joins the next connection of a client that does not know wsr.v1.
// No connection is attached.
func (s *Session) AttachEcho(now time.Time, deflate bool) wire.ResetReason {
	at := Position{Received: s.window.Acked(), Next: s.inbox.Received() + 1}
	if s.closing.ended != 0 {
		return wire.ResetUnknown
	}
	if reason := s.Attach(now, wire.StatusResumed, at, deflate); reason != 0 {
		return reason
	}
	s.client.welcomeDue, s.client.awaitsWelcome = false, false
	s.echo().pings, s.echo().covered, s.echo().since = s.echo().pings[:0], s.window.Acked(), time.Time{}
	return 0
}

// composeEcho makes the control frames that are due.
func (s *Session) composeEcho(now time.Time) {
	ack, _ := s.inbox.AckDue(now)
	s.inbox.Acked(now, ack) // no acknowledgement is sent to this client
	if s.client.beatDue {
		s.client.beatDue = false
		s.ping(heartbeat.AppendPayload(nil, s.client.beat.Latest()))
		s.counters.BeatsSent++
	}
	if behind := seqwindow.Diff(s.window.Sent(), s.echo().covered); behind > 0 {
		if s.echo().since.IsZero() {
			s.echo().since = now
		}
		if behind >= echoMessages || now.Sub(s.echo().since) >= echoDelay {
			s.askEcho()
		}
	}
	if s.closing.byApp && !s.window.Unsent() && s.closing.ended == 0 {
		s.closing.byClient = true // nothing follows a close frame
		s.dropClient(now, &wire.CloseError{Code: s.closing.code, Reason: s.closing.reason})
	}
}

func (s *Session) askEcho() {
	e := s.echo()
	if len(e.pings) >= maxEchoes {
		return
	}
	e.seq++
	e.pings = append(e.pings, echoPing{e.seq, s.window.Sent()})
	e.covered, e.since = s.window.Sent(), time.Time{}
	s.ping(binary.BigEndian.AppendUint32([]byte(echoMagic), e.seq))
}

func (s *Session) ping(payload []byte) {
	s.client.control = frame.Append(s.client.control, ws.Header{Fin: true, OpCode: ws.OpPing}, payload)
}

// pong takes what the client's WebSocket answered.
func (s *Session) pong(now time.Time, payload []byte) {
	if seq, ok := bytes.CutPrefix(payload, []byte(echoMagic)); ok && len(seq) == 4 {
		s.echoed(now, binary.BigEndian.Uint32(seq))
		return
	}
	if p, err := heartbeat.ParsePayload(payload); err == nil && s.client.beat.Answer(now, p) == nil {
		s.counters.BeatsHeard++
	}
}

// echoed lets go of what stood before ping number seq.
func (s *Session) echoed(now time.Time, seq uint32) {
	for i, p := range s.echo().pings {
		if p.seq != seq {
			continue
		}
		s.echo().pings = append(s.echo().pings[:0], s.echo().pings[i+1:]...)
		s.counters.AcksHeard++
		s.acknowledged(now, uint32(p.sent))
		return
	}
}

// echoDeadline is when the next ping is due; zero if everything is covered.
func (s *Session) echoDeadline() time.Time {
	if s.echo() == nil || s.echo().since.IsZero() || len(s.echo().pings) >= maxEchoes {
		return time.Time{}
	}
	return s.echo().since.Add(echoDelay)
}
