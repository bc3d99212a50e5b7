package jupyter

import (
	"encoding/binary"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/snapshot"
)

// A message is the parts of one that matter here. They are lent.
type message struct {
	channel                 string
	header, parent, content []byte
}

// parse reads a message; ok is false if it is none, or is too long to be read.
func parse(m snapshot.Message) (msg message, ok bool) {
	switch {
	case !m.Binary:
		return parseJSON(m.Data)
	case len(m.Data) < 8:
		return message{}, false
	case m.Data[0] == 0:
		return parseBuffers(m.Data)
	}
	return parseParts(m.Data)
}

// parseJSON reads a message of the older protocol.
func parseJSON(data []byte) (msg message, ok bool) {
	var found jsonpointer.Result
	if msg.header, found = jsonpointer.Lookup(data, "header"); found != jsonpointer.Present {
		return message{}, false
	}
	msg.parent, _ = jsonpointer.Lookup(data, "parent_header")
	msg.content, _ = jsonpointer.Lookup(data, "content")
	msg.channel = jsonpointer.LookupText(data, "channel")
	return msg, true
}

// parseBuffers reads one of the older protocol with buffers:
//
//	number of offsets, uint32, big-endian; as many offsets; JSON; buffers
//
// where the first offset is that of the JSON.
func parseBuffers(data []byte) (msg message, ok bool) {
	n := binary.BigEndian.Uint32(data)
	from := binary.BigEndian.Uint32(data[4:])
	if n == 0 || uint64(from) != 4*(uint64(n)+1) || uint64(from) >= uint64(len(data)) {
		return message{}, false
	}
	to := uint32(len(data))
	if n > 1 {
		to = binary.BigEndian.Uint32(data[8:])
	}
	if to < from || uint64(to) > uint64(len(data)) {
		return message{}, false
	}
	return parseJSON(data[from:to])
}

// parseParts reads a message of version 1:
//
//	number of offsets, uint64, little-endian; as many offsets; parts
//
// The parts are the channel, header, parent header, metadata, content, and
// buffers. The last offset is the end.
func parseParts(data []byte) (msg message, ok bool) {
	const parts = 5
	n := binary.LittleEndian.Uint64(data)
	if n < parts+1 || n > uint64(len(data))/8-1 {
		return message{}, false
	}
	var at [parts + 1]uint64
	last := 8 * (n + 1)
	for i := range at {
		at[i] = binary.LittleEndian.Uint64(data[8*(i+1):])
		if at[i] < last || at[i] > uint64(len(data)) {
			return message{}, false
		}
		last = at[i]
	}
	msg.channel = string(data[at[0]:at[1]])
	msg.header, msg.parent, msg.content = data[at[1]:at[2]], data[at[2]:at[3]], data[at[4]:at[5]]
	return msg, true
}

// kind returns the msg_type.
func (m message) kind() string { return jsonpointer.LookupText(m.header, "msg_type") }

// id returns the msg_id.
func (m message) id() string { return jsonpointer.LookupText(m.header, "msg_id") }

// parentID returns the msg_id of the request that a message answers.
func (m message) parentID() string { return jsonpointer.LookupText(m.parent, "msg_id") }

// gone reports whether a status says that the kernel forgot all requests.
func (m message) gone() bool {
	state := jsonpointer.LookupText(m.content, "execution_state")
	return state == "restarting" || state == "dead"
}
