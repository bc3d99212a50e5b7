package snapshot

import (
	"slices"
	"strconv"
	"time"
)

// Limits of what is kept of packets in flight. Client libraries have about
// twenty messages in flight by default, and devices send small ones.
const (
	maxMQTTFlights = 32
	maxMQTTFlight  = 512 // bytes of each
)

func mqttFlight(id uint16) string { return mqttKeyFlight + strconv.Itoa(int(id)) }

// publish looks at a PUBLISH of the client, and keeps one that asks for an
// answer.
func (t *mqtt) publish(k *Tracker, now time.Time, p mqttPacket) {
	if p.body == nil { // too long to be put together
		if p.qos() > 0 {
			t.overflow(k, now, p)
		}
		return
	}
	f := mqttFields{rest: p.body}
	f.bytes() // the topic
	var id uint16
	if p.qos() > 0 {
		id = f.uint16()
	}
	if alias, _ := mqttProperty(f.properties(t.level), mqttTopicAlias); alias > 0 || f.bad {
		k.incomplete()
		return
	}
	if p.qos() > 0 {
		t.launch(k, now, p, id)
	}
}

// launch keeps a packet of the client until its answer.
func (t *mqtt) launch(k *Tracker, now time.Time, p mqttPacket, id uint16) {
	if _, again := k.kept(mqttFlight(id)); again {
		// Not replaced but forgotten, so that a PUBREL takes its place behind
		// what was sent since its PUBLISH.
		t.land(k, id)
	}
	if t.flying >= maxMQTTFlights || len(p.raw) > maxMQTTFlight {
		t.overflow(k, now, p)
		return
	}
	raw := p.raw
	if p.kind == mqttPublish {
		const dup = 8
		raw = slices.Clone(raw)
		raw[0] |= dup
	}
	t.flying++
	// Most are answered at once, which is not worth a write to the journal.
	k.put(now, entry{key: mqttFlight(id), m: Message{Binary: true, Data: raw}, quiet: true})
}

// overflow counts a packet that is in flight but not kept.
func (t *mqtt) overflow(k *Tracker, now time.Time, p mqttPacket) {
	if p.kind != mqttPublish || p.qos() != 1 {
		// Its answers cannot be told apart without knowing its identifier.
		k.incomplete()
		return
	}
	t.crowd++
	k.pend(now, mqttKeyCrowd)
}

// land notes the last answer to a packet of the client.
func (t *mqtt) land(k *Tracker, id uint16) {
	if _, ok := k.kept(mqttFlight(id)); ok {
		k.forget(mqttFlight(id))
		t.flying--
		return
	}
	if t.crowd > 0 {
		t.crowd--
		if t.crowd == 0 {
			k.forget(mqttKeyCrowd)
		}
	}
}

// received forgets a PUBLISH that the broker has: said again, it would be a
// second message. What follows is the client's PUBREL, which is kept already
// where PUBREC comes twice.
func (t *mqtt) received(k *Tracker, id uint16) {
	if m, ok := k.kept(mqttFlight(id)); ok && m.Data[0]>>4 == mqttPublish {
		t.land(k, id)
	}
}
