package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// FromApp takes bytes that came from the app's socket and returns how many it
// used; see FromClient. It uses none while the window is full.
func (s *Session) FromApp(now time.Time, p []byte) int {
	used := 0
	if s.ownership.open {
		return 0
	}
	for !s.appOver() && !s.full() {
		m, n, ok, err := s.app.in.Next(p[used:])
		used += n
		if err != nil {
			s.appBroke(now, err)
			break
		}
		if !ok {
			break
		}
		s.appMessage(now, &m)
	}
	s.app.in.Release()
	if s.appOver() {
		return len(p)
	}
	return used
}

// appOver reports whether nothing that still comes from the app's socket counts.
func (s *Session) appOver() bool {
	return !s.app.open || s.closing.byApp || s.restart.lost || s.handover.phase == readyToHandOver
}

// appBroke ends the app's connection for its violation. The client hears what
// a gateway says of such a server.
func (s *Session) appBroke(now time.Time, err error) {
	e := framingError(err)
	s.queueAppClose(e.Code, e.Reason)
	if e.Code == ws.StatusMessageTooBig {
		s.restart.end = &appEnd{size: e.Size, limit: e.Limit}
		s.appEnded(now, e.Code, "app: "+e.Reason, CauseAppTooBig)
		return
	}
	s.appEnded(now, wire.CodeBadGateway, "app: "+e.Reason, CauseAppViolation)
}

// stalledLook is how often a message of the app that has not come whole is looked at:
// whether it keeps memory for which others wait.
const stalledLook = 5 * time.Second

// tickApp ends the connection of an app whose message keeps memory for which others
// wait, as one that broke: the rest of it may never come.
func (s *Session) tickApp(now time.Time) {
	if s.appOver() || !s.app.in.Overdue(monotime.At(now)) {
		return
	}
	s.app.control, s.app.writeClosed = nil, true
	s.appDisconnected(now, ws.StatusAbnormalClosure, "app: message under way for too long", CauseAppStalled)
}

func (s *Session) appMessage(now time.Time, m *frame.Message) {
	switch m.OpCode {
	case ws.OpPing:
		if len(s.app.control) < maxControlQueue {
			s.app.control = frame.Append(s.app.control, s.cfg.masked(ws.OpPong), m.Payload())
		}
	case ws.OpPong:
	case ws.OpClose:
		code, reason, cerr := wire.ParseClosePayload(m.Payload())
		if cerr != nil {
			s.appBroke(now, frame.ProtocolError(cerr.Reason))
			return
		}
		s.queueAppClose(code, "")
		s.appDisconnected(now, code, reason, CauseApp)
	default:
		s.appData(now, m)
	}
}

// appData keeps a message until the client acknowledges it (I4). The client's
// copy is written from the window, so this is the only time it is copied.
func (s *Session) appData(now time.Time, m *frame.Message) {
	if s.context.tracks() && s.context.observeOutbound(now, s, m) {
		return
	}
	s.keysReplied(m)
	s.replies.Said(s.stamp(now) + 1)
	raw, err := s.outboundFrame(m)
	if err != nil {
		s.appBroke(now, err)
		return
	}
	s.toWindow(now, raw)
}

// toWindow numbers a message for the client.
func (s *Session) toWindow(now time.Time, raw []byte) {
	s.counters.OutMessages++
	s.counters.OutBytes += uint64(len(raw))
	if err := s.window.AppendOver(raw, s.stamp(now)); err != nil {
		s.end(EndedMemory)
		return
	}
	if s.extra != nil && s.extra.common {
		s.heard(raw)
	}
	if s.full() {
		s.replies = s.replies.Release() // its answers are read late
		s.counters.WindowFull++
	}
}

// composeClient offers what the connection is to take. Between messages that
// is control first, made only now so that its counts are those of its place
// in the stream; then data, as much as one write should hold.
func (s *Session) composeClient(now time.Time, o *Output) {
	if !s.client.attached || s.client.blocked {
		return
	}
	if s.window.MidMessage() {
		o.ToClient = s.window.PendingMessage(o.ToClient)
		return
	}
	if len(s.client.control) == 0 {
		s.client.control, s.client.borrowed = o.control, true
	}
	s.composeControl(now)
	if s.client.borrowed {
		o.control = s.client.control
	}
	if len(s.client.control) == 0 {
		s.client.control, s.client.borrowed = nil, false // it would be written to later
	} else {
		o.ToClient = append(o.ToClient, s.client.control)
	}
	if s.window.Unsent() && !s.client.refused {
		o.ToClient = s.window.Pending(o.ToClient, maxWrite)
	}
}

// ClientWrote notes that the connection took the first n bytes of ToClient.
func (s *Session) ClientWrote(n int) {
	s.client.blocked = n < int(s.client.offered)
	if !s.window.MidMessage() {
		n -= consume(&s.client.control, n)
	}
	if s.client.borrowed {
		s.client.control, s.client.borrowed = append([]byte(nil), s.client.control...), false
	}
	if !s.client.attached {
		return
	}
	before := s.window.Sent()
	s.window.Advance(n)
	if replay := seqwindow.Diff(s.client.replayEnd, before); replay > 0 {
		s.counters.Replayed += uint64(min(replay, seqwindow.Diff(s.window.Sent(), before)))
		s.counters.ReplayedBytes += uint64(n)
	}
}

// ClientWritable notes that the connection takes bytes again.
func (s *Session) ClientWritable() {
	s.client.blocked = false
	s.client.beat.Heard() // a peer that takes bytes lives
}
