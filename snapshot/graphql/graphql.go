// Package graphql is the preset for GraphQL over WebSocket, the subprotocol
// graphql-transport-ws (PROTOCOL.md of enisdenjo/graphql-ws).
package graphql

import (
	"encoding/json"
	"time"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/snapshot"
)

// Keys of entries. They are saved.
const (
	keyInit      = "init"       // connection_init
	keyAcked     = "acked"      // the client has heard connection_ack
	keySubscribe = "subscribe/" // by id: a subscription
	keyOperation = "operation/" // by id: another operation, which is under way
)

// requestPing is the client's ping, which the app answers by a pong.
const requestPing = "ping"

// maxID bounds an operation's id, which is a UUID or a number as a rule.
const maxID = 256

// A preset follows one conversation. Only subscriptions are sent again: a query
// or mutation may have been executed, and what it answered may be lost. While
// one is under way the snapshot is incomplete.
type preset struct {
	asked  snapshot.Requests // beside operations and connection_init
	acking bool              // a restore awaits connection_ack
	pong   snapshot.Message  // to a ping that the client has not answered yet
}

// New returns a preset that follows a new conversation.
func New() snapshot.Preset { return &preset{} }

// Recognises implements snapshot.Protocol: the subprotocol is the protocol's.
// graphql-ws is that of an older one.
func Recognises(h snapshot.Handshake) bool { return h.Subprotocol == "graphql-transport-ws" }

// Inbound implements [snapshot.Preset].
func (g *preset) Inbound(c snapshot.Conversation, now time.Time, m snapshot.Message) {
	raw, f := jsonpointer.Lookup(m.Data, "type")
	switch {
	case f == jsonpointer.Undecided:
		c.SetIncomplete()
	case f == jsonpointer.Absent:
		g.asked.Unclear()
	case jsonpointer.Equal(raw, "connection_init"):
		c.Keep(now, keyInit, m)
	case jsonpointer.Equal(raw, "subscribe"):
		g.subscribe(c, now, m)
	case jsonpointer.Equal(raw, "complete"):
		g.complete(c, m)
	case jsonpointer.Equal(raw, "pong"):
		g.pong = snapshot.Message{}
	case jsonpointer.Equal(raw, "ping"):
		g.asked.Asked(requestPing, true)
	default:
		g.asked.Unclear()
	}
}

// subscribe keeps an operation if it is a subscription as far as one can tell.
func (g *preset) subscribe(c snapshot.Conversation, now time.Time, m snapshot.Message) {
	id := jsonpointer.LookupText(m.Data, "id")
	switch {
	case id == "" || len(id) > maxID:
		c.SetIncomplete() // it cannot be told when it ends
	case isSubscription(jsonpointer.LookupText(m.Data, "payload", "query"), jsonpointer.LookupText(m.Data, "payload", "operationName")) && json.Valid(m.Data):
		c.Keep(now, keySubscribe+id, m)
	default:
		c.SetPending(now, keyOperation+id)
	}
}

// complete forgets an operation that either side has ended.
func (g *preset) complete(c snapshot.Conversation, m snapshot.Message) {
	id := jsonpointer.LookupText(m.Data, "id")
	c.Forget(keySubscribe + id)
	c.Forget(keyOperation + id)
}

// Outbound implements [snapshot.Preset].
func (g *preset) Outbound(c snapshot.Conversation, now time.Time, m snapshot.Message) (swallow bool) {
	raw, _ := jsonpointer.Lookup(m.Data, "type")
	switch {
	case jsonpointer.Equal(raw, "next"): // the most frequent by far
	case jsonpointer.Equal(raw, "complete"), jsonpointer.Equal(raw, "error"):
		g.complete(c, m)
	case jsonpointer.Equal(raw, "connection_ack"):
		return g.acked(c, now)
	case jsonpointer.Equal(raw, "ping"):
		return g.ping(c, m)
	case jsonpointer.Equal(raw, "pong"):
		g.asked.Answered(requestPing)
	}
	return false
}

// acked takes the app's acknowledgement, which the client hears once.
func (g *preset) acked(c snapshot.Conversation, now time.Time) (swallow bool) {
	_, swallow = c.Kept(keyAcked)
	c.Keep(now, keyAcked, snapshot.Message{})
	if !g.acking {
		return false
	}
	g.acking = false
	for _, m := range c.All(keySubscribe) {
		c.ToApp(m)
	}
	c.Restored()
	return swallow
}

// ping answers for a client that is away, and has the answer ready for one
// that may be gone already. A pong gives the payload back; one too many means
// nothing.
func (g *preset) ping(c snapshot.Conversation, m snapshot.Message) (swallow bool) {
	pong := []byte(`{"type":"pong"}`)
	if payload, f := jsonpointer.Lookup(m.Data, "payload"); f == jsonpointer.Present && json.Valid(payload) {
		pong = append(append([]byte(`{"type":"pong","payload":`), payload...), '}')
	}
	if c.Attached() {
		g.pong = snapshot.Message{Data: pong}
		return false
	}
	c.ToApp(snapshot.Message{Data: pong})
	return true
}

// Owes implements [snapshot.Replier]. What subscriptions give is nobody's answer.
func (g *preset) Owes(c snapshot.Conversation) snapshot.Owed {
	_, begun := c.Kept(keyInit)
	_, acked := c.Kept(keyAcked)
	if begun && !acked {
		return snapshot.OwedAnswer
	}
	for range c.All(keyOperation) {
		return snapshot.OwedAnswer
	}
	return g.asked.Owed()
}

// Restore implements [snapshot.Preset].
func (g *preset) Restore(c snapshot.Conversation, _ time.Time) {
	g.pong, g.asked = snapshot.Message{}, snapshot.Requests{}
	c.ForgetAll(keyOperation) // it ended with the old socket
	init, ok := c.Kept(keyInit)
	if g.acking = ok; !ok {
		c.Restored() // the client has yet to begin
		return
	}
	c.ToApp(init)
}

// Tick implements [snapshot.Preset].
func (g *preset) Tick(c snapshot.Conversation, _ time.Time) {
	if g.pong.Data != nil && !c.Attached() {
		c.ToApp(g.pong)
		g.pong = snapshot.Message{}
	}
}

// Deadline implements [snapshot.Preset].
func (g *preset) Deadline() time.Time { return time.Time{} }
