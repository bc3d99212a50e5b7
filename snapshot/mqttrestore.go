package snapshot

import (
	"slices"
	"time"
)

// restore implements preset. It says CONNECT; the rest follows when the broker
// has answered.
func (t *mqtt) restore(k *Tracker, now time.Time) {
	t.cut(k)
	t.pings, t.flying, t.crowd = 0, 0, 0
	t.greeting, t.leaving = false, false
	clear(t.waiting)
	k.forget(mqttKeyCrowd)
	k.each(mqttKeyFlight, func(string, Message) { t.flying++ })
	m, ok := k.kept(mqttKeyConnect)
	if !ok {
		k.restored()
		return
	}
	p, _ := cutMQTTPacket(m.Data)
	login, _ := parseMQTTLogin(p.body)
	t.level = login.level
	t.greeting = true
	t.beat.promise(now, time.Duration(login.keepAlive)*time.Second)
	data := slices.Clone(m.Data)
	if _, again := k.kept(mqttKeyConnack); again && login.lasting {
		// The first connection may have asked for a clean start. This one
		// continues it (MQTT 5 section 3.1.2.4).
		const cleanStart = 2
		data[len(data)-len(p.body)+login.flagsAt] &^= cleanStart
	}
	k.say(Message{Binary: true, Data: data})
}

// welcome acts on a CONNACK: flags, a code, and the broker's properties.
func (t *mqtt) welcome(k *Tracker, now time.Time, p mqttPacket) (ours bool) {
	f := mqttFields{rest: p.body}
	present := f.byte()&1 == 1
	_, again := k.kept(mqttKeyConnack)
	if f.byte() != 0 || f.bad {
		return t.refused(k, again)
	}
	if seconds, ok := mqttProperty(f.properties(t.level), mqttServerKeepAlive); ok {
		t.beat.promise(now, time.Duration(seconds)*time.Second)
	}
	k.keep(now, mqttKeyConnack, Message{})
	if !t.greeting {
		return false
	}
	t.greeting = false
	t.resume(k, now, present)
	// A client that never heard the answer of the old broker gets this one.
	return again
}

// refused acts on a CONNACK that refuses. The broker closes after it. A client
// that is connected as far as it knows does not hear it: another attempt may
// do better, where a broker is still starting.
func (t *mqtt) refused(k *Tracker, again bool) (ours bool) {
	if !t.greeting {
		return false
	}
	t.greeting = false
	if again {
		k.fail()
		return true
	}
	k.restored()
	return false
}

// resume says what the broker must know besides the login.
func (t *mqtt) resume(k *Tracker, now time.Time, present bool) {
	if !present { // else the broker still has the subscriptions
		id := uint16(0)
		k.each(mqttKeyFilter, func(_ string, m Message) {
			// Clients count from 1, so ours from the other end rarely meet
			// one that is in flight.
			for id--; t.inFlight(k, id); id-- {
			}
			p, _ := cutMQTTPacket(m.Data)
			t.waiting[id] = true
			k.say(Message{Binary: true, Data: mqttNumbered(p, id)})
		})
	}
	k.each(mqttKeyFlight, func(_ string, m Message) { k.say(m) })
	if m, ok := k.kept(mqttKeyPing); ok {
		k.say(m) // or the client takes the broker for dead
	}
	t.beat.spoke(now)
	t.settle(k)
}

// inFlight says whether the client uses an identifier.
func (t *mqtt) inFlight(k *Tracker, id uint16) bool {
	_, ok := k.kept(mqttFlight(id))
	return ok || id == 0
}

// settle ends the restore when nothing is waited for.
func (t *mqtt) settle(k *Tracker) {
	if len(t.waiting) == 0 && !t.greeting && k.restoring() {
		k.restored()
	}
}
