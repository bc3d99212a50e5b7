package snapshot

import (
	"fmt"
	"strings"
	"time"
)

// A preset follows one conversation in a protocol that it knows. It is used by
// its Tracker only. What it must still know on another pod it keeps as entries,
// since nothing else of it is saved. The key of an entry is a kind in lower
// case, or kind/rest where rest may come from a payload: inspection shows the
// kind only (I9).
type preset interface {
	// inbound sees what the client said, when the app's socket has it. The
	// message is lent for the call.
	inbound(k *Tracker, now time.Time, m Message)

	// outbound sees what the app said, also during a restore. True keeps it
	// from the client, which then hears what k.deliver is told instead.
	outbound(k *Tracker, now time.Time, m Message) (swallow bool)

	// restore begins to tell a fresh socket what it must hear. It calls
	// k.restored when the app is ready, at once or from outbound, or k.fail
	// when the app does not want the conversation back. Whatever the preset
	// knew of the old socket is void.
	restore(k *Tracker, now time.Time)

	// tick is called when the deadline has passed, and more often. The preset
	// has no deadline when it is zero.
	tick(k *Tracker, now time.Time)
	deadline() time.Time
}

// A byteStream is a preset in whose protocol a WebSocket message is no unit.
type byteStream interface {
	// midway: see Tracker.InFlight.
	midway(k *Tracker) bool

	// repeat says to a fresh socket what the old one heard of a unit that is
	// not whole yet. It is the last that a restore says.
	repeat(k *Tracker)
}

// A restarter is a preset that knows more of its protocol's closes than the
// close codes tell: see Tracker.Restarts.
type restarter interface {
	restarts(k *Tracker, code uint16) bool
}

// A protocol is a row of the table of presets.
type protocol struct {
	name  string
	start func() preset
}

// protocols is the table of presets, by the names of WSR_APP_PROTOCOL.
func protocols() []protocol {
	return []protocol{
		{"actioncable", newActionCable},
		{"graphql-transport-ws", newGraphQL},
		{"mqtt", newMQTT},
		{"phoenix", newPhoenix},
		{"socket.io", newSocketIO},
		{"stomp", newSTOMP},
	}
}

// protocolOf returns the row with that name.
func protocolOf(name string) (protocol, error) {
	var names []string
	for _, p := range protocols() {
		if p.name == name {
			return p, nil
		}
		names = append(names, p.name)
	}
	return protocol{}, fmt.Errorf("protocol %q: not one of %s", name, strings.Join(names, ", "))
}
