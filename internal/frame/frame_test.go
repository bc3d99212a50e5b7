package frame

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var client = Rules{Masked: true}

// The rows W of docs/ATTACKS.md that a frame alone decides.
func TestAttackFrames(t *testing.T) {
	for _, tc := range []struct{ name, hex, want string }{
		{"W01 unmasked", "8105 48656c6c6f", "not masked"},
		{"W02 RSV1 without extension", "c185 00000000 48656c6c6f", "reserved bit"},
		{"W02 RSV2", "a185 00000000", "reserved bit"},
		{"W02 RSV3", "9185 00000000", "reserved bit"},
		{"W03 reserved opcode 3", "8385 00000000", "reserved opcode"},
		{"W03 reserved opcode 11", "8b80 00000000", "reserved opcode"},
		{"W04 ping of 126 bytes", "89fe 007e", "above 125"},
		{"W04 fragmented ping", "0980 00000000", "fragmented control"},
		{"W04 close of 126 bytes", "88fe 007e", "above 125"},
		{"W05 continuation first", "8081 00000000 41", "continuation of nothing"},
		{"W06 text inside text", "0181 00000000 41 8181 00000000 42", "inside a fragmented"},
		{"W07 length with its highest bit", "82ff 8000000000000000 00000000", "highest bit"},
		{"W07 length of ones", "82ff ffffffffffffffff", "highest bit"},
		{"W08 2^62", "82ff 4000000000000000 00000000", "above the limit"},
		{"W08 2^40", "82ff 0000010000000000 00000000", "above the limit"},
		{"W08 limit and one", "82fe 03e9 00000000", "above the limit"},
		{"W09 16 bit length not minimal", "82fe 0005 00000000", "not minimal"},
		{"W09 64 bit length not minimal", "82ff 0000000000000005 00000000", "not minimal"},
		{"W12 limit crossed by fragments", "02fe 03e8 00000000" + strings.Repeat("41", 1000) + "8081 00000000 41", "above the limit"},
		{"W23 RSV1 on a continuation", "4181 00000000 41 c081 00000000 41", "reserved bit"},
		{"W23 RSV1 on a ping", "c980 00000000", "reserved bit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := Messages{Rules: client, Max: 1000, Buffers: new(Buffers)}
			if strings.HasPrefix(tc.name, "W23") {
				m.Rules.Rsv = RSV1
			}
			_, _, ok, err := m.Next(unhex(t, tc.hex))
			if ok || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got ok %v, error %v; want %q", ok, err, tc.want)
			}
			var pe ProtocolError
			if big := strings.Contains(tc.want, "limit"); big != errors.Is(err, ErrTooBig) || big == errors.As(err, &pe) {
				t.Fatalf("error %T is of the wrong kind", err)
			}
		})
	}
}

func TestFragmentsJoin(t *testing.T) {
	for _, parts := range [][]string{
		{"hel", "", "lo, wor", "ld"}, {"", "hello, world"}, {"", "", "hello,", " world"}, {"hello, world", ""}, {"h", "ello, worl", "d"},
	} {
		t.Run(strings.Join(parts, "|"), func(t *testing.T) { fragmentsJoin(t, parts) })
	}
}

func fragmentsJoin(t *testing.T, parts []string) {
	keys := [][4]byte{{1, 2, 3, 4}, {9, 8, 7, 6}, {1, 2, 3, 4}}
	var in []byte
	for i, p := range parts {
		h := ws.Header{Masked: true, Mask: keys[i%3], Fin: i == len(parts)-1}
		if i == 0 {
			h.OpCode = ws.OpText
		}
		in = Append(in, h, []byte(p))
		if i == 0 { // between the first and the second
			in = Append(in, ws.Header{Fin: true, OpCode: ws.OpPing, Masked: true}, []byte("now"))
		}
	}
	m := Messages{Rules: client, Max: 100, Buffers: new(Buffers)}
	ping, n, ok, err := m.Next(in)
	if err != nil || !ok || ping.OpCode != ws.OpPing || string(ping.Payload()) != "now" {
		t.Fatalf("ping between fragments: %+v, %v, %v", ping, ok, err)
	}
	msg, k, ok, err := m.Next(in[n:])
	if err != nil || !ok || n+k != len(in) {
		t.Fatalf("message: ok %v, %d of %d bytes, %v", ok, n+k, len(in), err)
	}
	got, err := client.Parse(msg.Raw)
	if err != nil || !got.Fin || got.OpCode != ws.OpText || got.Total() != len(msg.Raw) {
		t.Fatalf("joined frame %+v: %v", got, err)
	}
	payload := bytes.Clone(msg.Payload())
	Mask(payload, msg.Mask, 0)
	if string(payload) != "hello, world" {
		t.Fatalf("payload %q", payload)
	}
	if _, _, ok, _ := m.Next(nil); ok || m.partial != nil {
		t.Fatal("an idle direction holds a buffer")
	}
}

// W11: endless tiny fragments cost their bytes and nothing else.
func TestTinyFragments(t *testing.T) {
	m := Messages{Rules: client, Max: 1000, Buffers: new(Buffers)}
	in := Append(nil, ws.Header{OpCode: ws.OpText, Masked: true}, nil)
	for range 100_000 {
		in = Append(in, ws.Header{Masked: true}, nil)
	}
	if _, n, ok, err := m.Next(in); ok || err != nil || n != len(in) {
		t.Fatalf("ok %v, %d of %d, %v", ok, n, len(in), err)
	}
	if len(m.partial.bytes) != ws.MaxHeaderSize {
		t.Fatalf("empty fragments hold %d bytes", len(m.partial.bytes))
	}
}

// alike reports whether two errors say the same.
func alike(a, b error) bool {
	return a == b || a != nil && b != nil && a.Error() == b.Error()
}

// However a stream is cut into reads, the same messages come out.
func FuzzMessagesCuts(f *testing.F) {
	f.Add([]byte{0x81, 0x85, 0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o', 0x89, 0x80, 1, 2, 3, 4}, uint8(3))
	f.Add([]byte{0x01, 0x81, 1, 2, 3, 4, 'h', 0x80, 0x81, 4, 3, 2, 1, 'i'}, uint8(1))
	f.Add([]byte{0x82, 0xfe, 0, 0x80, 1, 2, 3, 4}, uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		whole, werr := collect(in, len(in)+1)
		cut, cerr := collect(in, int(step)%7+1)
		if !alike(werr, cerr) || len(whole) != len(cut) {
			t.Fatalf("whole: %d messages, %v; cut: %d, %v", len(whole), werr, len(cut), cerr)
		}
		for i := range whole {
			if !bytes.Equal(whole[i], cut[i]) {
				t.Fatalf("message %d differs: % x, % x", i, whole[i], cut[i])
			}
		}
	})
}

func collect(in []byte, step int) (out [][]byte, err error) {
	m := Messages{Rules: Rules{Masked: true, Rsv: RSV1}, Max: 500, Buffers: new(Buffers)}
	var have []byte
	for len(in) > 0 {
		k := min(step, len(in))
		have = append(have, in[:k]...)
		in = in[k:]
		for {
			msg, n, ok, err := m.Next(have)
			if err != nil {
				return out, err
			}
			if ok {
				out = append(out, bytes.Clone(msg.Raw))
			}
			have = have[n:]
			if !ok {
				break
			}
		}
	}
	return out, nil
}

func FuzzHeaderRoundTrip(f *testing.F) {
	f.Add([]byte{0x81, 0x05})
	f.Add([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, r := range []Rules{{Masked: true, Rsv: AnyRSV}, {Rsv: RSV1}} {
			h, err := r.Parse(in)
			if err != nil {
				continue
			}
			if out := AppendHeader(nil, h.Header); h.Length < maxLength && !bytes.Equal(out, in[:h.Size]) {
				t.Fatalf("% x became % x", in[:h.Size], out)
			}
		}
	})
}

func TestNoAllocations(t *testing.T) {
	in := Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true}, make([]byte, 64))
	m := Messages{Rules: client, Max: 1000, Buffers: new(Buffers)}
	if n := testing.AllocsPerRun(100, func() {
		if _, _, ok, err := m.Next(in); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations for a message", n)
	}
}

// What fragments carry comes out joined, whatever their masks and sizes.
func FuzzJoin(f *testing.F) {
	f.Add([]byte("hello, world"), uint32(0x01020304), uint8(0), uint8(5), true)
	f.Add([]byte(""), uint32(7), uint8(1), uint8(1), false)
	f.Fuzz(func(t *testing.T, payload []byte, key uint32, a, b uint8, masked bool) {
		x := min(int(a), len(payload))
		y := min(x+int(b), len(payload))
		var in []byte
		for i, part := range [][]byte{payload[:x], payload[x:y], payload[y:]} {
			h := ws.Header{Fin: i == 2, Masked: masked, Mask: [4]byte{byte(key), byte(i), byte(key >> 8), byte(key >> 16)}}
			if !masked {
				h.Mask = [4]byte{}
			}
			if i == 0 {
				h.OpCode = ws.OpBinary
			}
			in = Append(in, h, part)
		}
		m := Messages{Rules: Rules{Masked: masked}, Max: len(payload), Buffers: new(Buffers)}
		msg, n, ok, err := m.Next(in)
		if err != nil || !ok || n != len(in) {
			t.Fatalf("ok %v, %d of %d bytes, %v", ok, n, len(in), err)
		}
		got := bytes.Clone(msg.Payload())
		if masked {
			Mask(got, msg.Mask, 0)
		}
		if !bytes.Equal(got, payload) {
			t.Fatalf("joined to % x, want % x", got, payload)
		}
	})
}
