package session

import (
	"errors"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
)

// A CloseCause is why client and app are over with each other. 0: they are not,
// or the session ended for a reason of its owner's (Ending).
type CloseCause uint8

const (
	// CauseClient: the client closed.
	CauseClient CloseCause = 1 + iota
	// CauseApp: the app closed.
	CauseApp
	// CauseAppBroke: the app's connection ended without a close frame.
	CauseAppBroke
	// CauseUnrestored is one of these two, such as a restart is seen by, of a
	// session that could have had another app socket if anybody restored the
	// app's context.
	CauseUnrestored
	// CauseAppViolation: the app broke RFC 6455.
	CauseAppViolation
	// CauseAppTooBig: the app sent a message above Config.MaxMessage.
	CauseAppTooBig
	// CauseAppStalled: a message of the app did not come whole, and kept memory for
	// which others waited.
	CauseAppStalled
	// CauseNotUTF8: the app sent text that is not UTF-8, and the client refuses
	// that.
	CauseNotUTF8
	// CauseClientTooBig: the app sent a message that the client refuses for its
	// size.
	CauseClientTooBig
	// CauseNotRestored: the client did not restore the app's context in time.
	CauseNotRestored
	// CauseContextRefused: the app did not take its context back.
	CauseContextRefused
	// CauseNoApp: it was adopted without an app socket.
	CauseNoApp
	// CauseOtherProtocol: it was adopted, and the new app socket has another
	// subprotocol than the client was told.
	CauseOtherProtocol
	// CauseBefore: it was over before it was adopted.
	CauseBefore
)

var causeNames = [...]string{
	CauseClient: "client", CauseApp: "app", CauseAppBroke: "app_broke", CauseUnrestored: "unrestored", CauseAppViolation: "app_violation", CauseAppTooBig: "app_too_big", CauseAppStalled: "app_stalled",
	CauseNotUTF8: "not_utf8", CauseClientTooBig: "client_too_big", CauseNotRestored: "not_restored", CauseContextRefused: "context_refused", CauseNoApp: "no_app", CauseOtherProtocol: "other_protocol", CauseBefore: "before",
}

func (c CloseCause) String() string {
	if c > 0 && int(c) < len(causeNames) {
		return causeNames[c]
	}
	return "unknown"
}

// Closed returns why client and app are over with each other, 0 if they are not,
// and the code that the one who did not end it is told.
func (s *Session) Closed() (CloseCause, ws.StatusCode) {
	if !s.closing.byApp && !s.closing.byClient {
		return 0, 0
	}
	return s.cause, s.closing.code
}

// AppTooBig returns the size of the app's message because of which the session
// ends, and the limit on it. Without one ok is false.
func (s *Session) AppTooBig() (size, limit int, ok bool) {
	e := s.restart.end
	if s.cause != CauseAppTooBig || e == nil {
		return 0, 0, false
	}
	return e.size, e.limit, true
}

// A BeatFault is why a heartbeat of the client, or an answer to one, was dropped
// (PROTOCOL §4.4, §4.5).
type BeatFault uint8

const (
	// BeatDamaged: its checksum is wrong.
	BeatDamaged BeatFault = 1 + iota
	// BeatStale: its number is not newer than the last one's.
	BeatStale
	// BeatUnknown: it answers none that waits for an answer.
	BeatUnknown
)

var beatFaultNames = [...]string{BeatDamaged: "damaged", BeatStale: "stale", BeatUnknown: "unknown"}

func (f BeatFault) String() string {
	if f > 0 && int(f) < len(beatFaultNames) {
		return beatFaultNames[f]
	}
	return "none"
}

func beatFault(err error) BeatFault {
	switch {
	case errors.Is(err, heartbeat.ErrUnknown):
		return BeatUnknown
	case errors.Is(err, heartbeat.ErrStale):
		return BeatStale
	}
	return BeatDamaged
}
