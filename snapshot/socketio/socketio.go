// Package socketio is the preset for Socket.IO protocol 5 over Engine.IO
// protocol 4.
package socketio

import (
	"bytes"
	"net/url"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
)

// Keys of entries. They are saved. The marks carry no data; they are entries
// because only entries reach another pod.
const (
	keyOpen    = "open"     // the client has heard the server's open packet
	keyConnect = "connect/" // by namespace: the client's CONNECT packet
	keyJoined  = "joined/"  // by namespace: the client has heard the server's CONNECT
	keyEvent   = "event"    // under way: a packet of the client lacks attachments
	keyPush    = "push"     // under way: a packet of the app does
)

// A preset follows one conversation, with the parser that the libraries come
// with. It keeps the CONNECT packet of each namespace, credentials included,
// and answers the app's pings while the client is away.
//
// It restores the connection, not what grew on it. Rooms, and subscriptions
// that an application makes by events of its own, are the app's memory: keep
// those events with WSR_SNAPSHOT_RULES. The app sees a new socket.id, while
// the page keeps the one it was told first. Acknowledgements that the old app
// owed are lost with it. Between the head of a binary event and its last
// attachment the conversation is incomplete.
//
// The client must connect with transports: ["websocket"]. One that starts with
// HTTP polling logs in where no WebSocket proxy sees it; its probe gives it
// away, and so do the pings of Engine.IO 3 and the binary packets of other
// parsers. Such a conversation is incomplete.
type preset struct {
	opening     bool                // a restore awaits the server's open packet
	awaited     map[string]struct{} // namespaces whose answer a restore awaits
	event, push int                 // attachments that the client's, the app's, last packet lacks
	pinged      bool                // the client has a ping of the app and has not answered
	ended       bool                // the app has disconnected the client from its last namespace
	asked       snapshot.Requests   // events with an acknowledgement
}

// New returns a preset that follows a new conversation.
func New() snapshot.Preset { return &preset{awaited: make(map[string]struct{})} }

// Recognises implements snapshot.Protocol: the query is that of Engine.IO 4, of a
// conversation that begins on this socket. What speaks Engine.IO alone has another
// path than Socket.IO's own, as a rule.
func Recognises(h snapshot.Handshake) bool {
	q, err := url.ParseQuery(h.Query)
	return err == nil && q.Get("EIO") == "4" && q.Get("transport") == "websocket" && !q.Has("sid") && strings.HasSuffix(h.Path, "/socket.io/")
}

// Inbound implements [snapshot.Preset].
func (s *preset) Inbound(c snapshot.Conversation, now time.Time, m snapshot.Message) {
	if m.Binary {
		if s.event == 0 {
			c.SetIncomplete() // another parser's packet: it might be a CONNECT
			return
		}
		attachmentArrived(c, &s.event, keyEvent)
		return
	}
	if len(m.Data) == 0 {
		return
	}
	switch m.Data[0] { // the Engine.IO packet type
	case '1': // close
		c.ForgetAll("")
	case '2': // ping: a probe before an upgrade from polling, or Engine.IO 3
		c.SetIncomplete()
	case '3': // pong
		s.pinged = false
	case '4':
		s.fromClient(c, now, m)
	}
}

// fromClient looks at a Socket.IO packet of the client.
func (s *preset) fromClient(c snapshot.Conversation, now time.Time, m snapshot.Message) {
	p := parse(m.Data)
	switch p.kind {
	case '0': // CONNECT
		c.Keep(now, keyConnect+p.namespace, m)
		c.Forget(keyJoined + p.namespace)
		s.ended = false
	case '1': // DISCONNECT
		s.leave(c, p.namespace)
	case '2', '5': // EVENT, BINARY_EVENT
		if p.ack == "" {
			s.asked.Unclear() // an event of the app's may answer it
		} else {
			s.asked.Asked(requestKey(p), true)
		}
	}
	expectAttachments(c, now, &s.event, keyEvent, p.attachments)
}

// expectAttachments notes that a packet has attachments, which follow as binary
// messages.
func expectAttachments(c snapshot.Conversation, now time.Time, missing *int, key string, attachments int) {
	if attachments > 0 {
		*missing = attachments
		c.SetPending(now, key)
	}
}

// attachmentArrived notes that one of them has come.
func attachmentArrived(c snapshot.Conversation, missing *int, key string) {
	if *missing == 0 {
		return
	}
	if *missing--; *missing == 0 {
		c.Forget(key)
	}
}

// Outbound implements [snapshot.Preset].
func (s *preset) Outbound(c snapshot.Conversation, now time.Time, m snapshot.Message) (swallow bool) {
	if m.Binary {
		attachmentArrived(c, &s.push, keyPush)
		return false
	}
	if len(m.Data) == 0 {
		return false
	}
	switch m.Data[0] {
	case '0': // open
		if s.opening {
			s.connect(c, now)
			return true
		}
		c.Keep(now, keyOpen, snapshot.Message{})
	case '2': // ping
		if !c.Attached() {
			c.ToApp(snapshot.Message{Data: []byte("3")})
			return true
		}
		s.pinged = true
	case '4':
		return s.fromApp(c, now, parse(m.Data))
	}
	return false
}

// fromApp looks at a Socket.IO packet of the app.
func (s *preset) fromApp(c snapshot.Conversation, now time.Time, p packet) (swallow bool) {
	switch p.kind {
	case '0': // CONNECT: the namespace is joined
		if _, known := c.Kept(keyConnect + p.namespace); !known {
			return false
		}
		// A client that never heard the answer of the old app gets this one.
		_, again := c.Kept(keyJoined + p.namespace)
		_, waited := s.awaited[p.namespace]
		c.Keep(now, keyJoined+p.namespace, snapshot.Message{})
		s.answered(c, p.namespace)
		return again && waited
	case '1', '4': // DISCONNECT, CONNECT_ERROR: the client may send another CONNECT
		s.leave(c, p.namespace)
		s.ended = p.kind == '1' && !joined(c)
	case '3', '6': // ACK, BINARY_ACK
		s.asked.Answered(requestKey(p))
		expectAttachments(c, now, &s.push, keyPush, p.attachments)
	default:
		expectAttachments(c, now, &s.push, keyPush, p.attachments)
	}
	return false
}

// requestKey names an event that the client wants acknowledged.
func requestKey(p packet) string { return p.namespace + "," + p.ack }

// Owes implements [snapshot.Replier].
func (s *preset) Owes(c snapshot.Conversation) snapshot.Owed {
	switch {
	case s.push > 0: // the attachments of what the app says
		return snapshot.OwedAnswer
	case s.event > 0:
		return snapshot.OwedUnknown
	}
	for key := range c.All(keyConnect) {
		if _, joined := c.Kept(keyJoined + key[len(keyConnect):]); !joined {
			return snapshot.OwedAnswer
		}
	}
	return s.asked.Owed()
}

// leave forgets a namespace.
func (s *preset) leave(c snapshot.Conversation, namespace string) {
	c.Forget(keyConnect + namespace)
	c.Forget(keyJoined + namespace)
	s.asked.AnsweredAll(namespace + ",")
	s.answered(c, namespace)
}

// Restore implements [snapshot.Preset].
func (s *preset) Restore(c snapshot.Conversation, _ time.Time) {
	clear(s.awaited)
	s.event, s.push, s.asked = 0, 0, snapshot.Requests{}
	c.Forget(keyEvent)
	c.Forget(keyPush)
	s.pinged, s.ended = false, false
	_, s.opening = c.Kept(keyOpen)
	if !s.opening {
		// The client waits for an open packet too, and will connect by itself.
		c.Restored()
	}
}

// connect says the CONNECT packets, now that the server has opened: before,
// it would close the connection.
func (s *preset) connect(c snapshot.Conversation, now time.Time) {
	s.opening = false
	// The client gives up when no ping comes in time, and the new server's first
	// comes a whole interval from now. A pong that it did not ask for means
	// nothing to the server.
	c.ToClient(now, snapshot.Message{Data: []byte("2")})
	for key, m := range c.All(keyConnect) {
		s.awaited[key[len(keyConnect):]] = struct{}{}
		c.ToApp(m)
	}
	if len(s.awaited) == 0 {
		c.Restored()
	}
}

// answered ends the wait for a namespace, and the restore with the last of them.
func (s *preset) answered(c snapshot.Conversation, namespace string) {
	if _, waited := s.awaited[namespace]; !waited {
		return
	}
	delete(s.awaited, namespace)
	if len(s.awaited) == 0 {
		c.Restored()
	}
}

// Restarts implements [snapshot.Restarter]. A server that closes all its
// sockets, as io.close() does, gives no code. Before it does so to one client
// only it disconnects that from all its namespaces.
func (s *preset) Restarts(c snapshot.Conversation, code uint16) bool {
	const noStatus = 1005
	return code == noStatus && joined(c)
}

// joined reports whether the client is in a namespace, or wants to be.
func joined(c snapshot.Conversation) bool {
	for range c.All(keyConnect) {
		return true
	}
	return false
}

// Ended implements [snapshot.Ender].
func (s *preset) Ended() bool { return s.ended }

// Tick implements [snapshot.Preset]: it answers a ping that the client had in
// its hands when it went. A second pong, should that arrive too, means nothing
// to the server.
func (s *preset) Tick(c snapshot.Conversation, _ time.Time) {
	if s.pinged && !c.Attached() {
		s.pinged = false
		c.ToApp(snapshot.Message{Data: []byte("3")})
	}
}

// Deadline implements [snapshot.Preset].
func (s *preset) Deadline() time.Time { return time.Time{} }

// packet is the part of a packet before its payload.
type packet struct {
	kind        byte // '0' to '6'; 0: none
	namespace   string
	ack         string // its number, if it wants or is an acknowledgement
	attachments int
}

// maxAttachments bounds the number of attachments that is believed. Servers
// refuse more than ten by default.
const maxAttachments = 1 << 16

// parse reads an Engine.IO message packet:
//
//	4<type>[<attachments>-][<namespace>,][<ack id>][<payload>]
func parse(data []byte) packet {
	if len(data) < 2 {
		return packet{}
	}
	p := packet{kind: data[1], namespace: "/"}
	rest := data[2:]
	if p.kind == '5' || p.kind == '6' { // BINARY_EVENT, BINARY_ACK
		for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
			p.attachments = min(p.attachments*10+int(rest[0]-'0'), maxAttachments)
			rest = rest[1:]
		}
		rest = bytes.TrimPrefix(rest, []byte("-"))
	}
	if len(rest) > 0 && rest[0] == '/' {
		namespace, behind, _ := bytes.Cut(rest[:min(len(rest), maxNamespace)], []byte(","))
		p.namespace, rest = string(namespace), behind
	}
	digits := 0
	for digits < len(rest) && digits < maxAckDigits && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	p.ack = string(rest[:digits])
	return p
}

// Of a packet's head. What is longer is no namespace, or no number, of a library.
const (
	maxNamespace = 4 << 10
	maxAckDigits = 20
)
