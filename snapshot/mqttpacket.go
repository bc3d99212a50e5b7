package snapshot

import (
	"encoding/binary"
	"slices"
)

// MQTT control packet types (MQTT 5 section 2.1.2), where this package has a
// use for them.
const (
	mqttConnect     = 1
	mqttConnack     = 2
	mqttPublish     = 3
	mqttPuback      = 4
	mqttPubrec      = 5
	mqttPubrel      = 6
	mqttPubcomp     = 7
	mqttSubscribe   = 8
	mqttSuback      = 9
	mqttUnsubscribe = 10
	mqttUnsuback    = 11
	mqttPingreq     = 12
	mqttPingresp    = 13
	mqttDisconnect  = 14
	mqttAuth        = 15
)

// MQTT 5 properties (section 2.2.2.2) that change what is kept.
const (
	mqttSessionExpiry   = 0x11
	mqttServerKeepAlive = 0x13
	mqttTopicAlias      = 0x23
)

// mqttLevel5 is the protocol level of MQTT 5, the first with properties. 3.1
// has level 3 and 3.1.1 has 4.
const mqttLevel5 = 5

// mqttFailed is the first reason code that is a refusal (MQTT 5 section 2.4),
// and in SUBACK also the one of MQTT 3.1.1.
const mqttFailed = 0x80

// mqttShutdown is the reason code of a broker that shuts down (MQTT 5 section
// 3.14.2.1).
const mqttShutdown = 0x8b

// mqttPacket is one control packet. Its bytes are borrowed.
type mqttPacket struct {
	kind  byte   // 1 to 15; 0: see mqttStream.feed
	flags byte   // the low four bits of the first byte
	body  []byte // what follows the fixed header; nil when the packet was too long to be put together
	raw   []byte // all of it, or what there is of it
}

// qos is the quality of service of a PUBLISH.
func (p mqttPacket) qos() byte { return p.flags >> 1 & 3 }

// id is the packet identifier of a packet that starts with one, or 0, which
// none has.
func (p mqttPacket) id() uint16 {
	f := mqttFields{rest: p.body}
	return f.uint16()
}

// mqttFields reads the fields of a packet one by one. After the first that is
// not whole, all are empty.
type mqttFields struct {
	rest []byte
	bad  bool
}

// take returns the next n bytes.
func (f *mqttFields) take(n int) []byte {
	if f.bad || n > len(f.rest) {
		f.bad, f.rest = true, nil
		return nil
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

func (f *mqttFields) byte() byte {
	if b := f.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (f *mqttFields) uint16() uint16 {
	if b := f.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// bytes reads what is preceded by its length: a string or binary data.
func (f *mqttFields) bytes() []byte { return f.take(int(f.uint16())) }

// length reads a variable byte integer (section 1.5.5).
func (f *mqttFields) length() int {
	n, size := mqttLength(f.rest)
	if size <= 0 {
		f.bad = true
	}
	f.take(max(size, 0))
	return n
}

// properties reads the property list that MQTT 5 puts into most packets.
func (f *mqttFields) properties(level byte) []byte {
	if level < mqttLevel5 {
		return nil
	}
	return f.take(f.length())
}

// mqttLength decodes a variable byte integer. A size of zero asks for more
// bytes, one below zero is malformed.
func mqttLength(b []byte) (n, size int) {
	const longest = 4
	for i, c := range b {
		if i == longest {
			break
		}
		n |= int(c&0x7f) << (7 * i)
		if c < 0x80 {
			return n, i + 1
		}
	}
	if len(b) >= longest {
		return 0, -1
	}
	return 0, 0
}

// appendMQTTLength encodes a variable byte integer.
func appendMQTTLength(b []byte, n int) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

// mqttProperty finds the value of a property whose type is a number of fixed
// size.
func mqttProperty(properties []byte, want byte) (value uint32, found bool) {
	f := mqttFields{rest: properties}
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
			f.length()
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

// mqttLogin is what of a CONNECT packet this package acts on.
type mqttLogin struct {
	level     byte
	keepAlive uint16 // seconds; 0: none
	flagsAt   int    // where in the body the connect flags are
	lasting   bool   // the session is to outlive the connection (MQTT 5)
}

func parseMQTTLogin(body []byte) (mqttLogin, bool) {
	f := mqttFields{rest: body}
	f.bytes()                              // "MQTT", or "MQIsdp" in 3.1
	l := mqttLogin{level: f.byte() & 0x7f} // bridges set the highest bit
	l.flagsAt = len(body) - len(f.rest)
	f.byte()
	l.keepAlive = f.uint16()
	expiry, _ := mqttProperty(f.properties(l.level), mqttSessionExpiry)
	l.lasting = expiry > 0
	return l, !f.bad
}

// mqttFilter is one topic filter of a SUBSCRIBE or UNSUBSCRIBE.
type mqttFilter struct {
	name    []byte
	options byte // SUBSCRIBE: the QoS, and more in MQTT 5
}

// parseMQTTFilters reads the list of a SUBSCRIBE or an UNSUBSCRIBE.
func parseMQTTFilters(p mqttPacket, level byte) (properties []byte, filters []mqttFilter, ok bool) {
	f := mqttFields{rest: p.body}
	f.uint16() // the packet identifier
	properties = f.properties(level)
	for len(f.rest) > 0 {
		filter := mqttFilter{name: f.bytes()}
		if p.kind == mqttSubscribe {
			filter.options = f.byte()
		}
		filters = append(filters, filter)
	}
	return properties, filters, !f.bad
}

// appendMQTTSubscribe encodes a SUBSCRIBE for one filter, with the packet
// identifier 0 for mqttNumbered to replace.
func appendMQTTSubscribe(b []byte, level byte, properties []byte, filter mqttFilter) []byte {
	body := []byte{0, 0}
	if level >= mqttLevel5 {
		body = appendMQTTLength(body, len(properties))
		body = append(body, properties...)
	}
	body = binary.BigEndian.AppendUint16(body, uint16(len(filter.name)))
	body = append(body, filter.name...)
	body = append(body, filter.options)
	b = append(b, mqttSubscribe<<4|2) // the flags are reserved and must be 2
	b = appendMQTTLength(b, len(body))
	return append(b, body...)
}

// mqttNumbered returns a copy of a packet with another packet identifier.
func mqttNumbered(p mqttPacket, id uint16) []byte {
	raw := slices.Clone(p.raw)
	if len(p.body) >= 2 {
		binary.BigEndian.PutUint16(raw[len(raw)-len(p.body):], id)
	}
	return raw
}
