package doctor

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
)

// HTTP/2 as far as it is needed (RFC 9113 §4.1, §6.5; RFC 8441 §3).
const (
	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	frameHeaders  = 0x1
	frameReset    = 0x3
	frameSettings = 0x4
	frameGoAway   = 0x7
	flagAck       = 0x1
	flagHeaders   = 0x4 // END_HEADERS
	frameHead     = 9

	settingConnect = 0x8
	settingStreams = 0x3

	maxFrame = 1 << 14
)

// http2 asks what a server offers to who offers HTTP/2.
func (p *probe) http2(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.t.Timeout)
	defer cancel()
	var h diagnosis.Handshake
	c := p.t.dial(ctx, p.address, []string{"h2", "http/1.1"}, &h)
	if c == nil {
		return
	}
	defer c.Close()
	f := &diagnosis.HTTP2{Chosen: h.TLS != nil && h.TLS.ALPN == "h2"}
	if f.Chosen || !p.t.secure { // without TLS there is nobody to ask but by speaking it
		_ = c.SetDeadline(time.Now().Add(p.t.Timeout))
		p.t.speak(c, f)
	}
	p.note(func(facts *diagnosis.Facts) { facts.HTTP2 = f })
}

// frame2 writes a frame.
func frame2(kind, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// speak reads the settings, and tries an extended CONNECT if they allow one.
func (t *target) speak(c net.Conn, f *diagnosis.HTTP2) {
	if _, err := c.Write(append([]byte(preface), frame2(frameSettings, 0, 0, nil)...)); err != nil {
		return
	}
	br := bufio.NewReader(c)
	head := make([]byte, frameHead)
	for {
		if _, err := io.ReadFull(br, head); err != nil {
			return
		}
		n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if n > maxFrame {
			return
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(br, payload); err != nil {
			return
		}
		switch kind, flags := head[3], head[4]; {
		case kind == frameSettings && flags&flagAck == 0:
			f.Chosen = true
			settings(payload, f)
			_, _ = c.Write(frame2(frameSettings, flagAck, 0, nil))
			if !f.Connect {
				return
			}
			_, _ = c.Write(frame2(frameHeaders, flagHeaders, 1, t.connect()))
		case kind == frameHeaders && binary.BigEndian.Uint32(head[5:]) == 1:
			f.Status = status(payload, flags)
			_, _ = c.Write(frame2(frameReset, 0, 1, []byte{0, 0, 0, 8})) // CANCEL
			return
		case kind == frameReset, kind == frameGoAway:
			f.Status = -1
			return
		}
	}
}

func settings(p []byte, f *diagnosis.HTTP2) {
	for ; len(p) >= 6; p = p[6:] {
		switch value := binary.BigEndian.Uint32(p[2:]); binary.BigEndian.Uint16(p) {
		case settingConnect:
			f.Connect = value == 1
		case settingStreams:
			f.Streams = value
		}
	}
}

// connect is the header block of a WebSocket over HTTP/2 (RFC 8441 §5).
func (t *target) connect() []byte {
	var b writerTo
	e := hpack.NewEncoder(&b)
	field := func(name, value string) { _ = e.WriteField(hpack.HeaderField{Name: name, Value: value}) } // to memory
	field(":method", "CONNECT")
	field(":protocol", "websocket")
	field(":scheme", "https")
	field(":path", t.path)
	field(":authority", t.host)
	field("sec-websocket-version", "13")
	if o := t.origin(); o != "" {
		field("origin", o)
	}
	field("user-agent", t.UserAgent)
	return b
}

type writerTo []byte

func (w *writerTo) Write(p []byte) (int, error) { *w = append(*w, p...); return len(p), nil }

// status reads :status; 0 if it is not there.
func status(block []byte, flags byte) (code int) {
	if flags&0x8 != 0 && len(block) > 0 { // PADDED
		block = block[1:]
	}
	if flags&0x20 != 0 && len(block) >= 5 { // PRIORITY
		block = block[5:]
	}
	d := hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":status" && len(f.Value) == 3 {
			code = int(f.Value[0]-'0')*100 + int(f.Value[1]-'0')*10 + int(f.Value[2]-'0')
		}
	})
	_, _ = d.Write(block) // what could be read is enough
	return code
}
