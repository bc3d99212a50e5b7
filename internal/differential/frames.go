package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
)

// generatedFrames returns n exchanges of WebSockets with frames of all kinds, of
// which the last ends it. The same seed gives the same.
func generatedFrames(seed uint64, n int) (list []exchange) {
	r := rand.New(rand.NewPCG(seed, 2))
	for i := range n {
		g := frames{r: r, compresses: r.IntN(3) == 0}
		head := get("/ws", key)
		if g.compresses {
			head = get("/ws", key+"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n")
		}
		for range r.IntN(8) {
			g.add()
		}
		g.end()
		x := exchange{name: fmt.Sprintf("frames %d", i), websocket: true, steps: []step{{send: head, answers: []string{"GET"}}}}
		x.steps = append(x.steps, g.cut()...)
		list = append(list, x)
	}
	return list
}

// frames are what a client sends.
type frames struct {
	r          *rand.Rand
	compresses bool
	out        []byte
}

// add adds a message, in parts or not, or a control frame.
func (g *frames) add() {
	switch g.r.IntN(6) {
	case 0:
		g.control()
	case 1:
		op := ws.OpText
		for range 1 + g.r.IntN(4) {
			g.put(ws.Header{OpCode: op}, g.content(200))
			op = ws.OpContinuation
			if g.r.IntN(2) == 0 {
				g.control()
			}
		}
		g.put(ws.Header{Fin: true, OpCode: op}, g.content(200))
	case 2:
		if g.compresses {
			g.put(ws.Header{Fin: true, OpCode: ws.OpBinary, Rsv: frame.RSV1}, compressed(g.content(2000)))
			return
		}
		fallthrough
	default:
		size := []int{0, 1, 125, 126, 1000, 20_000}[g.r.IntN(6)]
		g.put(ws.Header{Fin: true, OpCode: []ws.OpCode{ws.OpText, ws.OpBinary}[g.r.IntN(2)]}, g.content(size))
	}
}

func (g *frames) control() {
	g.put(ws.Header{Fin: true, OpCode: []ws.OpCode{ws.OpPing, ws.OpPong}[g.r.IntN(2)]}, g.content(125))
}

// end ends the connection, in a proper way or in another one.
func (g *frames) end() {
	proper := []byte{0x03, 0xe8}
	switch g.r.IntN(8) {
	case 0:
		g.put(ws.Header{Fin: true, OpCode: 3 + ws.OpCode(g.r.IntN(5))}, nil)
	case 1:
		g.put(ws.Header{Fin: true, OpCode: ws.OpText, Rsv: byte(2 + g.r.IntN(2))}, g.content(5))
	case 2:
		g.put(ws.Header{Fin: true, OpCode: ws.OpContinuation}, g.content(5))
	case 3:
		g.put(ws.Header{Fin: true, OpCode: ws.OpClose}, binary.BigEndian.AppendUint16(nil, uint16(g.r.IntN(6000))))
	case 4:
		g.put(ws.Header{Fin: true, OpCode: ws.OpClose}, append(proper, g.content(60)...))
	case 5:
		g.put(ws.Header{OpCode: ws.OpPing}, g.content(5))
	default:
		g.put(ws.Header{Fin: true, OpCode: ws.OpClose}, proper)
	}
}

// put adds a frame with any mask, and now and then with a longer length than it
// needs.
func (g *frames) put(h ws.Header, payload []byte) {
	h.Masked = true
	if g.r.IntN(4) > 0 {
		binary.BigEndian.PutUint32(h.Mask[:], g.r.Uint32())
	}
	if h.OpCode.IsControl() || g.r.IntN(8) > 0 || len(payload) > 125 {
		g.out = frame.Append(g.out, h, payload)
		return
	}
	b := frame.Append(nil, h, payload)
	g.out = append(g.out, b[0])
	if g.r.IntN(2) == 0 {
		g.out = append(g.out, 0x80|126)
		g.out = binary.BigEndian.AppendUint16(g.out, uint16(len(payload)))
	} else {
		g.out = append(g.out, 0x80|127)
		g.out = binary.BigEndian.AppendUint64(g.out, uint64(len(payload)))
	}
	g.out = append(g.out, b[2:]...)
}

// content is up to size bytes of text.
func (g *frames) content(size int) []byte {
	return []byte(strings.Repeat("abcdefgh", size/8+1)[:g.r.IntN(size+1)])
}

func compressed(p []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.DefaultCompression)
	_, _ = w.Write(p)
	_ = w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff}) // RFC 7692 §7.2.1
}

// cut cuts what is sent into segments anywhere. Then the client sends no more, for
// not every server takes the end for one.
func (g *frames) cut() (steps []step) {
	s := string(g.out)
	for g.r.IntN(2) == 0 && len(s) > 1 {
		n := 1 + g.r.IntN(len(s)-1)
		steps = append(steps, step{send: s[:n], switched: true})
		s = s[n:]
	}
	return append(steps, step{send: s, until: "\x88", soon: true, switched: true}, step{half: true, switched: true})
}
