// Package actioncable is the preset for Rails Action Cable,
// actioncable-v1-json.
package actioncable

import (
	"encoding/json"
	"time"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/snapshot"
)

// Keys of entries. They are saved.
const (
	keyRequested = "asked/"     // by identifier: a subscription whose confirmation the client has not heard
	keyConfirmed = "subscribe/" // by identifier: a confirmed subscription
)

// A preset follows one conversation: the app welcomes a socket, then
// hears subscribe commands and confirms each. The client hears every welcome
// and every confirmation once.
type preset struct {
	welcome    bool              // a restore awaits the welcome
	awaited    map[string]bool   // identifiers whose answer it awaits; true: the client has heard the confirmation before
	restarting bool              // the app has said that it restarts
	ended      bool              // the app has ended the connection for another reason
	asked      snapshot.Requests // beside subscriptions
}

// New returns a preset that follows a new conversation.
func New() snapshot.Preset { return &preset{} }

// Recognises implements snapshot.Protocol: the subprotocol is the protocol's.
func Recognises(h snapshot.Handshake) bool { return h.Subprotocol == "actioncable-v1-json" }

// Inbound implements [snapshot.Preset].
func (a *preset) Inbound(c snapshot.Conversation, now time.Time, m snapshot.Message) {
	command, f := jsonpointer.Lookup(m.Data, "command")
	switch {
	case f == jsonpointer.Undecided:
		c.SetIncomplete()
	case f == jsonpointer.Absent:
		a.asked.Unclear()
	case jsonpointer.Equal(command, "subscribe"):
		a.subscribe(c, now, m)
	case jsonpointer.Equal(command, "unsubscribe"):
		a.drop(c, jsonpointer.LookupText(m.Data, "identifier"))
	default: // a message to a channel: what comes of it is no answer to Action Cable
		a.asked.Unclear()
	}
}

// subscribe keeps a subscription. The client repeats the command until it is
// confirmed, and an app ignores it for what it has.
func (a *preset) subscribe(c snapshot.Conversation, now time.Time, m snapshot.Message) {
	id := jsonpointer.LookupText(m.Data, "identifier")
	if _, active := c.Kept(keyConfirmed + id); active {
		return
	}
	if !json.Valid(m.Data) {
		c.SetIncomplete()
		return
	}
	c.Keep(now, keyRequested+id, m)
}

// drop forgets a subscription.
func (a *preset) drop(c snapshot.Conversation, id string) {
	c.Forget(keyRequested + id)
	c.Forget(keyConfirmed + id)
}

// Outbound implements [snapshot.Preset].
func (a *preset) Outbound(c snapshot.Conversation, now time.Time, m snapshot.Message) (swallow bool) {
	kind, f := jsonpointer.Lookup(m.Data, "type")
	switch {
	case f != jsonpointer.Present: // a channel's message
	case jsonpointer.Equal(kind, "ping"):
		return !c.Attached()
	case jsonpointer.Equal(kind, "welcome"):
		return a.welcomed(c)
	case jsonpointer.Equal(kind, "confirm_subscription"):
		return a.confirmed(c, now, jsonpointer.LookupText(m.Data, "identifier"))
	case jsonpointer.Equal(kind, "reject_subscription"): // the client knows what to do, whenever it comes
		id := jsonpointer.LookupText(m.Data, "identifier")
		a.drop(c, id)
		a.answered(c, id)
	case jsonpointer.Equal(kind, "disconnect"):
		// A server that restarts says so before it closes. The client would
		// close the session, which can go on.
		restarts := jsonpointer.LookupText(m.Data, "reason") == "server_restart"
		a.restarting, a.ended = restarts && c.Complete(), !restarts
		return a.restarting
	}
	return false
}

// welcomed says the subscriptions to a socket that is ready for them.
func (a *preset) welcomed(c snapshot.Conversation) (swallow bool) {
	if !a.welcome {
		return false
	}
	a.welcome = false
	a.awaited = make(map[string]bool)
	for _, kind := range [...]string{keyConfirmed, keyRequested} {
		for key, m := range c.All(kind) {
			a.awaited[key[len(kind):]] = kind == keyConfirmed
			c.ToApp(m)
		}
	}
	if len(a.awaited) == 0 {
		c.Restored()
	}
	return true
}

// confirmed takes the app's confirmation.
func (a *preset) confirmed(c snapshot.Conversation, now time.Time, id string) (swallow bool) {
	if m, asked := c.Kept(keyRequested + id); asked {
		c.Forget(keyRequested + id)
		c.Keep(now, keyConfirmed+id, m)
	}
	heard := a.awaited[id]
	a.answered(c, id)
	return heard
}

// answered ends the restore with the answer for the last identifier.
func (a *preset) answered(c snapshot.Conversation, id string) {
	if _, ok := a.awaited[id]; !ok {
		return
	}
	if delete(a.awaited, id); len(a.awaited) == 0 {
		c.Restored()
	}
}

// Restore implements [snapshot.Preset].
func (a *preset) Restore(snapshot.Conversation, time.Time) { *a = preset{welcome: true} }

// Restarts implements [snapshot.Restarter]. Rails closes with 1000 behind its
// word, and whatever comes behind it: the client has not heard it.
func (a *preset) Restarts(snapshot.Conversation, uint16) bool { return a.restarting }

// Owes implements [snapshot.Replier].
func (a *preset) Owes(c snapshot.Conversation) snapshot.Owed {
	for range c.All(keyRequested) {
		return snapshot.OwedAnswer
	}
	return a.asked.Owed()
}

// Ended implements [snapshot.Ender]. The other reasons are unauthorized,
// invalid_request and remote, which is the app's own wish.
func (a *preset) Ended() bool { return a.ended }

// Tick implements [snapshot.Preset].
func (a *preset) Tick(snapshot.Conversation, time.Time) {}

// Deadline implements [snapshot.Preset].
func (a *preset) Deadline() time.Time { return time.Time{} }
