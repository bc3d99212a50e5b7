// Package keyring seals small things with AES-256-GCM under a list of keys:
// the first key seals, all of them open, so keys rotate without a cut
// (DESIGN §3.6).
//
// A sealed text is
//
//	key id 4 B | nonce 12 B | ciphertext and tag
//
// The nonce is random, which is safe for 2^32 texts per key (NIST SP 800-38D
// section 8.3); a busy sidecar fleet rotates its keys before that.
package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

const (
	// KeySize is the length of a key in bytes: AES-256.
	KeySize = 32

	// Overhead is how many bytes a sealed text is longer than its plaintext.
	Overhead = idSize + nonceSize + tagSize

	idSize    = 4
	nonceSize = 12 // what GCM takes without hashing it first
	tagSize   = 16
)

var (
	// ErrUnknownKey means that the text names a key that the ring lacks: a
	// retired one, or another deployment's.
	ErrUnknownKey = errors.New("keyring: sealed with an unknown key")

	// ErrSealed means that the text is too short or does not authenticate
	// together with its additional data.
	ErrSealed = errors.New("keyring: not a sealed text of this ring")
)

// A Ring is an ordered list of keys. It never changes and is safe for
// concurrent use.
type Ring struct {
	keys []key // never empty; the first one seals
}

// A key keeps its secret for Derive, and no method ever prints it.
type key struct {
	secret []byte
	id     [idSize]byte
	aead   cipher.AEAD
}

// New makes a ring of keys of KeySize bytes each. It refuses an empty list,
// another length, the all-zero key (an unset variable, not a secret), and a
// key that is listed twice. Errors name a key by its place, never by content.
func New(keys [][]byte) (*Ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("keyring: no keys: one is needed to seal")
	}
	r := &Ring{}
	for i, secret := range keys {
		if len(secret) != KeySize {
			return nil, fmt.Errorf("keyring: key %d: %d bytes, must be %d", i+1, len(secret), KeySize)
		}
		if bytes.Equal(secret, make([]byte, KeySize)) {
			return nil, fmt.Errorf("keyring: key %d: all zero", i+1)
		}
		k, err := newKey(secret)
		if err != nil {
			return nil, err
		}
		for j := range r.keys {
			// Two keys with one id could not be told apart in a sealed text,
			// so the chance in 2^32 is refused along with the true duplicate.
			if r.keys[j].id == k.id {
				return nil, fmt.Errorf("keyring: key %d: the same as key %d", i+1, j+1)
			}
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

// Generate returns a new random key of KeySize bytes.
func Generate() []byte {
	secret := make([]byte, KeySize)
	rand.Read(secret) // never fails (crypto/rand)
	return secret
}

// Derive returns a ring of keys that belong to purpose alone (HKDF-SHA256,
// RFC 5869), in the same order. What one purpose sealed, another cannot open,
// and the nonces of one do not count against the other.
func (r *Ring) Derive(purpose string) *Ring {
	d := &Ring{}
	for _, k := range r.keys {
		secret, err := hkdf.Key(sha256.New, k.secret, nil, "wsresilience "+purpose, KeySize)
		if err != nil {
			panic("keyring: derive: " + err.Error()) // only for absurd lengths
		}
		derived, err := newKey(secret)
		if err != nil {
			panic("keyring: derive: " + err.Error())
		}
		d.keys = append(d.keys, derived)
	}
	return d
}

// Seal appends the sealed plaintext to dst. The additional data aad is bound
// to it, not stored: Open needs the same.
func (r *Ring) Seal(dst, plaintext, aad []byte) []byte {
	k := &r.keys[0]
	dst = slices.Grow(dst, len(plaintext)+Overhead)
	dst = append(dst, k.id[:]...)
	at := len(dst)
	dst = dst[:at+nonceSize]
	nonce := dst[at:]
	rand.Read(nonce) // never fails (crypto/rand)
	return k.aead.Seal(dst, nonce, plaintext, aad)
}

// Open appends the plaintext of sealed to dst. Its error is ErrUnknownKey or
// ErrSealed; dst is then returned unchanged.
func (r *Ring) Open(dst, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return dst, ErrSealed
	}
	id := [idSize]byte(sealed)
	for i := range r.keys {
		if r.keys[i].id != id {
			continue
		}
		nonce, text := sealed[idSize:idSize+nonceSize], sealed[idSize+nonceSize:]
		out, err := r.keys[i].aead.Open(dst, nonce, text, aad)
		if err != nil {
			return dst, ErrSealed
		}
		return out, nil
	}
	return dst, ErrUnknownKey
}

// newKey prepares a key. Its id is derived by HKDF too, so it tells nothing
// of the key.
func newKey(secret []byte) (key, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return key{}, fmt.Errorf("keyring: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return key{}, fmt.Errorf("keyring: %w", err)
	}
	id, err := hkdf.Key(sha256.New, secret, nil, "wsresilience key id", idSize)
	if err != nil {
		return key{}, fmt.Errorf("keyring: %w", err)
	}
	return key{secret: bytes.Clone(secret), id: [idSize]byte(id), aead: aead}, nil
}
