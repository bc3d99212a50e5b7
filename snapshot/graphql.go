package snapshot

import (
	"encoding/json"
	"time"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
)

// Keys of the preset graphql-transport-ws.
const (
	gqlInit  = "init"       // connection_init
	gqlAcked = "acked"      // the client has heard connection_ack
	gqlSub   = "subscribe/" // by id: a subscription
	gqlOther = "operation/" // by id: another operation, which is under way
)

// gqlMaxID bounds an operation's id, which is a UUID or a number as a rule.
const gqlMaxID = 256

// graphQL follows graphql-transport-ws (PROTOCOL.md of enisdenjo/graphql-ws).
// Only subscriptions are said again: a query or mutation may have been
// executed, and what it answered may be lost. While one is under way the
// snapshot is incomplete.
type graphQL struct {
	acking bool    // a restore waits for connection_ack
	owed   Message // the pong to a ping that the client has not answered yet
}

func newGraphQL() preset { return &graphQL{} }

// inbound implements preset.
func (g *graphQL) inbound(k *Tracker, now time.Time, m Message) {
	raw, f := jsonpointer.Lookup(m.Data, "type")
	switch {
	case f == jsonpointer.Undecided:
		k.incomplete()
	case f == jsonpointer.Absent:
	case jsonpointer.Equal(raw, "connection_init"):
		k.keep(now, gqlInit, m)
	case jsonpointer.Equal(raw, "subscribe"):
		g.subscribe(k, now, m)
	case jsonpointer.Equal(raw, "complete"):
		g.ended(k, m)
	case jsonpointer.Equal(raw, "pong"):
		g.owed = Message{}
	}
}

// subscribe keeps an operation if it is a subscription as far as one can tell.
func (g *graphQL) subscribe(k *Tracker, now time.Time, m Message) {
	id := jsonpointer.LookupText(m.Data, "id")
	switch {
	case id == "" || len(id) > gqlMaxID:
		k.incomplete() // it cannot be told when it ends
	case isSubscription(jsonpointer.LookupText(m.Data, "payload", "query"), jsonpointer.LookupText(m.Data, "payload", "operationName")) && json.Valid(m.Data):
		k.keep(now, gqlSub+id, m)
	default:
		k.pend(now, gqlOther+id)
	}
}

// ended forgets an operation that either side has ended.
func (g *graphQL) ended(k *Tracker, m Message) {
	id := jsonpointer.LookupText(m.Data, "id")
	k.forget(gqlSub + id)
	k.forget(gqlOther + id)
}

// outbound implements preset.
func (g *graphQL) outbound(k *Tracker, now time.Time, m Message) (swallow bool) {
	raw, _ := jsonpointer.Lookup(m.Data, "type")
	switch {
	case jsonpointer.Equal(raw, "next"): // the most frequent by far
	case jsonpointer.Equal(raw, "complete"), jsonpointer.Equal(raw, "error"):
		g.ended(k, m)
	case jsonpointer.Equal(raw, "connection_ack"):
		return g.acked(k, now)
	case jsonpointer.Equal(raw, "ping"):
		return g.ping(k, m)
	}
	return false
}

// acked takes the app's acknowledgement, which the client hears once.
func (g *graphQL) acked(k *Tracker, now time.Time) (swallow bool) {
	_, swallow = k.kept(gqlAcked)
	k.keep(now, gqlAcked, Message{})
	if !g.acking {
		return false
	}
	g.acking = false
	k.each(gqlSub, func(_ string, m Message) { k.say(m) })
	k.restored()
	return swallow
}

// ping answers for a client that is away, and has the answer ready for one
// that may be gone already. A pong gives the payload back; one too many means
// nothing.
func (g *graphQL) ping(k *Tracker, m Message) (swallow bool) {
	pong := []byte(`{"type":"pong"}`)
	if payload, f := jsonpointer.Lookup(m.Data, "payload"); f == jsonpointer.Present && json.Valid(payload) {
		pong = append(append([]byte(`{"type":"pong","payload":`), payload...), '}')
	}
	if k.attached() {
		g.owed = Message{Data: pong}
		return false
	}
	k.say(Message{Data: pong})
	return true
}

// restore implements preset.
func (g *graphQL) restore(k *Tracker, _ time.Time) {
	g.owed = Message{}
	k.each(gqlOther, func(key string, _ Message) { k.forget(key) }) // it ended with the old socket
	init, ok := k.kept(gqlInit)
	if g.acking = ok; !ok {
		k.restored() // the client has yet to begin
		return
	}
	k.say(init)
}

// tick implements preset.
func (g *graphQL) tick(k *Tracker, _ time.Time) {
	if g.owed.Data != nil && !k.attached() {
		k.say(g.owed)
		g.owed = Message{}
	}
}

// deadline implements preset.
func (g *graphQL) deadline() time.Time { return time.Time{} }
