package snapshot

import (
	"bytes"
	"time"
)

// Keys of what is kept of a Socket.IO conversation. The marks carry no data;
// they are entries because only entries reach another pod.
const (
	socketIOOpen    = "open"     // the client has heard the server's open packet
	socketIOConnect = "connect/" // by namespace: the client's CONNECT packet
	socketIOJoined  = "joined/"  // by namespace: the client has heard the server's CONNECT
	socketIOEvent   = "event"    // under way: a packet of the client lacks attachments
	socketIOPush    = "push"     // under way: a packet of the app does
)

// socketIO follows Socket.IO protocol 5 over Engine.IO protocol 4, with the
// parser that the libraries come with. It keeps the CONNECT packet of each
// namespace, credentials included, and answers the app's pings while the
// client is away.
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
type socketIO struct {
	opening     bool                // a restore waits for the server's open packet
	waiting     map[string]struct{} // namespaces whose answer a restore waits for
	event, push int                 // attachments that the client's, the app's, last packet lacks
	asked       bool                // the client has a ping of the app and has not answered
}

func newSocketIO() preset { return &socketIO{waiting: make(map[string]struct{})} }

// inbound implements preset.
func (s *socketIO) inbound(k *Tracker, now time.Time, m Message) {
	if m.Binary {
		if s.event == 0 {
			k.incomplete() // another parser's packet: it might be a CONNECT
			return
		}
		attached(k, &s.event, socketIOEvent)
		return
	}
	if len(m.Data) == 0 {
		return
	}
	switch m.Data[0] { // the Engine.IO packet type
	case '1': // close
		k.each("", func(key string, _ Message) { k.forget(key) })
	case '2': // ping: a probe before an upgrade from polling, or Engine.IO 3
		k.incomplete()
	case '3': // pong
		s.asked = false
	case '4':
		s.said(k, now, m)
	}
}

// said looks at a Socket.IO packet of the client.
func (s *socketIO) said(k *Tracker, now time.Time, m Message) {
	p := parseSocketIO(m.Data)
	switch p.kind {
	case '0': // CONNECT
		k.keep(now, socketIOConnect+p.namespace, m)
		k.forget(socketIOJoined + p.namespace)
	case '1': // DISCONNECT
		s.leave(k, p.namespace)
	}
	attach(k, now, &s.event, socketIOEvent, p.attachments)
}

// attach notes that a packet has attachments, which follow as binary messages.
func attach(k *Tracker, now time.Time, owed *int, key string, attachments int) {
	if attachments > 0 {
		*owed = attachments
		k.pend(now, key)
	}
}

// attached notes that one of them has come.
func attached(k *Tracker, owed *int, key string) {
	if *owed == 0 {
		return
	}
	if *owed--; *owed == 0 {
		k.forget(key)
	}
}

// outbound implements preset.
func (s *socketIO) outbound(k *Tracker, now time.Time, m Message) (swallow bool) {
	if m.Binary {
		attached(k, &s.push, socketIOPush)
		return false
	}
	if len(m.Data) == 0 {
		return false
	}
	switch m.Data[0] {
	case '0': // open
		if s.opening {
			s.connect(k, now)
			return true
		}
		k.keep(now, socketIOOpen, Message{})
	case '2': // ping
		if !k.attached() {
			k.say(Message{Data: []byte("3")})
			return true
		}
		s.asked = true
	case '4':
		return s.heard(k, now, parseSocketIO(m.Data))
	}
	return false
}

// heard looks at a Socket.IO packet of the app.
func (s *socketIO) heard(k *Tracker, now time.Time, p socketIOPacket) (swallow bool) {
	switch p.kind {
	case '0': // CONNECT: the namespace is joined
		if _, known := k.kept(socketIOConnect + p.namespace); !known {
			return false
		}
		// A client that never heard the answer of the old app gets this one.
		_, again := k.kept(socketIOJoined + p.namespace)
		_, waited := s.waiting[p.namespace]
		k.keep(now, socketIOJoined+p.namespace, Message{})
		s.settle(k, p.namespace)
		return again && waited
	case '1', '4': // DISCONNECT, CONNECT_ERROR: the client may send another CONNECT
		s.leave(k, p.namespace)
	default:
		attach(k, now, &s.push, socketIOPush, p.attachments)
	}
	return false
}

// leave forgets a namespace.
func (s *socketIO) leave(k *Tracker, namespace string) {
	k.forget(socketIOConnect + namespace)
	k.forget(socketIOJoined + namespace)
	s.settle(k, namespace)
}

// restore implements preset.
func (s *socketIO) restore(k *Tracker, _ time.Time) {
	clear(s.waiting)
	s.event, s.push = 0, 0
	k.forget(socketIOEvent)
	k.forget(socketIOPush)
	s.asked = false
	_, s.opening = k.kept(socketIOOpen)
	if !s.opening {
		// The client waits for an open packet too, and will connect by itself.
		k.restored()
	}
}

// connect says the CONNECT packets, now that the server has opened: before,
// it would close the connection.
func (s *socketIO) connect(k *Tracker, now time.Time) {
	s.opening = false
	// The client gives up when no ping comes in time, and the new server's first
	// comes a whole interval from now. A pong that it did not ask for means
	// nothing to the server.
	k.deliver(now, Message{Data: []byte("2")})
	k.each(socketIOConnect, func(key string, m Message) {
		s.waiting[key[len(socketIOConnect):]] = struct{}{}
		k.say(m)
	})
	if len(s.waiting) == 0 {
		k.restored()
	}
}

// settle ends the wait for a namespace, and the restore with the last of them.
func (s *socketIO) settle(k *Tracker, namespace string) {
	if _, waited := s.waiting[namespace]; !waited {
		return
	}
	delete(s.waiting, namespace)
	if len(s.waiting) == 0 {
		k.restored()
	}
}

// restarts implements restarter. A server that closes all its sockets, as
// io.close() does, gives no code. Before it does so to one client only it
// disconnects that from all its namespaces.
func (s *socketIO) restarts(k *Tracker, code uint16) bool {
	const noStatus = 1005
	joined := false
	k.each(socketIOConnect, func(string, Message) { joined = true })
	return code == noStatus && joined
}

// tick implements preset: it answers a ping that the client had in its hands
// when it went. A second pong, should that arrive too, means nothing to the
// server.
func (s *socketIO) tick(k *Tracker, _ time.Time) {
	if s.asked && !k.attached() {
		s.asked = false
		k.say(Message{Data: []byte("3")})
	}
}

// deadline implements preset.
func (s *socketIO) deadline() time.Time { return time.Time{} }

// socketIOPacket is the part of a packet before its payload.
type socketIOPacket struct {
	kind        byte // '0' to '6'; 0: none
	namespace   string
	attachments int
}

// maxAttachments bounds the number of attachments that is believed. Servers
// refuse more than ten by default.
const maxAttachments = 1 << 16

// parseSocketIO reads an Engine.IO message packet:
//
//	4<type>[<attachments>-][<namespace>,][<ack id>][<payload>]
func parseSocketIO(data []byte) socketIOPacket {
	if len(data) < 2 {
		return socketIOPacket{}
	}
	p := socketIOPacket{kind: data[1], namespace: "/"}
	rest := data[2:]
	if p.kind == '5' || p.kind == '6' { // BINARY_EVENT, BINARY_ACK
		for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
			p.attachments = min(p.attachments*10+int(rest[0]-'0'), maxAttachments)
			rest = rest[1:]
		}
		return p // the namespace of an event is of no interest
	}
	if len(rest) > 0 && rest[0] == '/' && (p.kind == '0' || p.kind == '1' || p.kind == '4') {
		namespace, _, _ := bytes.Cut(rest, []byte(","))
		p.namespace = string(namespace)
	}
	return p
}
