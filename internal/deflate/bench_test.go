package deflate

import (
	"compress/flate"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// mqtt makes PUBLISH packets of sensors.
func mqtt(random *rand.Rand, size int) []byte {
	var b []byte
	for len(b) < size {
		payload := fmt.Sprintf(`{"t":%d,"v":%.2f}`, 1700000000+random.IntN(100000), random.Float64()*30)
		topic := fmt.Sprintf("site/%d/room/%d/temperature", random.IntN(9), random.IntN(40))
		b = append(b, 0x32, byte(2+len(topic)+2+len(payload)))
		b = binary.BigEndian.AppendUint16(b, uint16(len(topic)))
		b = append(b, topic...)
		b = binary.BigEndian.AppendUint16(b, uint16(random.IntN(65536)))
		b = append(b, payload...)
	}
	return b[:size]
}

// protobuf makes quotes.
func protobuf(random *rand.Rand, size int) []byte {
	var b []byte
	for len(b) < size {
		b = append(b, 0x0a, 30, 0x08)
		b = binary.AppendUvarint(b, random.Uint64N(1<<20))
		b = append(b, 0x11)
		b = binary.LittleEndian.AppendUint64(b, random.Uint64())
		b = append(b, 0x1a, 6)
		b = append(b, fmt.Sprintf("sym%03d", random.IntN(1000))...)
		b = append(b, 0x20)
		b = binary.AppendUvarint(b, 1700000000000+random.Uint64N(1<<20))
	}
	return b[:size]
}

// msgpack makes positions of players.
func msgpack(random *rand.Rand, size int) []byte {
	var b []byte
	for len(b) < size {
		b = append(b, 0x84, 0xa2, 'i', 'd', 0xce)
		b = binary.BigEndian.AppendUint32(b, random.Uint32N(1<<20))
		b = append(b, 0xa4, 'n', 'a', 'm', 'e', 0xa7)
		b = append(b, fmt.Sprintf("user%03d", random.IntN(1000))...)
		b = append(b, 0xa1, 'x', 0xcb)
		b = binary.BigEndian.AppendUint64(b, random.Uint64()>>2)
		b = append(b, 0xa1, 'y', 0xcb)
		b = binary.BigEndian.AppendUint64(b, random.Uint64()>>2)
	}
	return b[:size]
}

func noise(random *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func zeros(_ *rand.Rand, size int) []byte { return make([]byte, size) }

// BenchmarkPrefix looks for four bytes in messages of real binary protocols, as
// an endpoint compresses them, and in the best and the worst that there are.
func BenchmarkPrefix(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, protocol := range []struct {
		name string
		make func(*rand.Rand, int) []byte
	}{{"mqtt", mqtt}, {"protobuf", protobuf}, {"msgpack", msgpack}, {"noise", noise}, {"zeros", zeros}} {
		for _, size := range []int{100, 1 << 10, 16 << 10} {
			var payloads [64][]byte
			for i := range payloads {
				payloads[i] = compress(b, protocol.make(random, size), flate.DefaultCompression)
			}
			b.Run(fmt.Sprintf("%s/%d", protocol.name, size), func(b *testing.B) {
				dst := make([]byte, 0, 8)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					_, _ = Prefix(dst, payloads[i%len(payloads)], 4)
				}
			})
		}
	}
}
