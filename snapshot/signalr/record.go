package signalr

import (
	"bytes"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
)

// separator ends each record. A WebSocket message has one or more.
const separator = '\x1e'

// Types of records. The handshake and its answer have none.
const (
	typeInvocation = "1"
	typeItem       = "2"
	typeCompletion = "3"
	typeStream     = "4"
	typeCancel     = "5"
	typePing       = "6"
	typeClose      = "7"
	typeAck        = "8" // of stateful reconnect, as is the next
	typeSequence   = "9"
)

// A record is one of a message.
type record struct {
	data []byte // with its separator, lent
	kind []byte // as it is written
	has  jsonpointer.Result
}

// next returns the first record of data, and what follows. ok is false if there
// is no whole one, as where a long message was cut.
func next(data []byte) (r record, rest []byte, ok bool) {
	end := bytes.IndexByte(data, separator)
	if end < 0 {
		return record{}, data, false
	}
	r.data, rest = data[:end+1], data[end+1:]
	r.kind, r.has = jsonpointer.Lookup(r.data, "type")
	return r, rest, true
}

// is reports whether a record is of that type.
func (r record) is(kind string) bool { return r.has == jsonpointer.Present && string(r.kind) == kind }

// id returns the invocationId, or nothing.
func (r record) id() string { return jsonpointer.LookupText(r.data, "invocationId") }
