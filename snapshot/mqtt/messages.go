package mqtt

import (
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
)

// A WebSocket message is no unit of MQTT (section 6.0). What the client says is
// handed to the broker as it comes, so that a packet may be half there. What the
// broker says goes on to the client in whole packets: a half one that a dying
// broker leaves never reaches the client, and answers to the preset can be told
// from the client's own.

// Inbound implements [snapshot.Preset].
func (t *preset) Inbound(c snapshot.Conversation, now time.Time, m snapshot.Message) {
	t.keepAlive.Sent(now)
	if t.fromClient.notMQTT {
		return
	}
	if m.Binary {
		t.fromClient.feed(m.Data, func(p packet) { t.clientPacket(c, now, p) })
	} else {
		t.fromClient.notMQTT = true // brokers refuse text (MQTT-6.0.0-1)
	}
	switch {
	case t.fromClient.notMQTT:
		c.SetIncomplete()
	case t.fromClient.atBoundary():
		t.sinceBoundary = 0
		c.Forget(keyUpload)
	default:
		if t.sinceBoundary += len(m.Data); t.fromClient.skip > 0 || t.sinceBoundary > maxPacket {
			c.SetPending(now, keyUpload)
		}
	}
}

// InFlight implements [snapshot.ByteStream].
func (t *preset) InFlight(c snapshot.Conversation) bool {
	return !t.fromClient.notMQTT && !t.fromClient.atBoundary() && !c.Pending(keyUpload)
}

// Repeat implements [snapshot.ByteStream].
func (t *preset) Repeat(c snapshot.Conversation) {
	if t.fromClient.skip == 0 && len(t.fromClient.part) > 0 {
		c.ToApp(snapshot.Message{Binary: true, Data: t.fromClient.part})
	}
}

// Outbound implements [snapshot.Preset].
func (t *preset) Outbound(c snapshot.Conversation, now time.Time, m snapshot.Message) (swallow bool) {
	if !m.Binary || len(m.Data) == 0 || t.fromBroker.notMQTT {
		return false
	}
	if t.fromBroker.atBoundary() {
		// Of a message that is a packet nothing needs to be copied.
		if p, size := cutPacket(m.Data); size == len(m.Data) {
			return t.brokerPacket(c, now, p)
		}
	}
	t.fromBroker.feed(m.Data, func(p packet) {
		if p.kind == 0 || !t.brokerPacket(c, now, p) {
			c.ToClient(now, snapshot.Message{Binary: true, Data: p.raw})
		}
	})
	if t.fromBroker.notMQTT {
		c.SetIncomplete()
	}
	// The client's stream ends within a packet that is too long to be held
	// back: another socket could not continue it.
	if t.fromBroker.skip > 0 {
		c.SetPending(now, keyDownload)
	} else {
		c.Forget(keyDownload)
	}
	return true
}

// socketEnded notes the end of the broker's socket. The fresh one hears again
// what the old one heard of a packet, as far as it is held.
func (t *preset) socketEnded(c snapshot.Conversation) {
	if t.fromClient.notMQTT || t.fromBroker.notMQTT || c.Pending(keyUpload) && t.fromClient.part == nil || c.Pending(keyDownload) {
		c.SetIncomplete()
	}
	c.Forget(keyDownload)
	t.fromBroker = stream{}
}
