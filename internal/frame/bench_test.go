package frame

import (
	"strconv"
	"testing"

	"github.com/gobwas/ws"
)

// What a message costs that came as one frame, whatever its size.
func BenchmarkNext(b *testing.B) {
	for _, size := range []int{13, 1 << 10, 128 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			in := Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true}, make([]byte, size))
			m := Messages{Rules: client, Max: size, Buffers: new(Buffers)}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, ok, err := m.Next(in); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	in := Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true}, make([]byte, 128))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Parse(in); err != nil {
			b.Fatal(err)
		}
	}
}
