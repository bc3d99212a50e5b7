package snapshot

// maxMQTTPacket bounds what is put together from several messages. Clients
// send a packet per message unless it is large, and nothing but a PUBLISH is.
const maxMQTTPacket = 64 << 10

// mqttStream cuts one direction of a conversation into packets: over
// WebSocket, MQTT is a stream of bytes, and messages may end anywhere
// (MQTT 5 section 6). It holds less than maxMQTTPacket bytes, and none between
// packets.
type mqttStream struct {
	part  []byte // the beginning of a packet
	skip  int    // what is still to come of a packet that was too long to hold
	stray bool   // it was not MQTT: nothing more can be read
}

// between says whether the stream is at the boundary of two packets.
func (s *mqttStream) between() bool { return len(s.part) == 0 && s.skip == 0 && !s.stray }

// feed hands each packet that data completes to fn, and one too long to be put
// together when it begins, without its body. Packets borrow their bytes until
// fn returns.
func (s *mqttStream) feed(data []byte, fn func(mqttPacket)) {
	if s.stray {
		return
	}
	n := min(s.skip, len(data))
	s.skip -= n
	data = data[n:]
	if len(s.part) > 0 {
		s.part = append(s.part, data...)
		data = s.part
	}
	for len(data) > 0 {
		p, size := cutMQTTPacket(data)
		if size < 0 {
			s.stray, s.part = true, nil
			return
		}
		if p.raw == nil && size <= maxMQTTPacket {
			break // wait for the rest
		}
		fn(p)
		n := min(size, len(data))
		s.skip = size - n
		data = data[n:]
	}
	if len(data) == 0 {
		s.part = nil
		return
	}
	s.part = append(s.part[:0], data...)
}

// cutMQTTPacket takes the first packet off data. Its size is 0 while the fixed
// header is not whole, and below 0 when it is malformed. The packet has no raw
// bytes when they are not all there.
func cutMQTTPacket(data []byte) (p mqttPacket, size int) {
	p = mqttPacket{kind: data[0] >> 4, flags: data[0] & 0x0f}
	n, header := mqttLength(data[1:])
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
