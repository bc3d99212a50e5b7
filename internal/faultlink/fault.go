package faultlink

import "fmt"

// A Direction is that of the bytes.
type Direction int

const (
	Inbound  Direction = iota // from the client to the target
	Outbound                  // from the target to the client
)

func (d Direction) String() string {
	if d == Inbound {
		return "inbound"
	}
	return "outbound"
}

// A Kind is a way in which a connection dies.
type Kind int

const (
	// RST resets both ends, as a middlebox that forgot the flow does.
	RST Kind = iota
	// FIN ends both streams in good order. What either end still writes is
	// swallowed until it closes.
	FIN
	// DropTarget leaves the client half open: the target is reset, the
	// client is told nothing and writes into the void until it closes.
	DropTarget
	// DropClient leaves the target half open: the client is reset, the
	// target is told nothing. This is what a phone that changed its network
	// leaves behind.
	DropClient
	// Mute lets neither end notice: what they still write is swallowed
	// until both have closed.
	Mute
)

var kindNames = [...]string{"RST", "FIN", "drop target", "drop client", "mute"}

func (k Kind) String() string {
	if k >= 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", int(k))
}

// A pendingCut is a cut that waits for its byte.
type pendingCut struct {
	set  bool
	left int64 // bytes that still pass
	kind Kind
}

// take asks to pass want bytes. It returns how many may pass, and hit if the
// cut comes behind them; it is unset then, so that it ends one connection.
func (t *pendingCut) take(want int) (n int, hit bool) {
	if !t.set {
		return want, false
	}
	if int64(want) < t.left {
		t.left -= int64(want)
		return want, false
	}
	t.set = false
	return int(t.left), true
}
