package mqtt

import "slices"

// maxPacket bounds what is put together from several messages. Only a
// PUBLISH is ever larger.
const maxPacket = 64 << 10

// A stream cuts one direction of a conversation into packets. Over WebSocket
// MQTT is a stream of bytes: a message may carry a part of a packet, or many
// (MQTT-6.0.0-2), and common libraries send every field of a packet as a
// message of its own. The stream holds less than maxPacket bytes, and none
// between packets.
type stream struct {
	part    []byte // the beginning of a packet
	skip    int    // what is still to come of a packet that was too long to hold
	notMQTT bool   // it was not MQTT: nothing more can be read
}

// atBoundary reports whether the stream is at the boundary of two packets.
func (s *stream) atBoundary() bool { return len(s.part) == 0 && s.skip == 0 && !s.notMQTT }

// feed hands fn all of data, and what was held, as it becomes clear what it is:
// a whole packet; the beginning of one too long to be put together, without a
// body; or, with the kind 0, bytes that continue such a packet or follow what
// was not MQTT. All bytes are lent until fn returns.
func (s *stream) feed(data []byte, fn func(packet)) {
	for len(data) > 0 {
		n := len(data)
		switch {
		case s.notMQTT:
			fn(packet{raw: data})
		case s.skip > 0:
			n = min(n, s.skip)
			s.skip -= n
			fn(packet{raw: data[:n:n]})
		case len(s.part) > 0:
			n = s.join(data, fn)
		default:
			n = s.begin(data, fn)
		}
		data = data[n:]
	}
}

// begin takes the packet that data starts with, and returns how much of data
// it was.
func (s *stream) begin(data []byte, fn func(packet)) int {
	p, size := cutPacket(data)
	switch {
	case size < 0:
		s.notMQTT = true
		return 0
	case p.raw != nil:
		fn(p)
		return size
	case size > maxPacket:
		p.raw, s.skip = data, size-len(data)
		fn(p)
	default:
		s.part = append(s.part, data...)
	}
	return len(data)
}

// join goes on with a packet of which a part is held: as far as its header, or
// its end, is known.
func (s *stream) join(data []byte, fn func(packet)) int {
	_, size := cutPacket(s.part)
	n := min(max(size-len(s.part), 1), len(data))
	part := slices.Concat(s.part, data[:n])
	s.part = nil
	p, size := cutPacket(part)
	switch {
	case size < 0:
		s.notMQTT = true
		fn(packet{raw: part})
	case p.raw != nil:
		fn(p)
	case size > maxPacket:
		p.raw, s.skip = part, size-len(part)
		fn(p)
	default:
		s.part = part
	}
	return n
}

// cutPacket takes the first packet off data (section 2.1). Its size is 0 while
// the fixed header is not whole, and below 0 when it is malformed. The packet
// has no bytes when they are not all there.
func cutPacket(data []byte) (p packet, size int) {
	p = packet{kind: data[0] >> 4, flags: data[0] & 0x0f}
	n, header := decodeVarInt(data[1:])
	if header < 0 || p.kind == 0 { // type 0 is forbidden
		return p, -1
	}
	if header == 0 {
		return p, 0
	}
	header++
	size = header + n
	if size <= len(data) {
		p.raw, p.body = data[:size:size], data[header:size:size]
	}
	return p, size
}
