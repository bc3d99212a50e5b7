package wire

import (
	"encoding/binary"
	"fmt"
)

// SessionID names a session in logs and in the journal. It grants nothing;
// the token does.
type SessionID [16]byte

func (id SessionID) String() string { return fmt.Sprintf("%x", id[:]) }

// Status is what became of the session (PROTOCOL §4.2).
type Status byte

const (
	StatusNew     Status = 0
	StatusResumed Status = 1
	StatusAdopted Status = 2
)

var statusNames = [...]string{"new", "resumed", "adopted"}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "undefined"
}

// AdoptReason is why a session has a new app socket (PROTOCOL §4.2).
type AdoptReason byte

const (
	AdoptNone         AdoptReason = 0 // the status is not adopted
	AdoptDrained      AdoptReason = 1 // handed over clean: nothing is missing
	AdoptOwnerLost    AdoptReason = 2 // the app's last words may be missing
	AdoptAppRestarted AdoptReason = 3
	AdoptOwed         AdoptReason = 4 // handed over while the app may have owed an answer
)

var adoptNames = [...]string{"", "drained", "owner_lost", "app_restarted", "owed"}

func (r AdoptReason) String() string {
	if int(r) < len(adoptNames) {
		return adoptNames[r]
	}
	return "undefined"
}

// A WelcomeMessage is WELCOME (PROTOCOL §4.2):
//
//	status u8 | reason u8, 128 more if the sidecar restores | session id 16 B | epoch u32 | inbound ack u32 |
//	next outbound u32 | heartbeat ms u32 | TTL ms u32 | window u32 |
//	max message u32 | retry first ms u32 | retry most ms u32 |
//	token u16+n | app subprotocol u8+n | options u8, or absent
type WelcomeMessage struct {
	Status           Status
	Reason           AdoptReason
	Restored         bool // the sidecar tells the app's fresh socket all that it has to hear
	Session          SessionID
	Epoch            uint32
	InboundAck       uint32
	NextOutbound     uint32
	HeartbeatMillis  uint32
	TTLMillis        uint32
	Window           uint32 // bytes
	MaxMessage       uint32 // bytes
	RetryFirstMillis uint32 // 0: the client decides
	RetryMostMillis  uint32 // 0: the client decides
	Token            string
	Subprotocol      string // the app's

	// WithOptions says that there is the field of options, which only a client has
	// that offered one of them.
	WithOptions bool
	Options     Options
}

// numbers are the fields of four bytes, in their order.
func (w *WelcomeMessage) numbers() [9]*uint32 {
	return [...]*uint32{
		&w.Epoch, &w.InboundAck, &w.NextOutbound, &w.HeartbeatMillis, &w.TTLMillis,
		&w.Window, &w.MaxMessage, &w.RetryFirstMillis, &w.RetryMostMillis,
	}
}

// restoredBit, in the reason, is Restored.
const restoredBit = 1 << 7

const welcomeFixed = 2 + 16 + 9*4

// AppendWelcome appends w. Token and subprotocol beyond their limits are a
// bug of the caller, who made the one and bounded the other.
func AppendWelcome(dst []byte, w *WelcomeMessage) []byte {
	if len(w.Token) > MaxToken || len(w.Subprotocol) > MaxSubprotocol {
		panic("wire: WELCOME with a token or subprotocol above its limit")
	}
	reason := byte(w.Reason)
	if w.Restored {
		reason |= restoredBit
	}
	dst = append(appendPrefix(dst, Welcome), byte(w.Status), reason)
	dst = append(dst, w.Session[:]...)
	for _, v := range w.numbers() {
		dst = binary.BigEndian.AppendUint32(dst, *v)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(w.Token)))
	dst = append(dst, w.Token...)
	dst = append(dst, byte(len(w.Subprotocol)))
	dst = append(dst, w.Subprotocol...)
	if w.WithOptions {
		dst = append(dst, byte(w.Options))
	}
	return dst
}

// Options are what a sidecar grants of what a client has offered, a bit each.
type Options byte

const (
	// OptionKeys: KEY may be sent on this connection.
	OptionKeys Options = 1 << iota
	// OptionShared: other clients may be in the session, and SHARED tells of them.
	OptionShared
)

// ParseWelcome reads WELCOME to a client that offered no options.
func ParseWelcome(msg []byte) (*WelcomeMessage, error) {
	w, err := ParseWelcomeOptions(msg)
	if err == nil && w.WithOptions {
		return nil, malformed(Welcome, "options, for which nobody asked")
	}
	return w, err
}

// ParseWelcomeOptions reads WELCOME to a client that offered options. An older
// sidecar has none.
func ParseWelcomeOptions(msg []byte) (*WelcomeMessage, error) {
	b, err := body(msg, Welcome)
	if err != nil {
		return nil, err
	}
	if len(b) < welcomeFixed+3 {
		return nil, malformed(Welcome, "body of %d bytes, want at least %d", len(b), welcomeFixed+3)
	}
	w := &WelcomeMessage{Status: Status(b[0]), Reason: AdoptReason(b[1] &^ restoredBit), Restored: b[1]&restoredBit != 0}
	if w.Status > StatusAdopted || w.Reason > AdoptOwed || (w.Status == StatusAdopted) != (w.Reason != AdoptNone) || w.Restored && w.Reason == AdoptNone {
		return nil, malformed(Welcome, "status %d with reason %d", b[0], b[1])
	}
	copy(w.Session[:], b[2:])
	for i, v := range w.numbers() {
		*v = binary.BigEndian.Uint32(b[18+4*i:])
	}
	b = b[welcomeFixed:]
	n := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; n > MaxToken || n+1 > len(b) || !validToken(string(b[:n])) {
		return nil, malformed(Welcome, "token of %d characters", n)
	}
	w.Token = string(b[:n])
	b = b[n:]
	n = int(b[0])
	if n != len(b)-1 && n != len(b)-2 {
		return nil, malformed(Welcome, "subprotocol of %d bytes in %d", b[0], len(b)-1)
	}
	w.Subprotocol = string(b[1 : 1+n])
	if rest := b[1+n:]; len(rest) > 0 {
		w.WithOptions, w.Options = true, Options(rest[0])
	}
	return w, nil
}
