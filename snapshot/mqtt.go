package snapshot

import "time"

// Keys of what is kept of an MQTT conversation. The mark carries no data; it
// is an entry because only entries reach another pod.
const (
	mqttKeyConnect = "connect" // the client's CONNECT
	mqttKeyConnack = "connack" // a mark: the client has heard that it is connected
	mqttKeyFilter  = "filter/" // by topic filter: a SUBSCRIBE for it alone
	mqttKeyFlight  = "flight/" // by packet identifier: a packet of the client without its answer
	mqttKeyCrowd   = "crowd"   // under way: more of those, or larger, than are kept
	mqttKeyPing    = "ping"    // the client's PINGREQ without its answer

	// Under way: a packet of the client, or of the broker, has begun and ends
	// too far off to be said again.
	mqttKeyUpload   = "upload"
	mqttKeyDownload = "download"
)

// mqtt follows MQTT 3.1, 3.1.1 and 5. It keeps the CONNECT, credentials
// included, a SUBSCRIBE for each topic filter that the broker granted, and
// what the client has sent that asks for an answer and has none: these packets
// are said again, a PUBLISH with DUP, as a client library does that
// reconnects. PINGREQ is said in time while the client is away. A broker's
// DISCONNECT for its shutdown (MQTT 5) is withheld.
//
// What the broker itself remembers is as good as that broker. A session that
// outlives the connection is asked for again, and when the broker has it, it
// is not subscribed again; otherwise its retained messages come once more. A
// QoS 2 message whose PUBREC had come, and QoS 1 and 2 messages to the client
// that were in flight, end as that broker ends an identifier that it does not
// know. While more is in flight than maxMQTTFlights, the conversation is
// incomplete. Topic aliases of the client and enhanced authentication (MQTT 5)
// live in the connection alone: with them a conversation is incomplete.
type mqtt struct {
	up, down mqttStream
	behind   int  // bytes of the client since a message last ended with a packet
	leaving  bool // the broker has said that it shuts down
	level    byte // of the protocol; 0: no CONNECT was seen
	beat     beat
	flying   int             // entries in flight
	crowd    int             // what else is in flight
	pings    int             // PINGREQs of ours without an answer
	greeting bool            // a restore waits for CONNACK
	waiting  map[uint16]bool // identifiers of our SUBSCRIBEs that a restore waits for
}

func newMQTT() preset { return &mqtt{waiting: make(map[uint16]bool)} }

// said looks at a packet of the client.
func (t *mqtt) said(k *Tracker, now time.Time, p mqttPacket) {
	if p.kind == 0 { // the rest of a large one
		return
	}
	if p.body == nil && p.kind != mqttPublish { // too long to be put together
		k.incomplete()
		return
	}
	switch p.kind {
	case mqttConnect:
		t.login(k, now, p)
	case mqttPublish:
		t.publish(k, now, p)
	case mqttPubrel, mqttSubscribe, mqttUnsubscribe:
		t.launch(k, now, p, p.id())
	case mqttPingreq:
		k.put(now, entry{key: mqttKeyPing, m: Message{Binary: true, Data: p.raw}, quiet: true})
	case mqttDisconnect:
		t.forget(k)
		t.beat.promise(now, 0)
	case mqttAuth:
		k.incomplete()
	}
}

// login keeps a CONNECT, with which everything starts anew.
func (t *mqtt) login(k *Tracker, now time.Time, p mqttPacket) {
	login, ok := parseMQTTLogin(p.body)
	if !ok {
		k.incomplete()
		return
	}
	t.forget(k)
	k.keep(now, mqttKeyConnect, Message{Binary: true, Data: p.raw})
	t.level = login.level
	t.beat.promise(now, time.Duration(login.keepAlive)*time.Second)
}

// forget ends the conversation: nothing of it is to be said again.
func (t *mqtt) forget(k *Tracker) {
	k.each("", func(key string, _ Message) { k.forget(key) })
	t.flying, t.crowd = 0, 0
}

// heard looks at a packet of the broker and says whether it is for us.
func (t *mqtt) heard(k *Tracker, now time.Time, p mqttPacket) (ours bool) {
	switch p.kind {
	case mqttConnack:
		return t.welcome(k, now, p)
	case mqttSuback, mqttUnsuback:
		if p.kind == mqttSuback && t.waiting[p.id()] {
			delete(t.waiting, p.id())
			t.settle(k)
			return true
		}
		t.granted(k, now, p)
	case mqttPuback, mqttPubcomp:
		t.land(k, p.id())
	case mqttPubrec:
		t.received(k, p.id())
	case mqttPingresp:
		if t.pings > 0 {
			t.pings--
			return true
		}
		k.forget(mqttKeyPing)
	case mqttDisconnect:
		// Client libraries reconnect at this word, and the session can go on.
		t.leaving = t.level >= mqttLevel5 && len(p.body) > 0 && p.body[0] == mqttShutdown && k.Complete()
		return t.leaving
	}
	return false
}

// restarts implements restarter.
func (t *mqtt) restarts(*Tracker, uint16) bool { return t.leaving }

// granted acts on a SUBSCRIBE or UNSUBSCRIBE of the client, now that the
// broker has.
func (t *mqtt) granted(k *Tracker, now time.Time, answer mqttPacket) {
	m, ok := k.kept(mqttFlight(answer.id()))
	t.land(k, answer.id()) // m stays as it is: entries are replaced, not overwritten
	if !ok {
		return
	}
	request, _ := cutMQTTPacket(m.Data)
	if request.kind+1 != answer.kind {
		return
	}
	properties, filters, ok := parseMQTTFilters(request, t.level)
	f := mqttFields{rest: answer.body}
	f.uint16()
	f.properties(t.level)
	for _, filter := range filters {
		key := mqttKeyFilter + string(filter.name)
		// MQTT 3.1.1 has no codes in UNSUBACK, and it cannot fail.
		switch code := f.byte(); {
		case code >= mqttFailed:
		case request.kind == mqttUnsubscribe:
			k.forget(key)
		default:
			packet := appendMQTTSubscribe(nil, t.level, properties, filter)
			k.keep(now, key, Message{Binary: true, Data: packet})
		}
	}
	if !ok {
		k.incomplete()
	}
}

// tick implements preset: it pings for the client, though never inside of a
// packet.
func (t *mqtt) tick(k *Tracker, now time.Time) {
	if !t.beat.silent(now, k.attached() || !t.up.between()) {
		return
	}
	t.beat.spoke(now)
	t.pings++
	k.say(Message{Binary: true, Data: []byte{mqttPingreq << 4, 0}})
}

// deadline implements preset.
func (t *mqtt) deadline() time.Time { return t.beat.due }
