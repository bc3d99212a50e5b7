package mqtt

import (
	"slices"
	"strconv"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
)

// Limits of what is tracked of packets in flight. Client libraries have about
// twenty messages in flight by default, and devices send small ones.
const (
	maxInFlight       = 32
	maxInFlightPacket = 512 // bytes of each
)

// inFlightKey is the key of the packet in flight with that identifier.
func inFlightKey(id uint16) string { return keyInFlight + strconv.Itoa(int(id)) }

// publish looks at a PUBLISH of the client (section 3.3), and tracks one that is
// to be acknowledged.
func (t *preset) publish(c snapshot.Conversation, now time.Time, p packet) {
	if p.body == nil { // too long to be put together
		t.asked.Unclear()
		if p.qos() > 0 {
			t.countUntracked(c, now, p)
		}
		return
	}
	f := fields{rest: p.body}
	f.bytes() // the topic
	var id uint16
	if p.qos() > 0 {
		id = f.uint16()
	}
	if alias, _ := findProperty(f.properties(t.level), propTopicAlias); alias > 0 || f.bad {
		c.SetIncomplete()
		return
	}
	if p.qos() > 0 {
		t.track(c, now, p, id)
	} else {
		t.asked.Unclear()
	}
}

// track keeps a packet of the client until it is acknowledged.
func (t *preset) track(c snapshot.Conversation, now time.Time, p packet, id uint16) {
	if _, again := c.Kept(inFlightKey(id)); again {
		// Not replaced but forgotten, so that a PUBREL takes its place behind
		// what was sent since its PUBLISH.
		t.acked(c, id)
	}
	if t.inFlight >= maxInFlight || len(p.raw) > maxInFlightPacket {
		t.countUntracked(c, now, p)
		return
	}
	raw := p.raw
	if p.kind == typePublish {
		const dup = 8 // section 3.3.1.1
		raw = slices.Clone(raw)
		raw[0] |= dup
	}
	t.inFlight++
	// Most are answered at once, which is not worth a write to the journal.
	c.KeepUnanswered(now, inFlightKey(id), snapshot.Message{Binary: true, Data: raw})
}

// countUntracked counts a packet that is in flight but does not fit.
func (t *preset) countUntracked(c snapshot.Conversation, now time.Time, p packet) {
	if p.kind != typePublish || p.qos() != 1 {
		// Its acknowledgements cannot be told apart without knowing its
		// identifier.
		c.SetIncomplete()
		return
	}
	t.untracked++
	c.SetPending(now, keyUntracked)
}

// acked notes the last acknowledgement of a packet of the client.
func (t *preset) acked(c snapshot.Conversation, id uint16) {
	if _, ok := c.Kept(inFlightKey(id)); ok {
		c.Forget(inFlightKey(id))
		t.inFlight--
		return
	}
	if t.untracked > 0 {
		t.untracked--
		if t.untracked == 0 {
			c.Forget(keyUntracked)
		}
	}
}

// pubrec forgets a PUBLISH that the broker has (section 4.3.3): sent again, it
// would be a second message. What follows is the client's PUBREL, which is kept
// already where PUBREC comes twice.
func (t *preset) pubrec(c snapshot.Conversation, id uint16) {
	if m, ok := c.Kept(inFlightKey(id)); ok && m.Data[0]>>4 == typePublish {
		t.acked(c, id)
	}
}
