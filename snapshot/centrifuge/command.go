package centrifuge

import (
	"bytes"
	"encoding/json"
	"iter"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
)

// requests are the commands of a client, by the member that they have.
var requests = [...]string{
	"connect", "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "ping", "send", "rpc", "refresh", "sub_refresh",
}

// lines iterates over the commands or replies of a message.
func lines(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for line := range bytes.SplitSeq(data, []byte{'\n'}) {
			if line = bytes.TrimSpace(line); len(line) > 0 && !yield(line) {
				return
			}
		}
	}
}

// request returns the name and the body of a command; an empty name is none that
// is known, or was found.
func request(line []byte) (name string, body []byte) {
	for _, name := range requests {
		if body, f := jsonpointer.Lookup(line, name); f == jsonpointer.Present {
			return name, body
		}
	}
	return "", nil
}

// isEmpty reports whether a command or reply is {}, which is a ping or pong.
func isEmpty(line []byte) bool {
	return len(line) >= 2 && line[0] == '{' && line[len(line)-1] == '}' && len(bytes.TrimSpace(line[1:len(line)-1])) == 0
}

// withMember returns a line whose member of that name has another value in one
// place; nil: has it not. ok is false if it is not what it should be.
func withMember(line []byte, name, member string, value []byte) (changed []byte, ok bool) {
	var outer, inner map[string]json.RawMessage
	if json.Unmarshal(line, &outer) != nil || json.Unmarshal(outer[name], &inner) != nil || inner == nil {
		return nil, false
	}
	if delete(inner, member); value != nil {
		inner[member] = value
	}
	body, err := json.Marshal(inner)
	if err != nil {
		return nil, false
	}
	outer[name] = body
	changed, err = json.Marshal(outer)
	return changed, err == nil
}
