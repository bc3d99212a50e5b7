package wire

import (
	"fmt"
	"unicode/utf8"
)

// Close codes of the connection (PROTOCOL §9). RFC 6455 §7.4.1 defines the
// first group, the IANA registry 1012; the 44xx are ours, from the range that
// is left to applications.
const (
	CodeNormal     uint16 = 1000
	CodeGoingAway  uint16 = 1001
	CodeProtocol   uint16 = 1002 // broken framing
	CodeNoStatus   uint16 = 1005 // never sent: the close frame was empty
	CodeAbnormal   uint16 = 1006 // never sent: the connection broke
	CodeTooBig     uint16 = 1009
	CodeInternal   uint16 = 1011
	CodeRestart    uint16 = 1012
	CodeViolation  uint16 = 4400 // of docs/PROTOCOL.md
	CodeTimeout    uint16 = 4408 // no heartbeat
	CodeSuperseded uint16 = 4409 // a newer connection attached
	CodeReset      uint16 = 4410 // follows RESET
)

// ValidFrameCode tells whether a code may stand in a close frame: defined by
// RFC 6455 §7.4 or registered with IANA since, or left to libraries and
// applications.
func ValidFrameCode(code uint16) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code >= 1000 && code <= 1014:
		return code != 1004 && code != CodeNoStatus && code != CodeAbnormal
	}
	return false
}

// ValidSessionCode tells whether a session can end with a code (PROTOCOL
// §4.7): those of a frame, and the two that only ever are reported.
func ValidSessionCode(code uint16) bool {
	return ValidFrameCode(code) || code == CodeNoStatus || code == CodeAbnormal
}

// A CloseError is why a connection ends: the code that its close frame bears
// and words for the log. Remote tells who concluded it: true if the peer said
// so, false if we did.
type CloseError struct {
	Code   uint16
	Reason string
	Remote bool
}

func (e *CloseError) Error() string {
	who := "we"
	if e.Remote {
		who = "peer"
	}
	return fmt.Sprintf("%s closed: %d %s", who, e.Code, e.Reason)
}

// CutReason shortens a close reason to MaxCloseReason bytes without cutting a
// character.
func CutReason(reason string) string {
	if len(reason) <= MaxCloseReason {
		return reason
	}
	n := MaxCloseReason
	for n > 0 && !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n]
}

func validReason(b []byte) bool { return utf8.Valid(b) }
