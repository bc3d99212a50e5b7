package frame

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/gobwas/ws"
)

// Both ways of masking do what RFC 6455 §5.3 says, byte by byte, whatever the
// size, the offset and the alignment.
func TestMask(t *testing.T) {
	key := [4]byte{1, 2, 3, 4}
	for size := range 3 * minVectorMask {
		for offset := range 9 {
			got := make([]byte, offset+size)[offset:]
			want := make([]byte, size)
			for i := range want {
				got[i] = byte(i)
				want[i] = byte(i) ^ key[(offset+i)%4]
			}
			Mask(got, key, offset)
			if !bytes.Equal(got, want) {
				t.Fatalf("%d bytes at offset %d: %x, want %x", size, offset, got, want)
			}
		}
	}
}

// BenchmarkMask shows minVectorMask: below it words are faster, above it the
// vector code.
func BenchmarkMask(b *testing.B) {
	key := [4]byte{1, 2, 3, 4}
	for _, size := range []int{13, 32, 64, 128, 256, 1 << 10, 4 << 10, 64 << 10} {
		p := make([]byte, size)
		for name, mask := range map[string]func([]byte, [4]byte, int){"words": maskWords, "vector": ws.Cipher, "Mask": Mask} {
			b.Run(strconv.Itoa(size)+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					mask(p, key, 0)
				}
			})
		}
	}
}
