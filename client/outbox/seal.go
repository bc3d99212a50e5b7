package outbox

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
)

// sealer encrypts what is in the file. A nonce of 12 random bytes stands in front
// of each text; NIST SP 800-38D §8.3 allows 2^32 of those with a key.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("outbox: key of %d bytes, want 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	return &sealer{aead}, nil
}

// seal returns text as it stands in the file. use keeps texts apart that mean
// something else. Without a key it is the text itself.
func (s *sealer) seal(text []byte, use string) []byte {
	if s == nil {
		return text
	}
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(text)+s.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return s.aead.Seal(nonce, nonce, text, []byte(use))
}

// open is the reverse of seal; its result is not that of the argument's memory.
func (s *sealer) open(sealed []byte, use string) ([]byte, error) {
	if s == nil {
		return append([]byte{}, sealed...), nil
	}
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, ErrKey
	}
	text, err := s.aead.Open([]byte{}, sealed[:n], sealed[n:], []byte(use))
	if err != nil {
		return nil, ErrKey
	}
	return text, nil
}
