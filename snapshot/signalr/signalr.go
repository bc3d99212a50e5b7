// Package signalr is the preset for the hub protocol of ASP.NET Core SignalR in
// JSON (HubProtocol.md of dotnet/aspnetcore).
package signalr

import (
	"net/url"
	"strconv"
	"time"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/snapshot"
)

// Keys of entries. They are saved.
const (
	keyHandshake = "handshake" // the client's request for a protocol
	keyAccepted  = "accepted"  // a mark: the client has heard that the app has it
	keyCall      = "call/"     // by invocationId: under way, a call or stream of the client
	keyAsked     = "asked/"    // by invocationId: under way, a call of the app that wants a result
	keyUpload    = "upload/"   // by stream id: under way, what the client streams to the app
)

const (
	// pingInterval is how often the libraries send a ping. A server closes a
	// socket that is silent for 30 s.
	pingInterval = 15 * time.Second

	// maxID bounds an invocationId, which is a number as a rule.
	maxID = 256

	// maxUploads bounds the streams that come with one call.
	maxUploads = 16
)

// ping is a ping of either side.
const ping = `{"type":6}` + string(separator)

// A preset follows one conversation. It says the handshake again, and no call,
// which may have been executed. While one is under way the snapshot is
// incomplete. Groups, and whatever else hub methods made, are the app's memory.
type preset struct {
	asked             snapshot.Requests // calls that want a result; streams, which may have no end
	shaking           bool              // a restore awaits the answer to the handshake
	restarting, ended bool              // what the app's close message meant
	pingDue           time.Time         // for a client that is away; zero: never
}

// New returns a preset that follows a new conversation.
func New() snapshot.Preset { return &preset{} }

// Opened implements [snapshot.Opener]. A query with the token of a negotiation is
// for the server that gave it: no other accepts the socket.
func (p *preset) Opened(c snapshot.Conversation, h snapshot.Handshake) {
	if q, err := url.ParseQuery(h.Query); err != nil || q.Has("id") {
		c.SetIncomplete()
	}
}

// Inbound implements [snapshot.Preset].
func (p *preset) Inbound(c snapshot.Conversation, now time.Time, m snapshot.Message) {
	if _, begun := c.Kept(keyHandshake); m.Binary && begun {
		p.asked.Unclear() // MessagePack
		return
	}
	rest := m.Data
	for len(rest) > 0 {
		r, behind, ok := next(rest)
		if rest = behind; !ok || r.has == jsonpointer.Undecided {
			c.SetIncomplete()
			p.asked.Unclear()
		} else {
			p.fromClient(c, now, m.Binary, r)
		}
		if !ok {
			return
		}
	}
}

// fromClient looks at a record of the client.
func (p *preset) fromClient(c snapshot.Conversation, now time.Time, binary bool, r record) {
	switch {
	case r.has == jsonpointer.Absent:
		p.handshake(c, now, binary, r)
	case r.is(typeInvocation), r.is(typeStream):
		p.call(c, now, r)
	case r.is(typeCompletion): // of a stream to the app, or of what the app asked
		if id := r.id(); c.Pending(keyUpload + id) {
			c.Forget(keyUpload + id)
		} else {
			c.Forget(keyAsked + id)
		}
	case r.is(typeItem), r.is(typeCancel), r.is(typePing):
	case r.is(typeClose):
		c.ForgetAll("")
		p.asked = snapshot.Requests{}
	default: // Ack, Sequence: a fresh server counts anew
		c.SetIncomplete()
		p.asked.Unclear()
	}
}

// handshake keeps the request for a protocol. Of others than JSON no call is
// seen.
func (p *preset) handshake(c snapshot.Conversation, now time.Time, binary bool, r record) {
	protocol := jsonpointer.LookupText(r.data, "protocol")
	if _, begun := c.Kept(keyHandshake); begun || protocol == "" {
		c.SetIncomplete()
		p.asked.Unclear()
		return
	}
	c.Keep(now, keyHandshake, snapshot.Message{Binary: binary, Data: r.data})
	if !speaksJSON(c) {
		c.SetIncomplete()
	}
}

// speaksJSON reports whether the client has begun, and asked for JSON.
func speaksJSON(c snapshot.Conversation) bool {
	m, _ := c.Kept(keyHandshake)
	return jsonpointer.LookupText(m.Data, "protocol") == "json"
}

// call notes a call of the client and the streams that go with it. An app may
// answer one without an invocationId by a call of its own. A stream to the client
// may have no end.
func (p *preset) call(c snapshot.Conversation, now time.Time, r record) {
	switch id := r.id(); {
	case len(id) > maxID:
		c.SetIncomplete() // it cannot be told when it ends
		p.asked.Unclear()
	case id == "":
		p.asked.Unclear()
	default:
		c.SetPending(now, keyCall+id)
		p.asked.Asked(id, r.is(typeInvocation))
	}
	for i := range maxUploads + 1 {
		id := jsonpointer.LookupText(r.data, "streamIds", strconv.Itoa(i))
		if id == "" {
			break
		}
		if i == maxUploads || len(id) > maxID {
			c.SetIncomplete()
			break
		}
		c.SetPending(now, keyUpload+id)
	}
}

// Outbound implements [snapshot.Preset]. Of a message with several records the
// client gets those that are for it.
func (p *preset) Outbound(c snapshot.Conversation, now time.Time, m snapshot.Message) (swallow bool) {
	if m.Binary && !p.awaits(c) {
		return false
	}
	rest, forClient := m.Data, []byte(nil)
	for len(rest) > 0 && (!m.Binary || p.awaits(c)) {
		r, behind, ok := next(rest)
		if !ok {
			p.notRead()
			break
		}
		at := len(m.Data) - len(rest)
		rest = behind
		switch mine := p.fromApp(c, now, r); {
		case mine && !swallow:
			swallow, forClient = true, append(forClient, m.Data[:at]...)
		case !mine && swallow:
			forClient = append(forClient, r.data...)
		}
	}
	if !swallow {
		return false
	}
	if forClient = append(forClient, rest...); len(forClient) > 0 {
		c.ToClient(now, snapshot.Message{Binary: m.Binary, Data: forClient})
	}
	return true
}

// awaits reports whether the next of the app is its answer to the handshake.
func (p *preset) awaits(c snapshot.Conversation) bool {
	if p.shaking {
		return true
	}
	_, begun := c.Kept(keyHandshake)
	_, accepted := c.Kept(keyAccepted)
	return begun && !accepted
}

// fromApp looks at a record of the app. True keeps it from the client.
func (p *preset) fromApp(c snapshot.Conversation, now time.Time, r record) (swallow bool) {
	switch {
	case r.has == jsonpointer.Absent:
		return p.awaits(c) && p.answered(c, now, r)
	case r.has == jsonpointer.Undecided:
		p.notRead()
	case r.is(typePing):
		return !c.Attached()
	case r.is(typeCompletion):
		id := r.id()
		c.Forget(keyCall + id)
		p.asked.Answered(id)
	case r.is(typeInvocation):
		if id := r.id(); len(id) > maxID {
			c.SetIncomplete()
		} else if id != "" {
			c.SetPending(now, keyAsked+id)
		}
	case r.is(typeClose):
		// A server that stops allows to reconnect. The client would do so, and
		// end a session that can go on.
		restarts := jsonpointer.LookupText(r.data, "allowReconnect") == "true"
		p.restarting, p.ended = restarts && c.Complete(), !restarts
		return p.restarting
	case r.is(typeAck), r.is(typeSequence):
		c.SetIncomplete()
	}
	return false
}

// answered takes the app's answer to the handshake, which the client hears once.
func (p *preset) answered(c snapshot.Conversation, now time.Time, r record) (swallow bool) {
	_, heard := c.Kept(keyAccepted)
	_, refused := jsonpointer.Lookup(r.data, "error")
	switch {
	case refused == jsonpointer.Absent:
	case heard:
		c.RestoreFailed()
		return true
	default:
		c.Forget(keyHandshake)
		p.shaking = false
		c.Restored()
		return false
	}
	if !heard {
		c.Keep(now, keyAccepted, snapshot.Message{})
	}
	if p.shaking {
		// The client gives up when it hears nothing for 30 s, of which some have
		// passed.
		if p.shaking = false; heard && c.Attached() && speaksJSON(c) {
			c.ToClient(now, snapshot.Message{Data: []byte(ping)})
		}
		p.pingDue = now
		c.Restored()
	}
	return heard
}

// notRead notes that the app said something too large to be looked at, which may
// have answered any call.
func (p *preset) notRead() {
	if p.asked.Owed() != snapshot.OwedNothing {
		p.asked = snapshot.Requests{}
		p.asked.Unclear()
	}
}

// Owes implements [snapshot.Replier].
func (p *preset) Owes(c snapshot.Conversation) snapshot.Owed {
	if p.awaits(c) {
		return snapshot.OwedAnswer
	}
	return p.asked.Owed()
}

// Restarts implements [snapshot.Restarter]: the server has said so, whatever code
// it closes with.
func (p *preset) Restarts(snapshot.Conversation, uint16) bool { return p.restarting }

// Ended implements [snapshot.Ender].
func (p *preset) Ended() bool { return p.ended }

// Restore implements [snapshot.Preset]. Calls ended with the old socket.
func (p *preset) Restore(c snapshot.Conversation, _ time.Time) {
	for _, kind := range [...]string{keyCall, keyAsked, keyUpload} {
		c.ForgetAll(kind)
	}
	handshake, begun := c.Kept(keyHandshake)
	if *p = (preset{shaking: begun}); !begun {
		c.Restored() // the client has yet to begin
		return
	}
	c.ToApp(handshake)
}

// Tick implements [snapshot.Preset]: the client's pings are missed while it is
// away.
func (p *preset) Tick(c snapshot.Conversation, now time.Time) {
	if c.Attached() || p.awaits(c) || p.ended || p.restarting || !speaksJSON(c) {
		p.pingDue = time.Time{}
		return
	}
	if now.Before(p.pingDue) {
		return
	}
	p.pingDue = now.Add(pingInterval)
	c.ToApp(snapshot.Message{Data: []byte(ping)})
}

// Deadline implements [snapshot.Preset].
func (p *preset) Deadline() time.Time { return p.pingDue }
