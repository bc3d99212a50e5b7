package upgrade

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
)

// A Digest hashes lists such that no two different ones look alike: every
// text is preceded by its length, every list by its name and its number.
type Digest struct{ hash.Hash }

// NewDigest returns one of nothing.
func NewDigest() Digest { return Digest{sha256.New()} }

// Add hashes a list under a name.
func (d Digest) Add(name string, values []string) {
	d.text(name)
	d.number(len(values))
	for _, v := range values {
		d.text(v)
	}
}

func (d Digest) text(s string) {
	d.number(len(s))
	_, _ = io.WriteString(d, s) // a hash takes everything
}

func (d Digest) number(n int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	_, _ = d.Write(b[:])
}
