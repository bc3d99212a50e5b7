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
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
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

// A Ring is an ordered list of keys, which Replace may change. It is safe for
// concurrent use, but for two calls of Replace.
type Ring struct {
	keys    atomic.Pointer[keyset] // of a derived ring: as of its parent's last look
	parent  *Ring                  // nil: not derived
	purpose string
}

// A keyset never changes.
type keyset struct {
	list []key   // never empty; the first one seals
	from *keyset // of a derived one: what it was made of
}

// A key keeps its secret for Derive, and no method ever prints it.
type key struct {
	secret []byte
	id     [idSize]byte
	aead   cipher.AEAD
	uses   *uses // with those of the keys that are derived from it
}

type uses struct {
	id             string // of the key that was given, in hexadecimal
	sealed, opened atomic.Uint64
}

// A Usage is what one key that was given has done so far, for all purposes. Its
// ID tells nothing of the key.
type Usage struct {
	ID             string
	Sealed, Opened uint64
}

// New makes a ring of keys of KeySize bytes each. It refuses an empty list,
// another length, the all-zero key (an unset variable, not a secret), and a
// key that is listed twice. Errors name a key by its place, never by content.
func New(keys [][]byte) (*Ring, error) {
	set, err := newKeyset(keys)
	if err != nil {
		return nil, err
	}
	r := new(Ring)
	r.keys.Store(set)
	return r, nil
}

// Replace makes keys the ring's, and what is derived from them those of the rings
// that are derived from it. A key that stays goes on counting its uses. An error
// is one of New, and changes nothing.
func (r *Ring) Replace(keys [][]byte) error {
	set, err := newKeyset(keys)
	if err != nil {
		return err
	}
	for i := range set.list {
		for _, k := range r.current().list {
			if set.list[i].id == k.id {
				set.list[i].uses = k.uses
			}
		}
	}
	r.keys.Store(set)
	return nil
}

// Usage returns what each key has done, in their order.
func (r *Ring) Usage() (list []Usage) {
	for _, k := range r.current().list {
		list = append(list, Usage{k.uses.id, k.uses.sealed.Load(), k.uses.opened.Load()})
	}
	return list
}

func newKeyset(keys [][]byte) (*keyset, error) {
	if len(keys) == 0 {
		return nil, errors.New("keyring: no keys: one is needed to seal")
	}
	r := &keyset{}
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
		for j := range r.list {
			// Two keys with one id could not be told apart in a sealed text,
			// so the chance in 2^32 is refused along with the true duplicate.
			if r.list[j].id == k.id {
				return nil, fmt.Errorf("keyring: key %d: the same as key %d", i+1, j+1)
			}
		}
		k.uses = &uses{id: hex.EncodeToString(k.id[:])}
		r.list = append(r.list, k)
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
	d := &Ring{parent: r, purpose: purpose}
	d.current()
	return d
}

// current returns the keys as they are now.
func (r *Ring) current() *keyset {
	if r.parent == nil {
		return r.keys.Load()
	}
	from, set := r.parent.current(), r.keys.Load()
	if set == nil || set.from != from {
		set = from.derive(r.purpose)
		r.keys.Store(set) // as anybody else does who finds it stale
	}
	return set
}

func (s *keyset) derive(purpose string) *keyset {
	d := &keyset{from: s}
	for _, k := range s.list {
		secret, err := hkdf.Key(sha256.New, k.secret, nil, "wsresilience "+purpose, KeySize)
		if err != nil {
			panic("keyring: derive: " + err.Error()) // only for absurd lengths
		}
		derived, err := newKey(secret)
		if err != nil {
			panic("keyring: derive: " + err.Error())
		}
		derived.uses = k.uses
		d.list = append(d.list, derived)
	}
	return d
}

// Seal appends the sealed plaintext to dst. The additional data aad is bound
// to it, not stored: Open needs the same.
func (r *Ring) Seal(dst, plaintext, aad []byte) []byte {
	k := &r.current().list[0]
	k.uses.sealed.Add(1)
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
	id, keys := [idSize]byte(sealed), r.current().list
	for i := range keys {
		if keys[i].id != id {
			continue
		}
		nonce, text := sealed[idSize:idSize+nonceSize], sealed[idSize+nonceSize:]
		out, err := keys[i].aead.Open(dst, nonce, text, aad)
		if err != nil {
			return dst, ErrSealed
		}
		keys[i].uses.opened.Add(1)
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
