// Package centrifuge is the preset for the client protocol of Centrifugo and of
// the library centrifuge, version 2 in JSON (client.proto of
// centrifugal/protocol).
package centrifuge

import (
	"encoding/json"
	"time"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/snapshot"
)

// Keys of entries. They are saved.
const (
	keyConnect     = "connect"      // the client's command, with its latest token
	keyConnected   = "connected"    // a mark: the client has heard the reply, without pings
	keyAsked       = "asked/"       // by channel: a subscribe without a reply
	keySubscribed  = "subscribe/"   // by channel: a subscribe that the app accepted
	keyRecoverable = "recoverable/" // by channel: under way, a subscription with a position
	keyCall        = "call/"        // by id: under way, another command
)

// maxID bounds a command's id, which is a number, and a channel. Centrifugo's
// limit for channels is 255 as delivered.
const (
	maxID      = 32
	maxChannel = 512
)

// shutdown is the close code of a server that stops.
const shutdown = 3001

// A preset follows one conversation. It answers the app's pings itself, and the
// client is told that there are none: a pong that is late, on a fresh socket, is
// an error to the app.
//
// A subscription with a position in its channel's history is the client's to
// recover, which alone knows what it has. While there is one, or while a command
// is not answered, the snapshot is incomplete.
type preset struct {
	asked      snapshot.Requests
	connecting bool              // a restore awaits the reply to connect
	awaited    map[string]string // by id: the channel of a subscribe of a restore, whose reply is not for the client
	pong       bool              // the app wants answers to its pings
}

// New returns a preset that follows a new conversation.
func New() snapshot.Preset { return &preset{} }

// Recognises implements snapshot.Protocol: the subprotocol is the protocol's. Most
// clients name none for JSON.
func Recognises(h snapshot.Handshake) bool { return h.Subprotocol == "centrifuge-json" }

// Inbound implements [snapshot.Preset].
func (p *preset) Inbound(c snapshot.Conversation, now time.Time, m snapshot.Message) {
	if m.Binary { // Protobuf, or compressed with a dictionary
		p.notUnderstood(c)
		return
	}
	for line := range lines(m.Data) {
		p.command(c, now, line)
	}
}

// notUnderstood notes that the client said something that may matter.
func (p *preset) notUnderstood(c snapshot.Conversation) {
	c.SetIncomplete()
	p.asked.Unclear()
}

// command looks at a command of the client.
func (p *preset) command(c snapshot.Conversation, now time.Time, line []byte) {
	name, body := request(line)
	id := jsonpointer.LookupText(line, "id")
	switch {
	case name == "" && isEmpty(line): // pong
	case name == "" || len(id) > maxID || name != "send" && id == "":
		p.notUnderstood(c)
	case name == "send": // the app may answer it by a message
		p.asked.Unclear()
	case name == "connect":
		if !json.Valid(line) {
			p.notUnderstood(c)
			return
		}
		c.Keep(now, keyConnect, snapshot.Message{Data: line})
	case name == "subscribe":
		p.subscribe(c, now, line, body)
	default:
		p.call(c, now, name, id, body)
	}
}

// subscribe keeps a subscription. One of several steps cannot be made again with
// its last.
func (p *preset) subscribe(c snapshot.Conversation, now time.Time, line, body []byte) {
	channel := jsonpointer.LookupText(body, "channel")
	_, steps := jsonpointer.Lookup(body, "type")
	if channel == "" || len(channel) > maxChannel || steps != jsonpointer.Absent || !json.Valid(line) {
		p.notUnderstood(c)
		return
	}
	c.Keep(now, keyAsked+channel, snapshot.Message{Data: line})
}

// call notes a command that is not said again.
func (p *preset) call(c snapshot.Conversation, now time.Time, name, id string, body []byte) {
	switch name {
	case "unsubscribe":
		drop(c, jsonpointer.LookupText(body, "channel"))
	case "refresh":
		if token, f := jsonpointer.Lookup(body, "token"); f != jsonpointer.Absent {
			p.refresh(c, now, token)
		}
	}
	c.SetPending(now, keyCall+id)
	p.asked.Asked(id, true)
}

// refresh puts another token into the connect command.
func (p *preset) refresh(c snapshot.Conversation, now time.Time, token []byte) {
	m, _ := c.Kept(keyConnect)
	line, ok := withMember(m.Data, "connect", "token", token)
	if !ok {
		p.notUnderstood(c)
		return
	}
	c.Keep(now, keyConnect, snapshot.Message{Data: line})
}

// drop forgets a channel.
func drop(c snapshot.Conversation, channel string) {
	for _, kind := range [...]string{keyAsked, keySubscribed, keyRecoverable} {
		c.Forget(kind + channel)
	}
}

// Owes implements [snapshot.Replier].
func (p *preset) Owes(c snapshot.Conversation) snapshot.Owed {
	if p.awaits(c) {
		return snapshot.OwedAnswer
	}
	for range c.All(keyAsked) {
		return snapshot.OwedAnswer
	}
	return p.asked.Owed()
}

// Restore implements [snapshot.Preset].
func (p *preset) Restore(c snapshot.Conversation, _ time.Time) {
	c.ForgetAll(keyCall) // they ended with the old socket
	connect, begun := c.Kept(keyConnect)
	if *p = (preset{connecting: begun}); !begun {
		c.Restored() // the client has yet to begin
		return
	}
	c.ToApp(connect)
}

// Restarts implements [snapshot.Restarter].
func (p *preset) Restarts(c snapshot.Conversation, code uint16) bool { return code == shutdown }

// Tick implements [snapshot.Preset].
func (p *preset) Tick(snapshot.Conversation, time.Time) {}

// Deadline implements [snapshot.Preset].
func (p *preset) Deadline() time.Time { return time.Time{} }
