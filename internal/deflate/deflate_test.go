package deflate

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// compress is what an endpoint without context takeover does (RFC 7692
// §7.2.1).
func compress(t testing.TB, data []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of RFC 7692 §7.2.3, and payloads that must fail.
func TestInflate(t *testing.T) {
	for _, tc := range []struct {
		name, hex, want string
		err             error
	}{
		{"7.2.3.1 one block", "f2 48 cd c9 c9 07 00", "Hello", nil},
		{"7.2.3.3 no compression", "00 05 00 fa ff 48 65 6c 6c 6f 00", "Hello", nil},
		{"7.2.3.4 final block", "f3 48 cd c9 c9 07 00 00", "Hello", nil},
		{"final block and nothing behind it", "f3 48 cd c9 c9 07 00", "Hello", nil},
		{"7.2.3.5 two blocks", "f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello", nil},
		{"7.2.3.6 empty message", "00", "", nil},
		{"no bytes at all", "", "", nil},
		{"two final blocks", "f3 48 cd c9 c9 07 00 f3 48 cd c9 c9 07 00 00", "HelloHello", nil},
		{"reserved block type", "07", "", ErrCorrupt},
		{"stored length and its complement differ", "00 05 00 00 00 48", "", ErrCorrupt},
		{"distance before the start", "4a 04 22", "", ErrCorrupt},
		{"cut in the middle", "f2 48 cd", "", ErrCorrupt},
		{"text", hex.EncodeToString([]byte("GET / HTTP/1.1")), "", ErrCorrupt},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dst := []byte("before")
			got, err := Inflate(dst, unhex(t, tc.hex), 1000)
			if !errors.Is(err, tc.err) || string(got) != "before"+tc.want {
				t.Errorf("Inflate = %q, %v, want %q, %v", got, err, tc.want, tc.err)
			}
			got, err = Prefix(dst, unhex(t, tc.hex), 1000)
			if !errors.Is(err, tc.err) || err == nil && string(got) != "before"+tc.want {
				t.Errorf("Prefix = %q, %v, want %q, %v", got, err, tc.want, tc.err)
			}
		})
	}
}

// W23: a bomb is stopped at the limit, and a message of just the limit passes.
func TestLimit(t *testing.T) {
	bomb := compress(t, make([]byte, 16<<20), flate.BestCompression)
	out, err := Inflate(nil, bomb, 1<<20)
	if !errors.Is(err, ErrTooBig) {
		t.Fatalf("16 MiB from %d bytes: %v, want %v", len(bomb), err, ErrTooBig)
	}
	if cap(out) > 3<<20 {
		t.Errorf("%d bytes were held for a limit of 1 MiB", cap(out))
	}
	exact := compress(t, make([]byte, 1000), flate.BestCompression)
	if out, err := Inflate(nil, exact, 1000); err != nil || len(out) != 1000 {
		t.Errorf("1000 bytes with a limit of 1000: %d bytes, %v", len(out), err)
	}
	if _, err := Inflate(nil, exact, 999); !errors.Is(err, ErrTooBig) {
		t.Errorf("1000 bytes with a limit of 999: %v, want %v", err, ErrTooBig)
	}
	finals := bytes.Repeat([]byte("\x03\x00"), maxStreams+1)
	if _, err := Inflate(nil, finals, 1000); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%d final blocks: %v, want %v", maxStreams+1, err, ErrCorrupt)
	}
	if _, err := Prefix(nil, finals, 1000); !errors.Is(err, ErrCorrupt) {
		t.Errorf("prefix of %d final blocks: %v, want %v", maxStreams+1, err, ErrCorrupt)
	}
}

// samples are texts that exercise stored, fixed and dynamic blocks with long
// codes and long distances.
func samples() [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 70_000)
	skewed := make([]byte, 70_000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
		skewed[i] = byte(random.ExpFloat64() * 12)
	}
	return [][]byte{
		[]byte("Hello"), noise, skewed, noise[:1],
		[]byte(strings.Repeat(`{"type":"tick","price":10.25}`, 2000)),
		append(append([]byte(nil), noise[:32_000]...), noise[:32_000]...),
	}
}

func TestPrefixOfAll(t *testing.T) {
	for _, data := range samples() {
		for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, flate.BestSpeed, flate.BestCompression} {
			payload := compress(t, data, level)
			for _, n := range []int{1, 5, 258, len(data) + 1} {
				got, err := Prefix(nil, payload, n)
				if want := data[:min(n, len(data))]; err != nil || !bytes.Equal(got, want) {
					t.Fatalf("level %d, %d of %d bytes: %d bytes, %v", level, n, len(data), len(got), err)
				}
			}
		}
	}
}

func TestAllocations(t *testing.T) {
	for i, data := range samples() {
		payload := compress(t, data, flate.DefaultCompression)
		dst := make([]byte, 0, 8)
		if n := testing.AllocsPerRun(100, func() { _, _ = Prefix(dst, payload, 5) }); n != 0 {
			t.Errorf("sample %d: Prefix allocates %v times", i, n)
		}
	}
}

// FuzzInflate compares Inflate and Prefix with each other and with their
// bounds, on bytes from a hostile peer.
func FuzzInflate(f *testing.F) {
	for _, data := range samples() {
		f.Add(compress(f, data[:min(len(data), 2000)], flate.DefaultCompression), 5)
	}
	f.Add(unhex(f, "f348cdc9c9070000"), 1000)
	f.Add(unhex(f, "00"), 1)
	f.Fuzz(func(t *testing.T, payload []byte, n int) {
		const limit = 1 << 16
		n = max(0, min(n, limit))
		all, err := Inflate(nil, payload, limit)
		head, headErr := Prefix(nil, payload, n)
		if len(all) > limit || len(head) > n {
			t.Fatalf("%d and %d bytes, limits %d and %d", len(all), len(head), limit, n)
		}
		if err == nil {
			if want := all[:min(n, len(all))]; headErr != nil || !bytes.Equal(head, want) {
				t.Fatalf("prefix %x, %v; want %x", head, headErr, want)
			}
		}
		if headErr == nil && len(head) < n && err != nil {
			t.Fatalf("Prefix took for whole what Inflate refuses: %v", err)
		}
	})
}

// FuzzRoundTrip inflates what compress/flate made.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("Hello"), 1)
	f.Add([]byte{}, 9)
	f.Fuzz(func(t *testing.T, data []byte, level int) {
		level = flate.HuffmanOnly + int(uint(level)%12)
		payload := compress(t, data, level)
		got, err := Inflate(nil, payload, len(data))
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("level %d: %x, %v; want %x", level, got, err, data)
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	payload := compress(b, samples()[4][:1024], flate.DefaultCompression)
	dst := make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = Inflate(dst, payload, 2048)
	}
}
