package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// A CloseError says that the session was closed, by a CLOSE of the app or of
// this program, or that a connection without a sidecar ended.
type CloseError struct {
	Code   int    // RFC 6455 §7.4; 1006 if the connection broke
	Reason string // as the closing side gave it
	Remote bool   // the other side closed
	cause  error
}

func (e *CloseError) Error() string {
	who := "here"
	if e.Remote {
		who = "by the peer"
	}
	s := fmt.Sprintf("client: closed %s: %d", who, e.Code)
	if e.Reason != "" {
		s += " " + e.Reason
	}
	if e.cause != nil && e.cause != net.ErrClosed {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap returns net.ErrClosed after a Close of this program, and what wraps
// io.ErrUnexpectedEOF when a connection without a sidecar ended otherwise than
// by a close frame.
func (e *CloseError) Unwrap() error { return e.cause }

// ended returns the error of a session that was no more than its connection.
// Reason is for what the peer said, so the error of a socket is not in it.
func ended(ce *wire.CloseError, why error) error {
	e := &CloseError{Code: int(ce.Code), Remote: ce.Remote, cause: io.ErrUnexpectedEOF}
	if ce.Remote {
		e.Reason = ce.Reason
		return e
	}
	if why == nil && ce.Reason != "" {
		why = errors.New(ce.Reason)
	}
	if why != nil && why != io.EOF {
		e.cause = fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, why)
	}
	return e
}

// CloseStatus returns the close code of the first CloseError that err wraps,
// or -1.
func CloseStatus(err error) int {
	if e, ok := errors.AsType[*CloseError](err); ok {
		return e.Code
	}
	return -1
}

// A RefusedError is Dial's when a sidecar refused the session itself: there is
// one, and the same dial may succeed later or elsewhere.
type RefusedError struct {
	Reason     string        // draining, journal, memory, upstream, or what is wrong with the request
	RetryAfter time.Duration // what the sidecar asks for; 0: nothing
	cause      error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%v: refused by the sidecar: %s", e.cause, e.Reason)
}

// Unwrap returns the error of the handshake.
func (e *RefusedError) Unwrap() error { return e.cause }

// refusedBySidecar makes a RefusedError of err if resp has a sidecar's mark
// (PROTOCOL §2.2), and otherwise returns err.
func refusedBySidecar(resp *http.Response, err error) error {
	if err == nil || resp == nil || resp.Header.Get("Wsr-Refused") == "" {
		return err
	}
	return &RefusedError{Reason: resp.Header.Get("Wsr-Refused"), RetryAfter: retryAfter(resp, time.Now()), cause: err}
}

// retryAfter returns the wait that a response asks for (RFC 9110 §10.2.3); 0:
// none, or a past time.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	v := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// LostReason says why a session cannot be resumed.
type LostReason string

// The first four are the sidecar's verdict (RESET, PROTOCOL §4.8), the others
// are concluded here.
const (
	LostUnknown      LostReason = "unknown"      // the sidecar does not know the session, or it expired there
	LostToken        LostReason = "token"        // the token is not valid
	LostMessages     LostReason = "lost"         // messages are missing and cannot be replayed
	LostUnauthorized LostReason = "unauthorised" // the app did not allow the resume
	LostExpired      LostReason = "expired"      // no resume succeeded within the session's time to live
	LostSuperseded   LostReason = "superseded"   // another holder of the token took the session over
	LostAttempts     LostReason = "attempts"     // Backoff.Attempts failed in a row
	LostViolation    LostReason = "violation"    // the sidecar's positions contradict ours
	LostNoSidecar    LostReason = "no_sidecar"   // five servers in a row answered as without a sidecar: there is none any more
)

// A SessionLostError says that the session is over and what became of it is
// not known to both sides.
type SessionLostError struct {
	Reason LostReason

	// Status is the HTTP status that the app refused the client's handshake
	// with, of LostUnauthorized; 0 if it is not known.
	Status int

	// Unacked is how many messages Write took that the sidecar has not
	// acknowledged, and Messages are these, in order. Nothing sends them again by
	// itself.
	Unacked  int
	Messages []UnackedMessage
}

// An UnackedMessage is one of a lost session that the sidecar has not
// acknowledged.
type UnackedMessage struct {
	Type MessageType
	Data []byte
	Sent bool   // the app may have got it; if not, it has not
	Key  string // of WriteKeyed: sent again with it, the message acts once; "": none
}

func (e *SessionLostError) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("client: session lost: %s with status %d, %d messages unacknowledged", e.Reason, e.Status, e.Unacked)
	}
	return fmt.Sprintf("client: session lost: %s, %d messages unacknowledged", e.Reason, e.Unacked)
}

// ErrTooBig is wrapped by the error of a Write whose message is larger than
// the sidecar takes. The session goes on.
var ErrTooBig = errors.New("message too big")

// ErrRejected is wrapped by the error of a WriteAcked whose message ended two
// connections and was set aside (EventRejected). The session goes on.
var ErrRejected = errors.New("message rejected")

// ErrCloseTimeout is wrapped by the error of a Close that the other side did
// not confirm in time. What Write took may not have arrived.
var ErrCloseTimeout = errors.New("not confirmed in time")

// lostReasons maps what a sidecar says; try_again is no loss.
var lostReasons = map[wire.ResetReason]LostReason{
	wire.ResetUnknown:      LostUnknown,
	wire.ResetToken:        LostToken,
	wire.ResetLost:         LostMessages,
	wire.ResetUnauthorized: LostUnauthorized,
}
