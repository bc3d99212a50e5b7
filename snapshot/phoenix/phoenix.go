// Package phoenix is the preset for Phoenix Channels, in the JSON serializers V2
// and V1.
package phoenix

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/snapshot"
)

// Keys of entries. They are saved.
const (
	keyFormat    = "format" // the first byte of a message: [ is serializer V2, { is V1
	keyRequested = "asked/" // by topic: a join whose reply the client has not heard
	keyJoined    = "join/"  // by topic: a join that the app accepted
)

const (
	// heartbeatInterval is how often phoenix.js sends a heartbeat. A server
	// closes a socket that is silent for 60 s.
	heartbeatInterval = 30 * time.Second

	// heartbeatRef is the ref of our heartbeats. Those of clients are numbers.
	heartbeatRef = "wsr"
)

// A preset follows one conversation. Joins are sent again with their refs, so
// that what the channels then push carries the join_ref that the client knows.
type preset struct {
	awaited   map[string]bool // topics whose reply a restore awaits; true: the client has heard one before
	heartbeat time.Time       // when one is due; zero: never
	asked     snapshot.Requests
}

// New returns a preset that follows a new conversation.
func New() snapshot.Preset { return &preset{} }

// Recognises implements snapshot.Protocol: the query names a version of the
// serializer, and the path is a transport of Phoenix.
func Recognises(h snapshot.Handshake) bool {
	q, err := url.ParseQuery(h.Query)
	return err == nil && (q.Get("vsn") == "1.0.0" || q.Get("vsn") == "2.0.0") && strings.HasSuffix(h.Path, "/websocket")
}

// message is what all messages have, as it is written.
type message struct{ joinRef, ref, topic, event []byte }

// parse reads a message of either serializer. Binary messages of V2 carry
// pushes and their replies, which are nothing to keep.
func parse(m snapshot.Message) (p message, f jsonpointer.Result) {
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

// Inbound implements [snapshot.Preset].
func (p *preset) Inbound(c snapshot.Conversation, now time.Time, m snapshot.Message) {
	msg, f := parse(m)
	if f == jsonpointer.Undecided {
		c.SetIncomplete()
	}
	if f != jsonpointer.Present {
		p.asked.Unclear() // a binary push, for one
		return
	}
	if _, known := c.Kept(keyFormat); !known {
		c.Keep(now, keyFormat, snapshot.Message{Data: bytes.TrimLeft(m.Data, " \t\r\n")[:1]})
	}
	topic := jsonpointer.Text(msg.topic)
	p.request(topic, msg)
	switch {
	case jsonpointer.Equal(msg.event, "phx_join"):
		c.Forget(keyJoined + topic)
		if !json.Valid(m.Data) {
			c.SetIncomplete()
			return
		}
		c.Keep(now, keyRequested+topic, m)
	case jsonpointer.Equal(msg.event, "phx_leave"):
		// A leave of V1 has a ref of its own.
		if msg.joinRef = leaveRef(m, msg); msg.joinRef == nil || p.current(c, topic, msg) {
			p.drop(c, topic)
		}
	}
}

// request notes what the app is asked. Phoenix answers joins, leaves and
// heartbeats; of other pushes a channel decides.
func (p *preset) request(topic string, msg message) {
	ref := jsonpointer.Text(msg.ref)
	if ref == "" {
		p.asked.Unclear()
		return
	}
	certain := false
	for _, event := range [...]string{"phx_join", "phx_leave", "heartbeat"} {
		certain = certain || jsonpointer.Equal(msg.event, event)
	}
	p.asked.Asked(requestKey(topic, ref), certain)
}

// requestKey names a request. A topic has no zero byte.
func requestKey(topic, ref string) string { return topic + "\x00" + ref }

// Owes implements [snapshot.Replier].
func (p *preset) Owes(snapshot.Conversation) snapshot.Owed { return p.asked.Owed() }

// leaveRef returns the join_ref of a leave, or nil if it has none.
func leaveRef(m snapshot.Message, msg message) []byte {
	v1 := bytes.HasPrefix(bytes.TrimLeft(m.Data, " \t\r\n"), []byte{'{'})
	if v1 || string(msg.joinRef) == "null" {
		return nil
	}
	return msg.joinRef
}

// current reports whether msg is about the present join of its topic: the end of
// an earlier one may cross a new join.
func (p *preset) current(c snapshot.Conversation, topic string, msg message) bool {
	for _, kind := range [...]string{keyRequested, keyJoined} {
		if join, ok := c.Kept(kind + topic); ok {
			mine, _ := parse(join)
			return jsonpointer.Text(mine.joinRef) == jsonpointer.Text(msg.joinRef) || string(mine.joinRef) == "null"
		}
	}
	return false
}

// drop forgets a topic.
func (p *preset) drop(c snapshot.Conversation, topic string) {
	c.Forget(keyRequested + topic)
	c.Forget(keyJoined + topic)
}

// Outbound implements [snapshot.Preset].
func (p *preset) Outbound(c snapshot.Conversation, now time.Time, m snapshot.Message) (swallow bool) {
	msg, f := parse(m)
	switch {
	case f != jsonpointer.Present:
	case jsonpointer.Equal(msg.event, "phx_reply"):
		p.asked.Answered(requestKey(jsonpointer.Text(msg.topic), jsonpointer.Text(msg.ref)))
		if jsonpointer.Equal(msg.topic, "phoenix") {
			return jsonpointer.Equal(msg.ref, heartbeatRef)
		}
		return p.reply(c, now, m, msg)
	case jsonpointer.Equal(msg.event, "phx_close"), jsonpointer.Equal(msg.event, "phx_error"):
		if topic := jsonpointer.Text(msg.topic); p.current(c, topic, msg) {
			p.asked.AnsweredAll(requestKey(topic, ""))
			p.drop(c, topic)
			p.answered(c, topic)
		}
	}
	return false
}

// reply takes the reply to a join, which the client hears once. A refusal of
// what the client believes to have joined cannot be told to it: it listens for
// no reply any more. So the restore has failed.
func (p *preset) reply(c snapshot.Conversation, now time.Time, m snapshot.Message, msg message) (swallow bool) {
	topic := jsonpointer.Text(msg.topic)
	join, asked := c.Kept(keyRequested + topic)
	if !asked {
		join, _ = c.Kept(keyJoined + topic)
	}
	if mine, f := parse(join); f != jsonpointer.Present || jsonpointer.Text(mine.ref) != jsonpointer.Text(msg.ref) {
		return false
	}
	status := jsonpointer.LookupText(m.Data, "4", "status")
	if status == "" {
		status = jsonpointer.LookupText(m.Data, "payload", "status")
	}
	heard := p.awaited[topic]
	switch {
	case status == "ok" && asked:
		c.Forget(keyRequested + topic)
		c.Keep(now, keyJoined+topic, join)
	case status == "ok":
	case heard:
		c.RestoreFailed()
		return true
	default:
		p.drop(c, topic)
	}
	p.answered(c, topic)
	return heard
}

// answered ends the restore with the reply for the last topic.
func (p *preset) answered(c snapshot.Conversation, topic string) {
	if _, ok := p.awaited[topic]; !ok {
		return
	}
	if delete(p.awaited, topic); len(p.awaited) == 0 {
		c.Restored()
	}
}

// Restore implements [snapshot.Preset].
func (p *preset) Restore(c snapshot.Conversation, now time.Time) {
	p.heartbeat = now // for a client that is away
	p.awaited, p.asked = make(map[string]bool), snapshot.Requests{}
	for _, kind := range [...]string{keyJoined, keyRequested} {
		for key, m := range c.All(kind) {
			p.awaited[key[len(kind):]] = kind == keyJoined
			c.ToApp(m)
		}
	}
	if len(p.awaited) == 0 {
		c.Restored()
	}
}

// Tick implements [snapshot.Preset]: the client's heartbeats are missed while
// it is away.
func (p *preset) Tick(c snapshot.Conversation, now time.Time) {
	first, known := c.Kept(keyFormat)
	if c.Attached() || !known {
		p.heartbeat = time.Time{}
		return
	}
	if now.Before(p.heartbeat) {
		return
	}
	p.heartbeat = now.Add(heartbeatInterval)
	heartbeat := `[null,"` + heartbeatRef + `","phoenix","heartbeat",{}]`
	if string(first.Data) == "{" {
		heartbeat = `{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"` + heartbeatRef + `"}`
	}
	c.ToApp(snapshot.Message{Data: []byte(heartbeat)})
}

// Deadline implements [snapshot.Preset].
func (p *preset) Deadline() time.Time { return p.heartbeat }
