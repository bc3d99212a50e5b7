package idempotency

import (
	"bytes"
	"encoding/json"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
)

// A Message is one WebSocket message as the application sees it: not masked, not
// compressed.
type Message struct {
	Binary bool
	Data   []byte
}

// A keyed message is one that a rule is about.
type keyed struct {
	rule    *Rule
	key     Key
	shown   []byte // the key as JSON, for what the client is told
	request []byte // as JSON, what the app's reply repeats; nil: nothing does
	change  change // what it makes of its entity, if the rule is about some
	client  string // the key that the client said, and wants an outcome for; "": none
}

// keyOf returns what a message acts once under. A message that looks as if it had
// a key, and is too large to be looked at, has none.
func (g *Gate) keyOf(m Message, client string) (k keyed, ok bool) {
	for _, r := range g.rules {
		if r.source == keyClient && client == "" || r.selects != nil && !r.selects.Match(m.Data) {
			continue
		}
		var c change
		value, shown, ok := []byte(nil), []byte(nil), false
		if r.states != nil {
			value, shown, c, ok = r.states.changeOf(m)
		} else {
			value, shown, ok = r.valueOf(m, client)
		}
		if !ok {
			continue
		}
		k = keyed{rule: r.Rule, key: makeKey(r.id, r.whose, value), shown: bytes.Clone(shown), change: c, client: client}
		if r.reply != nil {
			k.request = r.reply.requestOf(m)
		}
		return k, true
	}
	return keyed{}, false
}

// valueOf returns the key of a message, and as JSON.
func (r *Rule) valueOf(m Message, client string) (value, shown []byte, ok bool) {
	switch r.source {
	case keyClient:
		shown, _ = json.Marshal(client) // what is not UTF-8 is shown as far as it is
		return []byte(client), shown, true
	case keyFingerprint:
		kind := []byte("text")
		if m.Binary {
			kind = []byte("binary")
		}
		k := makeKey(kind, m.Data)
		shown, _ = json.Marshal(k.String())
		return k[:], shown, true
	}
	return jsonValue(m, r.key)
}

// jsonValue returns a value of a message, and as JSON.
func jsonValue(m Message, at []string) (value, shown []byte, ok bool) {
	raw, found := jsonpointer.Lookup(m.Data, at...)
	if found != jsonpointer.Present || len(raw) == 0 || len(raw) > maxKey || string(raw) == "null" || !json.Valid(raw) {
		return nil, nil, false
	}
	if raw[0] == '"' { // however it is written
		return append([]byte{'"'}, jsonpointer.Text(raw)...), raw, true
	}
	return raw, raw, true
}

// requestOf returns what the app's reply repeats of a request; nil if there is
// nothing.
func (p *reply) requestOf(m Message) []byte {
	raw, found := jsonpointer.Lookup(m.Data, p.request...)
	if found != jsonpointer.Present || len(raw) > maxRequest || string(raw) == "null" {
		return nil
	}
	return bytes.Clone(raw)
}

// answers reports whether m is the app's reply to a request.
func (p *reply) answers(request []byte, m Message) bool {
	raw, found := jsonpointer.Lookup(m.Data, p.pointer...)
	return found == jsonpointer.Present && same(raw, request)
}

// same reports whether two values of JSON are one, as far as they are compared:
// strings however they are written, others as they are.
func same(a, b []byte) bool {
	if len(a) > 0 && a[0] == '"' {
		return len(b) > 0 && b[0] == '"' && jsonpointer.Equal(a, jsonpointer.Text(b))
	}
	return bytes.Equal(a, b)
}

// rewrite returns the recorded answer as one to another request with the same
// key: what it repeats of the request is this one's.
func (p *reply) rewrite(answer Message, request []byte) Message {
	raw, found := jsonpointer.Lookup(answer.Data, p.pointer...)
	if found != jsonpointer.Present || request == nil || same(raw, request) {
		return answer
	}
	at := cap(answer.Data) - cap(raw) // raw is a part of it
	data := append(bytes.Clone(answer.Data[:at]), request...)
	return Message{answer.Binary, append(data, answer.Data[at+len(raw):]...)}
}
