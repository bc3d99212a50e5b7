package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
)

// conformance are exchanges of WebSockets by the kinds that conformance suites
// have: framing, pings, reserved bits and opcodes, fragments, UTF-8, closes, limits,
// compression. How a server judges them is its own; behind a sidecar it is the same.
func conformance() (list []exchange) {
	c := cases{}
	c.framing()
	c.pings()
	c.reserved()
	c.fragments()
	c.text()
	c.closes()
	c.limits()
	c.compression()
	return c.list
}

// cases collects exchanges.
type cases struct{ list []exchange }

// add adds one whose frames come in the pieces.
func (c *cases) add(name string, pieces ...[]byte) {
	c.put(name, key, pieces)
}

func (c *cases) put(name, fields string, pieces [][]byte) {
	x := exchange{name: name, websocket: true, steps: []step{{send: get("/ws", fields), answers: []string{"GET"}}}}
	for i, p := range pieces {
		s := step{send: string(p), switched: true}
		if i == len(pieces)-1 {
			s.until, s.soon = "\x88", true
		}
		x.steps = append(x.steps, s)
	}
	c.list = append(c.list, x, x)
	// Once as it is, and once octet by octet, as far as that is not too long.
	last := &c.list[len(c.list)-1]
	all := bytes.Join(pieces, nil)
	if len(all) > 100 {
		c.list = c.list[:len(c.list)-1]
		return
	}
	last.name += ", octet by octet"
	last.steps = []step{last.steps[0]}
	for i := range all {
		last.steps = append(last.steps, step{send: string(all[i : i+1]), switched: true})
	}
	last.steps[len(last.steps)-1].until, last.steps[len(last.steps)-1].soon = "\x88", true
}

var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

func clientFrame(h ws.Header, payload []byte) []byte {
	h.Masked, h.Mask = true, mask
	return frame.Append(nil, h, payload)
}

func message(op ws.OpCode, payload string) []byte {
	return clientFrame(ws.Header{Fin: true, OpCode: op}, []byte(payload))
}

func part(op ws.OpCode, fin bool, payload string) []byte {
	return clientFrame(ws.Header{Fin: fin, OpCode: op}, []byte(payload))
}

func closing(code int, reason string) []byte {
	return message(ws.OpClose, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

func join(list ...[]byte) []byte { return bytes.Join(list, nil) }

var bye = closing(1000, "")

func (c *cases) framing() {
	for _, op := range []ws.OpCode{ws.OpText, ws.OpBinary} {
		for _, size := range []int{0, 1, 125, 126, 127, 128, 65535, 65536} {
			content := strings.Repeat("*", size)
			c.add(fmt.Sprintf("1 a message of %d bytes, opcode %d", size, op), join(message(op, content), bye))
			if size > 100 {
				all := join(message(op, content), bye)
				c.add(fmt.Sprintf("1 a message of %d bytes in pieces, opcode %d", size, op), all[:3], all[3:9], all[9:97], all[97:])
			}
		}
	}
	// Lengths of more octets than are needed, and one with the highest bit.
	for name, head := range map[string]string{
		"16 bits": "\x81\xfe\x00\x05", "64 bits": "\x81\xff\x00\x00\x00\x00\x00\x00\x00\x05", "of a ping": "\x89\xfe\x00\x05",
	} {
		c.add("1 a length that could be shorter, "+name, join([]byte(head+"\x00\x00\x00\x00hello"), bye))
	}
	c.add("1 a length with the highest bit", []byte("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00hello"))
	c.add("1 no mask", []byte("\x81\x05hello"), bye)
	c.add("1 a mask of zeros", []byte("\x81\x85\x00\x00\x00\x00hello"), bye)
}

func (c *cases) pings() {
	for name, payload := range map[string]string{
		"empty": "", "text": "Hello, world!", "13 bytes": "\x00wsr-123\xff\xfe\xfd\xfc\xfb", "binary": "\x00\xff\xfe\xfd\xfc\xfb\x00\xff", "125 bytes": strings.Repeat("\xfe", 125), "126 bytes": strings.Repeat("\xfe", 126),
	} {
		c.add("2 a ping, "+name, join(message(ws.OpPing, payload), bye))
		c.add("2 a pong unasked, "+name, join(message(ws.OpPong, payload), message(ws.OpPing, "x"), bye))
	}
	var ten []byte
	for i := range 10 {
		ten = append(ten, message(ws.OpPing, fmt.Sprint("payload-", i))...)
	}
	c.add("2 ten pings", join(ten, bye))
	c.add("2 ten pings in pieces", ten[:7], ten[7:50], ten[50:], bye)
}

func (c *cases) reserved() {
	hello := message(ws.OpText, "hello")
	for rsv := byte(1); rsv < 8; rsv++ {
		for name, h := range map[string]ws.Header{
			"text": {Fin: true, OpCode: ws.OpText}, "ping": {Fin: true, OpCode: ws.OpPing}, "close": {Fin: true, OpCode: ws.OpClose},
		} {
			h.Rsv = rsv
			c.add(fmt.Sprintf("3 reserved bits %d, %s", rsv, name), join(hello, clientFrame(h, nil), message(ws.OpPing, "")))
		}
	}
	for _, op := range []ws.OpCode{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		c.add(fmt.Sprintf("4 opcode %d", op), join(hello, message(op, ""), message(ws.OpPing, "")))
		c.add(fmt.Sprintf("4 opcode %d with a payload", op), hello, join(message(op, "odd"), message(ws.OpPing, "")))
	}
}

func (c *cases) fragments() {
	ping := message(ws.OpPing, "ping")
	for name, frames := range map[string][][]byte{
		"a ping in two":                   {part(ws.OpPing, false, "a"), part(ws.OpContinuation, true, "b")},
		"a pong in two":                   {part(ws.OpPong, false, "a"), part(ws.OpContinuation, true, "b")},
		"a close in two":                  {part(ws.OpClose, false, "\x03\xe8"), part(ws.OpContinuation, true, "")},
		"text in two":                     {part(ws.OpText, false, "frag"), part(ws.OpContinuation, true, "ment")},
		"binary in three":                 {part(ws.OpBinary, false, "a"), part(ws.OpContinuation, false, "b"), part(ws.OpContinuation, true, "c")},
		"empty ones":                      {part(ws.OpText, false, ""), part(ws.OpContinuation, false, ""), part(ws.OpContinuation, true, "")},
		"an empty end":                    {part(ws.OpText, false, "x"), part(ws.OpContinuation, true, "")},
		"a ping in between":               {part(ws.OpText, false, "frag"), ping, part(ws.OpContinuation, true, "ment")},
		"pings in between":                {part(ws.OpText, false, "a"), ping, part(ws.OpContinuation, false, "b"), ping, ping, part(ws.OpContinuation, true, "c")},
		"a pong in between":               {part(ws.OpText, false, "a"), message(ws.OpPong, "x"), part(ws.OpContinuation, true, "b")},
		"a close in between":              {part(ws.OpText, false, "a"), bye, part(ws.OpContinuation, true, "b")},
		"a continuation of nothing":       {part(ws.OpContinuation, true, "non"), message(ws.OpText, "hello")},
		"an open continuation":            {part(ws.OpContinuation, false, "non"), message(ws.OpText, "hello")},
		"a continuation behind a message": {message(ws.OpText, "hello"), part(ws.OpContinuation, true, "more")},
		"a message in a message":          {part(ws.OpText, false, "a"), message(ws.OpText, "hello")},
		"another kind in a message":       {part(ws.OpText, false, "a"), part(ws.OpBinary, true, "b")},
		"reserved bits in a continuation": {part(ws.OpText, false, "a"), clientFrame(ws.Header{Fin: true, OpCode: ws.OpContinuation, Rsv: 4}, []byte("b"))},
	} {
		c.add("5 "+name, join(join(frames...), bye))
		c.add("5 "+name+", apart", append(frames, bye)...)
	}
}

func (c *cases) text() {
	for name, s := range map[string]string{
		"valid":                   "Hello-µ@ßöäüàá-UTF-8!!",
		"four octets":             "\xf0\x9f\x98\x80",
		"the last code point":     "\xf4\x8f\xbf\xbf",
		"beyond the last":         "\xf4\x90\x80\x80",
		"a surrogate":             "\xed\xa0\x80",
		"an overlong slash":       "\xc0\xaf",
		"overlong, three octets":  "\xe0\x80\xaf",
		"overlong, four octets":   "\xf0\x80\x80\xaf",
		"a continuation alone":    "\x80",
		"a start alone":           "a\xc3",
		"three of four":           "\xf0\x9f\x98",
		"octet fe":                "\xfe",
		"five octets":             "\xf8\x88\x80\x80\x80",
		"valid, invalid, valid":   "κόσμε\xed\xa0\x80edited",
		"noncharacter":            "\xef\xbf\xbe",
		"NUL":                     "a\x00b",
		"replacement":             "\xef\xbf\xbd",
		"cut in a code point, ok": "\xce\xba\xe1\xbd\xb9",
	} {
		c.add("6 "+name, join(message(ws.OpText, s), bye))
		var pieces [][]byte
		for i := range len(s) {
			op := ws.OpContinuation
			if i == 0 {
				op = ws.OpText
			}
			pieces = append(pieces, part(op, i == len(s)-1, s[i:i+1]))
		}
		c.add("6 "+name+", a fragment each", join(join(pieces...), bye))
	}
}

func (c *cases) closes() {
	c.add("7 a message, then a close", join(message(ws.OpText, "hello"), bye))
	c.add("7 no code", message(ws.OpClose, ""))
	c.add("7 one byte", message(ws.OpClose, "\x03"))
	c.add("7 a reason", closing(1000, "Hello World!"))
	c.add("7 a reason of 123 bytes", closing(1000, strings.Repeat("*", 123)))
	c.add("7 a reason of 124 bytes", closing(1000, strings.Repeat("*", 124)))
	c.add("7 a reason that is no UTF-8", closing(1000, "\xce\xba\xed\xa0\x80x"))
	c.add("7 a reason cut in a code point", closing(1000, "\xce"))
	c.add("7 two closes", join(bye, closing(1001, "")))
	c.add("7 a message behind a close", join(bye, message(ws.OpText, "hello")))
	c.add("7 a ping behind a close", join(bye, message(ws.OpPing, "hello")))
	c.add("7 a large message, then a close", join(message(ws.OpText, strings.Repeat("BAsd7&jh23", 26_000)), message(ws.OpText, "x"), bye))
	for _, code := range []int{
		0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016, 1100,
		2000, 2999, 3000, 3999, 4000, 4400, 4408, 4410, 4999, 5000, 65535,
	} {
		c.add(fmt.Sprintf("7 code %d", code), closing(code, ""))
		c.add(fmt.Sprintf("7 code %d with a reason", code), closing(code, "why"))
	}
}

func (c *cases) limits() {
	large := strings.Repeat("0123456789abcdef", 1<<16>>4)
	for _, n := range []int{1, 4, 16} {
		content := strings.Repeat(large, n)
		c.add(fmt.Sprintf("9 a message of %d KiB", n*64), join(message(ws.OpBinary, content), bye))
		for _, size := range []int{1024, 16 << 10} {
			var frames []byte
			for at := 0; at < len(content); at += size {
				op := ws.OpContinuation
				if at == 0 {
					op = ws.OpText
				}
				frames = append(frames, part(op, at+size >= len(content), content[at:at+size])...)
			}
			c.add(fmt.Sprintf("9 a message of %d KiB in fragments of %d", n*64, size), join(frames, bye))
		}
	}
	var many []byte
	for i := range 1000 {
		many = append(many, message(ws.OpBinary, strings.Repeat("x", i%130))...)
	}
	c.add("9 a thousand messages", join(many, bye))
	c.add("9 a thousand empty messages", join(bytes.Repeat(message(ws.OpText, ""), 1000), bye))
}

func (c *cases) compression() {
	for name, params := range map[string]string{
		"no parameters": "", "no takeover": "; server_no_context_takeover; client_no_context_takeover",
		"small windows": "; server_max_window_bits=9; client_max_window_bits", "an unknown parameter": "; foo=1",
		"windows of 15": "; server_max_window_bits=15; client_max_window_bits=15", "a window of 7": "; server_max_window_bits=7",
		"two offers": "; server_max_window_bits=10, permessage-deflate", "a doubled parameter": "; server_no_context_takeover; server_no_context_takeover",
	} {
		offer := key + "Sec-WebSocket-Extensions: permessage-deflate" + params + "\r\n"
		var frames []byte
		for _, size := range []int{0, 16, 1024, 40_000} {
			frames = append(frames, clientFrame(ws.Header{Fin: true, OpCode: ws.OpText, Rsv: frame.RSV1}, deflated(size))...)
		}
		c.put("12 "+name, offer, [][]byte{frames, bye})
		d := deflated(3000)
		c.put("13 "+name+", in fragments", offer, [][]byte{
			clientFrame(ws.Header{OpCode: ws.OpText, Rsv: frame.RSV1}, d[:10]), message(ws.OpPing, "x"), part(ws.OpContinuation, false, string(d[10:20])), part(ws.OpContinuation, true, string(d[20:])), bye,
		})
		c.put("13 "+name+", RSV1 in a continuation", offer, [][]byte{part(ws.OpText, false, "a"), clientFrame(ws.Header{Fin: true, OpCode: ws.OpContinuation, Rsv: frame.RSV1}, []byte("b")), bye})
		c.put("13 "+name+", what is no deflate", offer, [][]byte{clientFrame(ws.Header{Fin: true, OpCode: ws.OpText, Rsv: frame.RSV1}, []byte("hello")), bye})
	}
}

// deflated is text of that size as a message of permessage-deflate, of a window that
// all offers allow.
func deflated(size int) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.HuffmanOnly) // refers to nothing before
	for i := range size {
		_, _ = w.Write([]byte{"Lorem ipsum dolor sit amet, "[i%28]})
	}
	_ = w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}
