// Package ywebsocket is the preset for y-websocket, by which Yjs documents are
// edited together (PROTOCOL.md of yjs/y-protocols).
package ywebsocket

import (
	"encoding/binary"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
)

// keyStep is the key of the client's latest sync step 1. It is saved.
const keyStep = "step1"

// requestSync is the client's sync step 1, which the app answers by step 2.
const requestSync = "sync"

// Types of messages, and of those of a sync, each a varint.
const (
	messageSync      = 0
	messageAwareness = 1

	syncStep1  = 0
	syncStep2  = 1
	syncUpdate = 2
)

// A preset follows one conversation. What the client had at its sync step 1, and
// whatever came behind, is what it has; said again, it makes the app send the
// rest, and what the client has already changes nothing. A fresh app says a step 1
// of its own, which the client answers with all that the app lacks. So no message
// is kept from the client.
//
// Awareness is not kept: clients say it again every 15 s, and forget that of
// others after 30 s.
type preset struct{ asked snapshot.Requests }

// New returns a preset that follows a new conversation.
func New() snapshot.Preset { return &preset{} }

// Inbound implements [snapshot.Preset].
func (p *preset) Inbound(c snapshot.Conversation, now time.Time, m snapshot.Message) {
	kind, step, ok := parse(m)
	switch {
	case !ok:
		c.SetIncomplete()
		p.asked.Unclear()
	case kind == messageSync && step == syncStep1:
		c.Keep(now, keyStep, m)
		p.asked.Asked(requestSync, true)
	}
}

// Outbound implements [snapshot.Preset].
func (p *preset) Outbound(_ snapshot.Conversation, _ time.Time, m snapshot.Message) (swallow bool) {
	if len(m.Data) >= 2 && m.Binary && m.Data[0] == messageSync && m.Data[1] == syncStep2 {
		p.asked.Answered(requestSync)
	}
	return false
}

// parse reads the head of a message. Each that is known ends with bytes and their
// number; ok is false for any other, as is each of Hocuspocus, which begins with
// the document's name.
func parse(m snapshot.Message) (kind, step byte, ok bool) {
	if !m.Binary || len(m.Data) < 2 {
		return 0, 0, false
	}
	kind, rest := m.Data[0], m.Data[1:]
	switch kind {
	case messageSync:
		if step, rest = rest[0], rest[1:]; step > syncUpdate {
			return 0, 0, false
		}
	case messageAwareness:
	default:
		return 0, 0, false
	}
	size, n := binary.Uvarint(rest)
	return kind, step, n > 0 && size == uint64(len(rest)-n)
}

// Owes implements [snapshot.Replier].
func (p *preset) Owes(snapshot.Conversation) snapshot.Owed { return p.asked.Owed() }

// Restore implements [snapshot.Preset].
func (p *preset) Restore(c snapshot.Conversation, _ time.Time) {
	p.asked = snapshot.Requests{}
	if m, ok := c.Kept(keyStep); ok {
		c.ToApp(m)
		p.asked.Asked(requestSync, true)
	}
	c.Restored()
}

// Tick implements [snapshot.Preset].
func (p *preset) Tick(snapshot.Conversation, time.Time) {}

// Deadline implements [snapshot.Preset].
func (p *preset) Deadline() time.Time { return time.Time{} }
