package session

import (
	"errors"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/deflate"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// startsWithMagic reports whether a deflated payload, not masked, inflates to
// something that starts with the magic. Only such a message needs to be
// inflated as a whole.
func startsWithMagic(payload []byte) bool {
	var buf [len(wire.Magic)]byte
	got, err := deflate.Prefix(buf[:0], payload, len(wire.Magic))
	// Whether the rest is sound is for the endpoint to judge (I10); a message
	// that is not ours so far passes.
	return err == nil && wire.IsMagic(got)
}

// unwrapCompressed is unwrap for a compressed message of the client. A page
// cannot choose what its browser compresses, so control messages come this
// way too (PROTOCOL §4).
func (s *Session) unwrapCompressed(p []byte, mask [4]byte) (msg []byte, ours bool, err error) {
	deflated := append([]byte(nil), p...)
	frame.Mask(deflated, mask, 0)
	if !startsWithMagic(deflated) {
		return nil, false, nil
	}
	msg, err = inflate(deflated, s.cfg.MaxMessage+int(s.client.in.Extra))
	return msg, true, err
}

func (s *Session) inflate(payload []byte) ([]byte, error) { return inflate(payload, s.cfg.MaxMessage) }

func inflate(payload []byte, limit int) ([]byte, error) {
	out, err := deflate.Inflate(nil, payload, limit)
	if errors.Is(err, deflate.ErrTooBig) {
		return nil, &frame.TooBigError{Limit: limit}
	}
	if err != nil {
		return nil, frame.ProtocolError("compressed data is corrupt")
	}
	return out, nil
}

// stripEscape returns the frame that carries an ESCAPED message's original to
// the app. orig is not masked.
func (s *Session) stripEscape(orig []byte) []byte {
	return frame.Append(nil, s.cfg.masked(ws.OpBinary), orig)
}

// masked is the header of a frame that we make for the app.
func (c *Config) masked(opcode ws.OpCode) ws.Header {
	r := c.Random()
	return ws.Header{Fin: true, OpCode: opcode, Masked: true, Mask: [4]byte{byte(r), byte(r >> 8), byte(r >> 16), byte(r >> 24)}}
}

// outboundFrame returns what travels to the client for a message of the app,
// and the parts of it: nearly always the message as it is (I7).
func (s *Session) outboundFrame(m *frame.Message) ([]byte, error) {
	payload := m.Payload()
	if m.Compressed() {
		return s.outboundCompressed(m, payload)
	}
	if m.OpCode == ws.OpBinary && wire.IsMagic(payload) && s.escapes() {
		return escaped(payload), nil
	}
	return m.Raw, nil
}

// escaped is the frame of an ESCAPED message (PROTOCOL §3.2).
func escaped(payload []byte) []byte {
	b := frame.AppendHeader(nil, ws.Header{Fin: true, OpCode: ws.OpBinary, Length: int64(wire.EscapeLen + len(payload))})
	return append(wire.AppendEscape(b), payload...)
}

func (s *Session) outboundCompressed(m *frame.Message, payload []byte) ([]byte, error) {
	magic := m.OpCode == ws.OpBinary && s.escapes() && startsWithMagic(payload)
	if !magic && s.client.deflate {
		return m.Raw, nil
	}
	plain, err := s.inflate(payload)
	if err != nil {
		return nil, err
	}
	if magic {
		return escaped(plain), nil
	}
	return frame.Append(nil, ws.Header{Fin: true, OpCode: m.OpCode}, plain), nil
}
