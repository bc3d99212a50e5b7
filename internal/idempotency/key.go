package idempotency

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// A Key is what a message acts once under: a hash of the rule, of whose key it is,
// and of what the message has there. Nothing of these can be read from it.
type Key [16]byte

// String is the key as stores name it: 22 characters of base64url.
func (k Key) String() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// makeKey hashes the parts, so that no two lists of parts are one.
func makeKey(parts ...[]byte) (k Key) {
	h := sha256.New()
	var size [4]byte
	for _, p := range parts {
		binary.BigEndian.PutUint32(size[:], uint32(len(p)))
		h.Write(size[:])
		h.Write(p)
	}
	copy(k[:], h.Sum(nil))
	return k
}
