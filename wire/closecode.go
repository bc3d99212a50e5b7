package wire

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Close codes of the connection (PROTOCOL §9) beside those of RFC 6455 §7.4.1,
// which gobwas/ws has. 1012 to 1014 are in the IANA registry; the 44xx are
// ours, from the range that is left to applications.
const (
	CodeRestart    ws.StatusCode = 1012
	CodeTryLater   ws.StatusCode = 1013
	CodeBadGateway ws.StatusCode = 1014 // the server behind gave an invalid response
	CodeViolation  ws.StatusCode = 4400 // of docs/PROTOCOL.md
	CodeTimeout    ws.StatusCode = 4408 // no heartbeat
	CodeSuperseded ws.StatusCode = 4409 // a newer connection attached
	CodeReset      ws.StatusCode = 4410 // follows RESET
)

// ValidFrameCode reports whether a code may stand in a close frame: defined by
// RFC 6455 §7.4 or registered with IANA since (1012 to 1014, which
// ws.CheckCloseFrameData refuses), or left to libraries and applications.
func ValidFrameCode(code ws.StatusCode) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code >= 1000 && code <= 1014:
		return code != ws.StatusNoMeaningYet && code != ws.StatusNoStatusRcvd && code != ws.StatusAbnormalClosure
	}
	return false
}

// ValidSessionCode reports whether a session can end with a code (PROTOCOL
// §4.7): those of a frame, and the two that only ever are reported.
func ValidSessionCode(code ws.StatusCode) bool {
	return ValidFrameCode(code) || code == ws.StatusNoStatusRcvd || code == ws.StatusAbnormalClosure
}

// A CloseError is why a connection ends: the code that its close frame bears
// and words. Remote is true if the peer closed, false if we did.
type CloseError struct {
	Code   ws.StatusCode
	Reason string
	Remote bool
	Quoted bool // Reason is what the other end of the session said

	Size, Limit int // of the message that is too big
}

// Fact is Reason if it is in our own words, and otherwise "": what a client or an
// app says is in no log (I9).
func (e *CloseError) Fact() string {
	if e.Remote || e.Quoted {
		return ""
	}
	return e.Reason
}

func (e *CloseError) Error() string {
	who := "we"
	if e.Remote {
		who = "peer"
	}
	return fmt.Sprintf("%s closed: %d %s", who, e.Code, e.Reason)
}

// AppendClosePayload appends the payload of a close frame (RFC 6455 §5.5.1). A
// reason that is too long is cut at a character.
func AppendClosePayload(dst []byte, code ws.StatusCode, reason string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(code)), CutReason(reason)...)
}

// ParseClosePayload reads the payload of a close frame; an empty one has code
// 1005. The error says what to close the connection with.
func ParseClosePayload(p []byte) (code ws.StatusCode, reason string, err *CloseError) {
	if len(p) == 0 {
		return ws.StatusNoStatusRcvd, "", nil
	}
	if len(p) == 1 {
		return 0, "", &CloseError{Code: ws.StatusProtocolError, Reason: "close frame of one byte"}
	}
	if code = ws.StatusCode(binary.BigEndian.Uint16(p)); !ValidFrameCode(code) {
		return 0, "", &CloseError{Code: ws.StatusProtocolError, Reason: "close code that may not be sent"}
	}
	if !validReason(p[2:]) {
		// In CLOSE it would be a violation of ours, at every resume (PROTOCOL §4.7).
		return 0, "", &CloseError{Code: ws.StatusProtocolError, Reason: "close reason that is not UTF-8"}
	}
	return code, string(p[2:]), nil
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
