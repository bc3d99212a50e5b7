// Package mqtt is the preset for MQTT 3.1, 3.1.1 and 5 over WebSocket. Sections
// are those of MQTT 5 unless 3.1.1 is named, and identifiers such as MQTT-6.0.0-2
// its conformance statements.
//
// The packets are read here and not by a library. They come in pieces, from
// clients that may send anything, few fields of them matter, and the bytes of a
// SUBSCRIBE are kept as they are.
package mqtt

import (
	"time"

	"github.com/wsresilience/wsresilience/internal/keepalive"
	"github.com/wsresilience/wsresilience/snapshot"
)

// Keys of entries. They are saved, so the words do not change.
const (
	keyConnect   = "connect" // the client's CONNECT
	keyConnack   = "connack" // a mark without data: the client has heard that it is connected
	keyFilter    = "filter/" // by topic filter: a SUBSCRIBE for it alone
	keyInFlight  = "flight/" // by packet identifier: a packet of the client that is not acknowledged
	keyUntracked = "crowd"   // pending: more of those, or larger, than are kept
	keyPing      = "ping"    // the client's PINGREQ that is not answered

	// Pending: a packet of the client, or of the broker, has begun and ends
	// too far off to be sent again.
	keyUpload   = "upload"
	keyDownload = "download"
)

// A preset follows one conversation. It keeps the CONNECT, credentials
// included, a SUBSCRIBE for each topic filter that the broker granted, and the
// client's packets in flight, which are sent again as a client library does
// that reconnects (section 4.4), a PUBLISH with DUP. PINGREQ is sent in time
// while the client is away. A broker's DISCONNECT for its shutdown (MQTT 5) is
// withheld.
//
// What the broker itself remembers is as good as that broker. A session that
// outlives the connection is asked for again, and when the broker has it, it
// is not subscribed again; otherwise its retained messages come once more. A
// QoS 2 message whose PUBREC had come, and QoS 1 and 2 messages to the client
// that were in flight, end as that broker ends an identifier that it does not
// know. While more is in flight than maxInFlight, the conversation is
// incomplete. Topic aliases of the client and enhanced authentication (MQTT 5)
// live in the connection alone: with them a conversation is incomplete.
type preset struct {
	fromClient, fromBroker stream
	sinceBoundary          int // bytes of the client since a message last ended with a packet

	level        byte // of the protocol; 0: no CONNECT was seen
	keepAlive    keepalive.Timer
	pings        int               // PINGREQs of ours that are not answered
	inFlight     int               // entries in flight
	untracked    int               // what else is in flight
	asked        snapshot.Requests // of what is not in flight
	shuttingDown bool              // the broker has said so
	ended        bool              // either side has said DISCONNECT for another reason

	connecting bool            // a restore awaits CONNACK
	awaited    map[uint16]bool // identifiers of our SUBSCRIBEs whose SUBACK it awaits
}

// New returns a preset that follows a new conversation.
func New() snapshot.Preset { return &preset{awaited: make(map[uint16]bool)} }

// Recognises implements snapshot.Protocol: the subprotocol is MQTT's, also of
// version 3.1.
func Recognises(h snapshot.Handshake) bool {
	return h.Subprotocol == "mqtt" || h.Subprotocol == "mqttv3.1"
}

// clientPacket looks at a packet of the client.
func (t *preset) clientPacket(c snapshot.Conversation, now time.Time, p packet) {
	if p.kind == 0 { // the rest of a large one
		return
	}
	if p.body == nil && p.kind != typePublish { // too long to be put together
		c.SetIncomplete()
		return
	}
	switch p.kind {
	case typeConnect:
		t.connect(c, now, p)
	case typePublish:
		t.publish(c, now, p)
	case typePubrel, typeSubscribe, typeUnsubscribe:
		t.track(c, now, p, p.id())
	case typePingreq:
		c.KeepUnanswered(now, keyPing, snapshot.Message{Binary: true, Data: p.raw})
	case typeDisconnect:
		t.forgetAll(c)
		t.ended = true
		t.keepAlive.SetInterval(now, 0)
	case typeAuth: // section 4.12
		c.SetIncomplete()
	}
}

// connect keeps a CONNECT (section 3.1), with which everything starts anew.
func (t *preset) connect(c snapshot.Conversation, now time.Time, p packet) {
	connect, ok := parseConnect(p.body)
	if !ok {
		c.SetIncomplete()
		return
	}
	t.forgetAll(c)
	t.ended = false
	c.Keep(now, keyConnect, snapshot.Message{Binary: true, Data: p.raw})
	t.level = connect.level
	t.keepAlive.SetInterval(now, time.Duration(connect.keepAlive)*time.Second)
}

// forgetAll ends the conversation: nothing of it is to be sent again.
func (t *preset) forgetAll(c snapshot.Conversation) {
	c.ForgetAll("")
	t.inFlight, t.untracked = 0, 0
}

// brokerPacket looks at a packet of the broker, and reports whether it is for the
// preset and not for the client.
func (t *preset) brokerPacket(c snapshot.Conversation, now time.Time, p packet) (swallow bool) {
	switch p.kind {
	case typeConnack:
		return t.connack(c, now, p)
	case typeSuback, typeUnsuback:
		if p.kind == typeSuback && t.awaited[p.id()] {
			delete(t.awaited, p.id())
			t.restoredIfAnswered(c)
			return true
		}
		t.suback(c, now, p)
	case typePuback, typePubcomp:
		t.acked(c, p.id())
	case typePubrec:
		t.pubrec(c, p.id())
	case typePingresp:
		if t.pings > 0 {
			t.pings--
			return true
		}
		c.Forget(keyPing)
	case typeDisconnect:
		// Client libraries reconnect at this packet (section 3.14), and the
		// session can go on.
		restarts := len(p.body) > 0 && p.body[0] == reasonShuttingDown
		t.shuttingDown = t.level >= level5 && restarts && c.Complete()
		t.ended = !restarts
		return t.shuttingDown
	}
	return false
}

// Restarts implements [snapshot.Restarter].
func (t *preset) Restarts(snapshot.Conversation, uint16) bool { return t.shuttingDown }

// Ended implements [snapshot.Ender]. A broker that lives has a reason for this
// connection alone: another client with the same identifier took it over
// (0x8E), or it is not allowed to stay.
func (t *preset) Ended() bool { return t.ended }

// Owes implements [snapshot.Replier]. A PUBLISH with QoS 0 has no answer of the
// broker, but whoever hears it may say something for which its client waits.
func (t *preset) Owes(c snapshot.Conversation) snapshot.Owed {
	_, connecting := c.Kept(keyConnect)
	_, connected := c.Kept(keyConnack)
	_, pinged := c.Kept(keyPing)
	switch {
	case connecting && !connected || pinged || t.inFlight > 0 || t.untracked > 0:
		return snapshot.OwedAnswer
	case t.fromClient.notMQTT || t.fromBroker.notMQTT:
		return snapshot.OwedUnknown
	case !t.fromBroker.atBoundary():
		return snapshot.OwedAnswer // the rest of what it says
	}
	return t.asked.Owed()
}

// suback acts on a SUBSCRIBE or UNSUBSCRIBE of the client, now that the broker
// has: its answer has a reason code for each topic filter (sections 3.9.3 and
// 3.11.3).
func (t *preset) suback(c snapshot.Conversation, now time.Time, answer packet) {
	m, ok := c.Kept(inFlightKey(answer.id()))
	t.acked(c, answer.id()) // m stays as it is: entries are replaced, not overwritten
	if !ok {
		return
	}
	request, _ := cutPacket(m.Data)
	if request.kind+1 != answer.kind {
		return
	}
	properties, filters, ok := parseFilters(request, t.level)
	f := fields{rest: answer.body}
	f.uint16()
	f.properties(t.level)
	for _, filter := range filters {
		key := keyFilter + string(filter.name)
		// UNSUBACK has no codes in MQTT 3.1.1 (its section 3.11), and cannot
		// fail.
		switch code := f.byte(); {
		case code >= reasonFailure:
		case request.kind == typeUnsubscribe:
			c.Forget(key)
		default:
			subscribe := appendSubscribe(nil, t.level, properties, filter)
			c.Keep(now, key, snapshot.Message{Binary: true, Data: subscribe})
		}
	}
	if !ok {
		c.SetIncomplete()
	}
}

// Tick implements [snapshot.Preset]: it sends PINGREQ for the client (section
// 3.1.2.10), though never inside of a packet.
func (t *preset) Tick(c snapshot.Conversation, now time.Time) {
	if !t.keepAlive.Due(now, c.Attached() || !t.fromClient.atBoundary()) {
		return
	}
	t.keepAlive.Sent(now)
	t.pings++
	c.ToApp(snapshot.Message{Binary: true, Data: []byte{typePingreq << 4, 0}})
}

// Deadline implements [snapshot.Preset].
func (t *preset) Deadline() time.Time { return t.keepAlive.Deadline() }
