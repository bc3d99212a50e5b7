package snapshot

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
)

// Keys of the preset phoenix.
const (
	phxFormat = "format" // the first byte of a message: [ is serializer V2, { is V1
	phxAsked  = "asked/" // by topic: a join whose reply the client has not heard
	phxJoined = "join/"  // by topic: a join that the app accepted
)

const (
	// phxBeat is how often phoenix.js sends a heartbeat. A server closes a
	// socket that is silent for 60 s.
	phxBeat = 30 * time.Second

	// phxRef is the ref of our heartbeats. Those of clients are numbers.
	phxRef = "wsr"
)

// phoenix follows Phoenix Channels in the JSON serializers V2 and V1. Joins
// are said again with their refs, so that what the channels then push carries
// the join_ref that the client knows.
type phoenix struct {
	waits map[string]bool // topics whose reply a restore waits for; true: the client has heard one before
	beat  time.Time       // when a heartbeat is due; zero: never
}

func newPhoenix() preset { return &phoenix{} }

// phxMessage is what all messages have, as it is written.
type phxMessage struct{ joinRef, ref, topic, event []byte }

// parsePhoenix reads a message of either serializer. Binary messages of V2
// carry pushes and their replies, which are nothing to keep.
func parsePhoenix(m Message) (p phxMessage, f jsonpointer.Result) {
	data := bytes.TrimLeft(m.Data, " \t\r\n")
	if m.Binary || len(data) == 0 {
		return p, jsonpointer.Absent
	}
	if data[0] == '{' {
		p.ref, _ = jsonpointer.Lookup(data, "ref")
		p.joinRef = p.ref // V1 sends no other; of a join and its end they are the same
		p.topic, _ = jsonpointer.Lookup(data, "topic")
		p.event, f = jsonpointer.Lookup(data, "event")
		return p, f
	}
	p.joinRef, _ = jsonpointer.Lookup(data, "0")
	p.ref, _ = jsonpointer.Lookup(data, "1")
	p.topic, _ = jsonpointer.Lookup(data, "2")
	p.event, f = jsonpointer.Lookup(data, "3")
	return p, f
}

// inbound implements preset.
func (p *phoenix) inbound(k *Tracker, now time.Time, m Message) {
	msg, f := parsePhoenix(m)
	if f == jsonpointer.Undecided {
		k.incomplete()
	}
	if f != jsonpointer.Present {
		return
	}
	if _, known := k.kept(phxFormat); !known {
		k.keep(now, phxFormat, Message{Data: bytes.TrimLeft(m.Data, " \t\r\n")[:1]})
	}
	topic := jsonpointer.Text(msg.topic)
	switch {
	case jsonpointer.Equal(msg.event, "phx_join"):
		k.forget(phxJoined + topic)
		if !json.Valid(m.Data) {
			k.incomplete()
			return
		}
		k.keep(now, phxAsked+topic, m)
	case jsonpointer.Equal(msg.event, "phx_leave"):
		// A leave of V1 has a ref of its own.
		if msg.joinRef = leaveRef(m, msg); msg.joinRef == nil || p.current(k, topic, msg) {
			p.drop(k, topic)
		}
	}
}

// leaveRef returns the join_ref of a leave, or nil if it has none.
func leaveRef(m Message, msg phxMessage) []byte {
	v1 := bytes.HasPrefix(bytes.TrimLeft(m.Data, " \t\r\n"), []byte{'{'})
	if v1 || string(msg.joinRef) == "null" {
		return nil
	}
	return msg.joinRef
}

// current tells whether msg is about the present join of its topic: the end of
// an earlier one may cross a new join.
func (p *phoenix) current(k *Tracker, topic string, msg phxMessage) bool {
	for _, kind := range [...]string{phxAsked, phxJoined} {
		if join, ok := k.kept(kind + topic); ok {
			mine, _ := parsePhoenix(join)
			return jsonpointer.Text(mine.joinRef) == jsonpointer.Text(msg.joinRef) || string(mine.joinRef) == "null"
		}
	}
	return false
}

// drop forgets a topic.
func (p *phoenix) drop(k *Tracker, topic string) {
	k.forget(phxAsked + topic)
	k.forget(phxJoined + topic)
}

// outbound implements preset.
func (p *phoenix) outbound(k *Tracker, now time.Time, m Message) (swallow bool) {
	msg, f := parsePhoenix(m)
	switch {
	case f != jsonpointer.Present:
	case jsonpointer.Equal(msg.event, "phx_reply"):
		if jsonpointer.Equal(msg.topic, "phoenix") {
			return jsonpointer.Equal(msg.ref, phxRef)
		}
		return p.reply(k, now, m, msg)
	case jsonpointer.Equal(msg.event, "phx_close"), jsonpointer.Equal(msg.event, "phx_error"):
		if topic := jsonpointer.Text(msg.topic); p.current(k, topic, msg) {
			p.drop(k, topic)
			p.answered(k, topic)
		}
	}
	return false
}

// reply takes the reply to a join, which the client hears once. A refusal of
// what the client believes to have joined cannot be told to it: it listens for
// no reply any more. So the restore has failed.
func (p *phoenix) reply(k *Tracker, now time.Time, m Message, msg phxMessage) (swallow bool) {
	topic := jsonpointer.Text(msg.topic)
	join, asked := k.kept(phxAsked + topic)
	if !asked {
		join, _ = k.kept(phxJoined + topic)
	}
	if mine, f := parsePhoenix(join); f != jsonpointer.Present || jsonpointer.Text(mine.ref) != jsonpointer.Text(msg.ref) {
		return false
	}
	status := jsonpointer.LookupText(m.Data, "4", "status")
	if status == "" {
		status = jsonpointer.LookupText(m.Data, "payload", "status")
	}
	heard := p.waits[topic]
	switch {
	case status == "ok" && asked:
		k.forget(phxAsked + topic)
		k.keep(now, phxJoined+topic, join)
	case status == "ok":
	case heard:
		k.fail()
		return true
	default:
		p.drop(k, topic)
	}
	p.answered(k, topic)
	return heard
}

// answered ends the restore with the last topic.
func (p *phoenix) answered(k *Tracker, topic string) {
	if _, ok := p.waits[topic]; !ok {
		return
	}
	if delete(p.waits, topic); len(p.waits) == 0 {
		k.restored()
	}
}

// restore implements preset.
func (p *phoenix) restore(k *Tracker, now time.Time) {
	p.beat = now // for a client that is away
	p.waits = make(map[string]bool)
	for _, kind := range [...]string{phxJoined, phxAsked} {
		k.each(kind, func(key string, m Message) {
			p.waits[key[len(kind):]] = kind == phxJoined
			k.say(m)
		})
	}
	if len(p.waits) == 0 {
		k.restored()
	}
}

// tick implements preset: the client's heartbeats are missed while it is away.
func (p *phoenix) tick(k *Tracker, now time.Time) {
	first, known := k.kept(phxFormat)
	if k.attached() || !known {
		p.beat = time.Time{}
		return
	}
	if now.Before(p.beat) {
		return
	}
	p.beat = now.Add(phxBeat)
	heartbeat := `[null,"` + phxRef + `","phoenix","heartbeat",{}]`
	if string(first.Data) == "{" {
		heartbeat = `{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"` + phxRef + `"}`
	}
	k.say(Message{Data: []byte(heartbeat)})
}

// deadline implements preset.
func (p *phoenix) deadline() time.Time { return p.beat }
