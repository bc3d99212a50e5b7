package snapshot

import "time"

// What the client says is handed to the app as it comes, so that a packet may
// be half there. What the app says goes on to the client in whole packets: a
// half one that a dying broker leaves never reaches the client, and ours can
// be told from its own.

// inbound implements preset.
func (t *mqtt) inbound(k *Tracker, now time.Time, m Message) {
	t.beat.spoke(now)
	if t.up.stray {
		return
	}
	if m.Binary {
		t.up.feed(m.Data, func(p mqttPacket) { t.said(k, now, p) })
	} else {
		t.up.stray = true // brokers refuse text (MQTT-6.0.0-1)
	}
	switch {
	case t.up.stray:
		k.incomplete()
	case t.up.between():
		t.behind = 0
		k.forget(mqttKeyUpload)
	default:
		if t.behind += len(m.Data); t.up.skip > 0 || t.behind > maxMQTTPacket {
			k.pend(now, mqttKeyUpload)
		}
	}
}

// midway implements byteStream.
func (t *mqtt) midway(k *Tracker) bool {
	return !t.up.stray && !t.up.between() && !k.pending(mqttKeyUpload)
}

// repeat implements byteStream.
func (t *mqtt) repeat(k *Tracker) {
	if t.up.skip == 0 && len(t.up.part) > 0 {
		k.say(Message{Binary: true, Data: t.up.part})
	}
}

// outbound implements preset.
func (t *mqtt) outbound(k *Tracker, now time.Time, m Message) (swallow bool) {
	if !m.Binary || len(m.Data) == 0 || t.down.stray {
		return false
	}
	if t.down.between() {
		// Of a message that is a packet nothing needs to be copied.
		if p, size := cutMQTTPacket(m.Data); size == len(m.Data) {
			return t.heard(k, now, p)
		}
	}
	t.down.feed(m.Data, func(p mqttPacket) {
		if p.kind == 0 || !t.heard(k, now, p) {
			k.deliver(now, Message{Binary: true, Data: p.raw})
		}
	})
	if t.down.stray {
		k.incomplete()
	}
	// The client's stream ends within a packet that is too long to be held
	// back: another socket could not continue it.
	if t.down.skip > 0 {
		k.pend(now, mqttKeyDownload)
	} else {
		k.forget(mqttKeyDownload)
	}
	return true
}

// cut takes note of the end of a socket. The fresh one hears again what the
// old one heard of a packet, as far as it is held.
func (t *mqtt) cut(k *Tracker) {
	if t.up.stray || t.down.stray || k.pending(mqttKeyUpload) && t.up.part == nil || k.pending(mqttKeyDownload) {
		k.incomplete()
	}
	k.forget(mqttKeyDownload)
	t.down = mqttStream{}
}
