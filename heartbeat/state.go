package heartbeat

import "strconv"

// State is the condition of one link.
type State uint8

const (
	// StateHandshaking is where a link begins: the transport is up, the peer
	// has not agreed yet, and no beat is sent. Monitor.Connected leads to
	// StateConnected, the handshake timeout to StateDisconnected.
	StateHandshaking State = iota

	// StateConnected is a link whose peer answers in time, or has been quiet
	// for fewer beats than allowed. A late answer leads to StateDegraded,
	// Config.Misses missed beats to StateDisconnecting.
	StateConnected

	// StateDegraded is a link whose latest answer took more than three mean
	// round trips. It still carries data, but its credit is used up: an
	// answer in time leads back to StateConnected, one missed beat to
	// StateDisconnecting. Data from the peer proves life, not health, and
	// leads nowhere.
	StateDegraded

	// StateDisconnecting is a link that was found dead and that its owner is
	// about to close. Nothing that still arrives brings it back;
	// Monitor.Disconnected ends it, and a resume on a new connection leads to
	// StateConnected.
	StateDisconnecting

	// StateDisconnected is the absence of a link. Nothing is due until a
	// resume leads to StateConnected.
	StateDisconnected
)

// String returns the name of the state as logs and metrics show it.
func (s State) String() string {
	switch s {
	case StateHandshaking:
		return "HANDSHAKING"
	case StateConnected:
		return "CONNECTED"
	case StateDegraded:
		return "DEGRADED"
	case StateDisconnecting:
		return "DISCONNECTING"
	case StateDisconnected:
		return "DISCONNECTED"
	}
	return "State(" + strconv.Itoa(int(s)) + ")"
}

// live reports whether beats flow in this state.
func (s State) live() bool { return s == StateConnected || s == StateDegraded }

// watched reports whether anything can become due in this state.
func (s State) watched() bool { return s == StateHandshaking || s.live() }

// Verdict is what Monitor.Tick asks of the link's owner.
type Verdict uint8

const (
	// VerdictNone asks for nothing: call Tick again at the Deadline.
	VerdictNone Verdict = iota
	// VerdictSend means that a beat is due: call Next and send what it returns.
	VerdictSend
	// VerdictDead means that the link must not be used any more. It is given once.
	VerdictDead
)
