package mqtt

import (
	"encoding/binary"
	"slices"
)

// Control packet types (section 2.1.2) that matter here.
const (
	typeConnect     = 1
	typeConnack     = 2
	typePublish     = 3
	typePuback      = 4
	typePubrec      = 5
	typePubrel      = 6
	typePubcomp     = 7
	typeSubscribe   = 8
	typeSuback      = 9
	typeUnsubscribe = 10
	typeUnsuback    = 11
	typePingreq     = 12
	typePingresp    = 13
	typeDisconnect  = 14
	typeAuth        = 15
)

// Properties (section 2.2.2.2) that change what is kept.
const (
	propSessionExpiry   = 0x11
	propServerKeepAlive = 0x13
	propTopicAlias      = 0x23
)

// level5 is the protocol level of MQTT 5, the first with properties. 3.1
// has level 3 and 3.1.1 has 4.
const level5 = 5

// reasonFailure is the first reason code that is a refusal (section 2.4),
// and in SUBACK also the one of MQTT 3.1.1.
const reasonFailure = 0x80

// reasonShuttingDown is the reason code of a broker that shuts down (section
// 3.14.2.1).
const reasonShuttingDown = 0x8b

// A packet is one control packet. Its bytes are lent.
type packet struct {
	kind  byte   // 1 to 15; 0: see stream.feed
	flags byte   // the low four bits of the first byte
	body  []byte // what follows the fixed header; nil when the packet was too long to be put together
	raw   []byte // all of it, or what there is of it
}

// qos returns the quality of service of a PUBLISH (section 3.3.1.2).
func (p packet) qos() byte { return p.flags >> 1 & 3 }

// id returns the packet identifier (section 2.2.1) of a packet that starts with
// one, or 0, which none has.
func (p packet) id() uint16 {
	f := fields{rest: p.body}
	return f.uint16()
}

// A fields reads the fields of a packet one by one. After the first that is
// not whole, all are empty.
type fields struct {
	rest []byte
	bad  bool
}

// take returns the next n bytes.
func (f *fields) take(n int) []byte {
	if f.bad || n > len(f.rest) {
		f.bad, f.rest = true, nil
		return nil
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) byte() byte {
	if b := f.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (f *fields) uint16() uint16 {
	if b := f.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// bytes reads what is preceded by its length: a string or binary data (sections
// 1.5.4 and 1.5.6).
func (f *fields) bytes() []byte { return f.take(int(f.uint16())) }

// varInt reads a variable byte integer.
func (f *fields) varInt() int {
	n, size := decodeVarInt(f.rest)
	if size <= 0 {
		f.bad = true
	}
	f.take(max(size, 0))
	return n
}

// properties reads the property list that MQTT 5 puts into most packets.
func (f *fields) properties(level byte) []byte {
	if level < level5 {
		return nil
	}
	return f.take(f.varInt())
}

// decodeVarInt decodes a variable byte integer (section 1.5.5). A size of zero
// asks for more bytes, one below zero is malformed.
func decodeVarInt(b []byte) (n, size int) {
	const maxSize = 4
	for i, c := range b {
		if i == maxSize {
			break
		}
		n |= int(c&0x7f) << (7 * i)
		if c < 0x80 {
			return n, i + 1
		}
	}
	if len(b) >= maxSize {
		return 0, -1
	}
	return 0, 0
}

// appendVarInt encodes a variable byte integer.
func appendVarInt(b []byte, n int) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

// findProperty finds the value of a property whose type is a number of fixed
// size.
func findProperty(properties []byte, want byte) (value uint32, found bool) {
	f := fields{rest: properties}
	for len(f.rest) > 0 {
		id := f.byte()
		var number []byte
		switch id {
		case 0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a:
			number = f.take(1)
		case 0x13, 0x21, 0x22, 0x23:
			number = f.take(2)
		case 0x02, 0x11, 0x18, 0x27:
			number = f.take(4)
		case 0x0b:
			f.varInt()
		case 0x26: // a user property is a pair of strings
			f.bytes()
			f.bytes()
		default: // strings and binary data
			f.bytes()
		}
		if id == want && !f.bad {
			for _, b := range number {
				value = value<<8 | uint32(b)
			}
			return value, true
		}
	}
	return 0, false
}

// connectFields is what of a CONNECT (section 3.1.2) matters here.
type connectFields struct {
	level     byte
	keepAlive uint16 // seconds; 0: none
	flagsAt   int    // where in the body the connect flags are
	expires   bool   // the session is to outlive the connection (MQTT 5)
}

func parseConnect(body []byte) (connectFields, bool) {
	f := fields{rest: body}
	f.bytes()                                  // "MQTT", or "MQIsdp" in 3.1
	l := connectFields{level: f.byte() & 0x7f} // bridges set the highest bit
	l.flagsAt = len(body) - len(f.rest)
	f.byte()
	l.keepAlive = f.uint16()
	expiry, _ := findProperty(f.properties(l.level), propSessionExpiry)
	l.expires = expiry > 0
	return l, !f.bad
}

// A topicFilter is one topic filter of a SUBSCRIBE or UNSUBSCRIBE.
type topicFilter struct {
	name    []byte
	options byte // SUBSCRIBE: the QoS, and more in MQTT 5
}

// parseFilters reads the list of a SUBSCRIBE (section 3.8.3) or an UNSUBSCRIBE
// (section 3.10.3).
func parseFilters(p packet, level byte) (properties []byte, filters []topicFilter, ok bool) {
	f := fields{rest: p.body}
	f.uint16() // the packet identifier
	properties = f.properties(level)
	for len(f.rest) > 0 {
		filter := topicFilter{name: f.bytes()}
		if p.kind == typeSubscribe {
			filter.options = f.byte()
		}
		filters = append(filters, filter)
	}
	return properties, filters, !f.bad
}

// appendSubscribe encodes a SUBSCRIBE for one filter, with the packet
// identifier 0 for withID to replace, and with the properties of the request,
// byte for byte.
func appendSubscribe(b []byte, level byte, properties []byte, filter topicFilter) []byte {
	body := []byte{0, 0}
	if level >= level5 {
		body = appendVarInt(body, len(properties))
		body = append(body, properties...)
	}
	body = binary.BigEndian.AppendUint16(body, uint16(len(filter.name)))
	body = append(body, filter.name...)
	body = append(body, filter.options)
	b = append(b, typeSubscribe<<4|2) // the flags are reserved (MQTT-3.8.1-1)
	b = appendVarInt(b, len(body))
	return append(b, body...)
}

// withID returns a copy of a packet with another packet identifier.
func withID(p packet, id uint16) []byte {
	raw := slices.Clone(p.raw)
	if len(p.body) >= 2 {
		binary.BigEndian.PutUint16(raw[len(raw)-len(p.body):], id)
	}
	return raw
}
