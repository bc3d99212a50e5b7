package wire

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// HeartbeatPayload is the size of the heartbeat payload (PROTOCOL §6.1). It
// is opaque here; package heartbeat reads it.
const HeartbeatPayload = 13

// AppendAck appends ACK (PROTOCOL §4.3):
//
//	seq u32
func AppendAck(dst []byte, seq uint32) []byte {
	return binary.BigEndian.AppendUint32(appendPrefix(dst, Ack), seq)
}

// ParseAck reads ACK.
func ParseAck(msg []byte) (seq uint32, err error) {
	b, err := body(msg, Ack)
	if err != nil {
		return 0, err
	}
	if len(b) != 4 {
		return 0, malformed(Ack, "body of %d bytes, want 4", len(b))
	}
	return binary.BigEndian.Uint32(b), nil
}

// A Beat is HEARTBEAT or HEARTBEAT_ACK (PROTOCOL §4.4, §4.5):
//
//	payload 13 B | sent u32 | ack u32
type Beat struct {
	Payload [HeartbeatPayload]byte
	Sent    uint32 // the last data message before this one on the connection
	Ack     uint32 // as in ACK
}

// AppendBeat appends b as t, which is Heartbeat or HeartbeatAck.
func AppendBeat(dst []byte, t Type, b Beat) []byte {
	dst = append(appendPrefix(dst, t), b.Payload[:]...)
	dst = binary.BigEndian.AppendUint32(dst, b.Sent)
	return binary.BigEndian.AppendUint32(dst, b.Ack)
}

// ParseBeat reads the message of type t, which is Heartbeat or HeartbeatAck.
// It does not judge the payload.
func ParseBeat(msg []byte, t Type) (b Beat, err error) {
	p, err := body(msg, t)
	if err != nil {
		return b, err
	}
	if len(p) != HeartbeatPayload+8 {
		return b, malformed(t, "body of %d bytes, want %d", len(p), HeartbeatPayload+8)
	}
	n := copy(b.Payload[:], p)
	b.Sent = binary.BigEndian.Uint32(p[n:])
	b.Ack = binary.BigEndian.Uint32(p[n+4:])
	return b, nil
}

// GoAwayReason is why a client should move (PROTOCOL §4.6).
type GoAwayReason byte

const (
	GoAwayDraining GoAwayReason = 1 // the pod hands its sessions over
	GoAwayShutdown GoAwayReason = 2 // reserved: sidecars drain, and send the first

	// GoAwayAuthenticate: the app did not accept the handshake that the session
	// began with. The client makes a new one.
	GoAwayAuthenticate GoAwayReason = 3

	// GoAwayToken: the client's token has a key or a format that is about to go,
	// and another connection brings a new one.
	GoAwayToken GoAwayReason = 4
)

// AppendGoAway appends GOAWAY:
//
//	reason u8 | delay ms u32
func AppendGoAway(dst []byte, reason GoAwayReason, delayMillis uint32) []byte {
	return binary.BigEndian.AppendUint32(append(appendPrefix(dst, GoAway), byte(reason)), delayMillis)
}

// ParseGoAway reads GOAWAY. An unknown reason is not an error: what the
// client does is the same for each.
func ParseGoAway(msg []byte) (reason GoAwayReason, delayMillis uint32, err error) {
	b, err := body(msg, GoAway)
	if err != nil {
		return 0, 0, err
	}
	if len(b) != 5 {
		return 0, 0, malformed(GoAway, "body of %d bytes, want 5", len(b))
	}
	return GoAwayReason(b[0]), binary.BigEndian.Uint32(b[1:]), nil
}

// AppendClose appends CLOSE (PROTOCOL §4.7). A reason that is too long is cut
// at a character.
//
//	code u16 | reason
func AppendClose(dst []byte, code ws.StatusCode, reason string) []byte {
	dst = binary.BigEndian.AppendUint16(appendPrefix(dst, Close), uint16(code))
	return append(dst, CutReason(reason)...)
}

// ParseClose reads CLOSE.
func ParseClose(msg []byte) (code ws.StatusCode, reason string, err error) {
	b, err := body(msg, Close)
	if err != nil {
		return 0, "", err
	}
	if len(b) < 2 || len(b) > 2+MaxCloseReason {
		return 0, "", malformed(Close, "body of %d bytes, want 2 to %d", len(b), 2+MaxCloseReason)
	}
	code = ws.StatusCode(binary.BigEndian.Uint16(b))
	if !ValidSessionCode(code) {
		return 0, "", malformed(Close, "code %d ends no session", code)
	}
	if !validReason(b[2:]) {
		return 0, "", malformed(Close, "the reason is not UTF-8")
	}
	return code, string(b[2:]), nil
}

// ResetReason is why a session cannot be resumed (PROTOCOL §4.8).
type ResetReason byte

const (
	ResetUnknown      ResetReason = 1 // unknown or expired
	ResetToken        ResetReason = 2 // token not valid
	ResetLost         ResetReason = 3 // messages lost
	ResetUnauthorized ResetReason = 4
	ResetTryAgain     ResetReason = 5 // not known yet: keep token and outbox
)

var resetNames = [...]string{"", "unknown", "token", "lost", "unauthorised", "try_again"}

func (r ResetReason) String() string {
	if r >= ResetUnknown && r <= ResetTryAgain {
		return resetNames[r]
	}
	return "undefined"
}

// AppendReset appends RESET:
//
//	reason u8
//	status u16 of the app, or absent; see AppendRefused
func AppendReset(dst []byte, reason ResetReason) []byte {
	return append(appendPrefix(dst, Reset), byte(reason))
}

// AppendRefused appends the RESET of a session whose app refuses the client's
// handshake with an HTTP status.
func AppendRefused(dst []byte, status uint16) []byte {
	return binary.BigEndian.AppendUint16(AppendReset(dst, ResetUnauthorized), status)
}

// ParseReset reads RESET. The status is 0 where there is none.
func ParseReset(msg []byte) (r ResetReason, status uint16, err error) {
	b, err := body(msg, Reset)
	if err != nil {
		return 0, 0, err
	}
	if len(b) != 1 && len(b) != 3 {
		return 0, 0, malformed(Reset, "body of %d bytes, want 1 or 3", len(b))
	}
	r = ResetReason(b[0])
	if r < ResetUnknown || r > ResetTryAgain {
		return 0, 0, malformed(Reset, "reason %d", b[0])
	}
	if len(b) == 3 {
		status = binary.BigEndian.Uint16(b[1:])
	}
	return r, status, nil
}

// AppendRestore appends RESTORE (PROTOCOL §4.10), whose message is text or
// binary:
//
//	opcode u8 | message
func AppendRestore(dst []byte, op ws.OpCode, message []byte) []byte {
	return append(append(appendPrefix(dst, Restore), byte(op)), message...)
}

// ParseRestore reads RESTORE. The message is a slice of msg.
func ParseRestore(msg []byte) (op ws.OpCode, message []byte, err error) {
	b, err := body(msg, Restore)
	if err != nil {
		return 0, nil, err
	}
	if len(b) == 0 {
		return 0, nil, malformed(Restore, "no body")
	}
	switch op, message = ws.OpCode(b[0]), b[1:]; {
	case op != ws.OpText && op != ws.OpBinary:
		return 0, nil, malformed(Restore, "opcode %d", b[0])
	case op == ws.OpText && !utf8.Valid(message):
		return 0, nil, malformed(Restore, "the text is not UTF-8")
	}
	return op, message, nil
}

// AppendRestored appends RESTORED (PROTOCOL §4.11).
func AppendRestored(dst []byte) []byte { return appendPrefix(dst, Restored) }

// ParseRestored checks RESTORED, which has no body.
func ParseRestored(msg []byte) error {
	b, err := body(msg, Restored)
	if err == nil && len(b) != 0 {
		err = malformed(Restored, "body of %d bytes, want none", len(b))
	}
	return err
}

// AppendSkipped appends SKIPPED (PROTOCOL §4.9).
func AppendSkipped(dst []byte) []byte { return appendPrefix(dst, Skipped) }

// ParseSkipped checks SKIPPED, which has no body.
func ParseSkipped(msg []byte) error {
	b, err := body(msg, Skipped)
	if err == nil && len(b) != 0 {
		err = malformed(Skipped, "body of %d bytes, want none", len(b))
	}
	return err
}
