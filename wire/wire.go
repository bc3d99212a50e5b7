// Package wire encodes and decodes wsr.v1, the protocol of docs/PROTOCOL.md,
// and nothing else does. It holds no state and does no I/O; every function is
// safe for concurrent use. Decoders never keep a reference to their input
// unless their comment says so, and never allocate what a peer declares.
package wire

import (
	"errors"
	"fmt"
)

// Magic starts every binary message that is ours (PROTOCOL §3.2). A text
// message cannot start with FF, which is not UTF-8.
const Magic = "\xffWSR"

// Protocol constants.
const (
	prefixLen = len(Magic) + 1 // magic and type

	// MaxToken bounds a token's characters: common proxies refuse a header
	// of more than 8 KiB, and the app's own protocols need room too.
	MaxToken = 1024

	// MaxCloseReason is what fits a close frame beside its code
	// (RFC 6455 §5.5).
	MaxCloseReason = 123

	// MaxSubprotocol is what the length byte in WELCOME can say.
	MaxSubprotocol = 255

	// MaxControl bounds any control message: WELCOME with the longest token
	// and subprotocol, rounded up.
	MaxControl = 2048
)

// Type is the byte after the magic (PROTOCOL §4).
type Type byte

const (
	Escaped      Type = 0 // a data message that starts with the magic
	Welcome      Type = 1
	Ack          Type = 2
	Heartbeat    Type = 3
	HeartbeatAck Type = 4
	GoAway       Type = 5
	Close        Type = 6
	Reset        Type = 7
	Restore      Type = 8  // a message that restores the app's context
	Restored     Type = 9  // that was all of them
	Skipped      Type = 10 // stands for a data message that will not be sent
	Key          Type = 11 // of the data message that follows
	Outcome      Type = 12 // what became of one with a key (a data message)
	Shared       Type = 13 // of a session that several clients share (a data message)
)

var typeNames = [...]string{
	Escaped: "ESCAPED", Welcome: "WELCOME", Ack: "ACK", Heartbeat: "HEARTBEAT", HeartbeatAck: "HEARTBEAT_ACK",
	GoAway: "GOAWAY", Close: "CLOSE", Reset: "RESET", Restore: "RESTORE", Restored: "RESTORED", Skipped: "SKIPPED",
	Key: "KEY", Outcome: "OUTCOME", Shared: "SHARED",
}

func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("type %02x", byte(t))
}

// ErrMalformed is wrapped by every decoding error: the peer violated
// PROTOCOL §4, and its connection ends with CodeViolation.
var ErrMalformed = errors.New("malformed control message")

func malformed(t Type, format string, args ...any) error {
	return fmt.Errorf("wire: %v: %s: %w", t, fmt.Sprintf(format, args...), ErrMalformed)
}

// TypeOf returns the type of a binary message and true if the message is
// ours. A message that is only the magic has no type byte: it is ours and
// malformed, and reported as type FF, which nothing decodes.
func TypeOf(msg []byte) (Type, bool) {
	if !IsMagic(msg) {
		return 0, false
	}
	if len(msg) < prefixLen {
		return 0xff, true
	}
	return Type(msg[len(Magic)]), true
}

// IsMagic reports whether a binary message starts with the magic.
func IsMagic(msg []byte) bool {
	return len(msg) >= len(Magic) && string(msg[:len(Magic)]) == Magic
}

// EscapeLen is what ESCAPED adds in front of a data message.
const EscapeLen = prefixLen

// RestoreLen is what RESTORE adds in front of its message.
const RestoreLen = prefixLen + 1

// AppendEscape appends the bytes that go in front of a data message which
// itself starts with the magic (PROTOCOL §3.2).
func AppendEscape(dst []byte) []byte { return appendPrefix(dst, Escaped) }

// Unescape returns the original of an ESCAPED message, a slice of msg.
func Unescape(msg []byte) ([]byte, error) {
	orig := msg[min(prefixLen, len(msg)):]
	if !IsMagic(orig) {
		return nil, malformed(Escaped, "the original does not start with the magic")
	}
	return orig, nil
}

func appendPrefix(dst []byte, t Type) []byte {
	return append(append(dst, Magic...), byte(t))
}

// body checks magic and type and returns what follows, a slice of msg.
func body(msg []byte, t Type) ([]byte, error) {
	if got, ok := TypeOf(msg); !ok || got != t {
		return nil, malformed(t, "starts with % x", msg[:min(len(msg), prefixLen)])
	}
	return msg[prefixLen:], nil
}
