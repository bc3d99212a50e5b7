package snapshot

import (
	"encoding/json"
	"time"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
)

// Keys of the preset actioncable.
const (
	cableAsked  = "asked/"     // by identifier: a subscription whose confirmation the client has not heard
	cableActive = "subscribe/" // by identifier: a confirmed subscription
)

// actionCable follows actioncable-v1-json: the app welcomes a socket, then
// hears subscribe commands and confirms each. The client hears every welcome
// and every confirmation once.
type actionCable struct {
	welcome bool            // a restore waits for the welcome
	waits   map[string]bool // identifiers that it waits for; true: the client has heard the confirmation before
	leaving bool            // the app has said that it restarts
}

func newActionCable() preset { return &actionCable{} }

// inbound implements preset.
func (a *actionCable) inbound(k *Tracker, now time.Time, m Message) {
	command, f := jsonpointer.Lookup(m.Data, "command")
	switch {
	case f == jsonpointer.Undecided:
		k.incomplete()
	case f == jsonpointer.Absent:
	case jsonpointer.Equal(command, "subscribe"):
		a.subscribe(k, now, m)
	case jsonpointer.Equal(command, "unsubscribe"):
		a.drop(k, jsonpointer.LookupText(m.Data, "identifier"))
	}
}

// subscribe keeps a subscription. The client repeats the command until it is
// confirmed, and an app ignores it for what it has.
func (a *actionCable) subscribe(k *Tracker, now time.Time, m Message) {
	id := jsonpointer.LookupText(m.Data, "identifier")
	if _, active := k.kept(cableActive + id); active {
		return
	}
	if !json.Valid(m.Data) {
		k.incomplete()
		return
	}
	k.keep(now, cableAsked+id, m)
}

// drop forgets a subscription.
func (a *actionCable) drop(k *Tracker, id string) {
	k.forget(cableAsked + id)
	k.forget(cableActive + id)
}

// outbound implements preset.
func (a *actionCable) outbound(k *Tracker, now time.Time, m Message) (swallow bool) {
	kind, f := jsonpointer.Lookup(m.Data, "type")
	switch {
	case f != jsonpointer.Present: // a channel's message
	case jsonpointer.Equal(kind, "ping"):
		return !k.attached()
	case jsonpointer.Equal(kind, "welcome"):
		return a.welcomed(k)
	case jsonpointer.Equal(kind, "confirm_subscription"):
		return a.confirmed(k, now, jsonpointer.LookupText(m.Data, "identifier"))
	case jsonpointer.Equal(kind, "reject_subscription"): // the client knows what to do, whenever it comes
		id := jsonpointer.LookupText(m.Data, "identifier")
		a.drop(k, id)
		a.answered(k, id)
	case jsonpointer.Equal(kind, "disconnect"):
		// A server that restarts says so before it closes. The client would
		// close the session, which can go on.
		a.leaving = jsonpointer.LookupText(m.Data, "reason") == "server_restart" && k.Complete()
		return a.leaving
	}
	return false
}

// welcomed says the subscriptions to a socket that is ready for them.
func (a *actionCable) welcomed(k *Tracker) (swallow bool) {
	if !a.welcome {
		return false
	}
	a.welcome = false
	a.waits = make(map[string]bool)
	for _, kind := range [...]string{cableActive, cableAsked} {
		k.each(kind, func(key string, m Message) {
			a.waits[key[len(kind):]] = kind == cableActive
			k.say(m)
		})
	}
	if len(a.waits) == 0 {
		k.restored()
	}
	return true
}

// confirmed takes the app's confirmation.
func (a *actionCable) confirmed(k *Tracker, now time.Time, id string) (swallow bool) {
	if m, asked := k.kept(cableAsked + id); asked {
		k.forget(cableAsked + id)
		k.keep(now, cableActive+id, m)
	}
	heard := a.waits[id]
	a.answered(k, id)
	return heard
}

// answered ends the restore with the last identifier.
func (a *actionCable) answered(k *Tracker, id string) {
	if _, ok := a.waits[id]; !ok {
		return
	}
	if delete(a.waits, id); len(a.waits) == 0 {
		k.restored()
	}
}

// restore implements preset.
func (a *actionCable) restore(*Tracker, time.Time) { *a = actionCable{welcome: true} }

// restarts implements restarter. Rails closes with 1000 behind its word, and
// whatever comes behind it: the client has not heard it.
func (a *actionCable) restarts(*Tracker, uint16) bool { return a.leaving }

// tick implements preset.
func (a *actionCable) tick(*Tracker, time.Time) {}

// deadline implements preset.
func (a *actionCable) deadline() time.Time { return time.Time{} }
