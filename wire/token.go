package wire

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/wsresilience/wsresilience/internal/formats"
	"github.com/wsresilience/wsresilience/internal/instance"
)

// MaxAddress bounds the address of an owner: a host name of 253 bytes and a port
// would not fit, a pod's address does many times. MaxOwner bounds its name in a
// token.
const (
	MaxAddress = 128
	MaxOwner   = MaxAddress + instance.Overhead
)

// tokenVersion is the newest that this source code knows. It is the first byte of
// the plaintext.
const tokenVersion = 1

// TokenVersions are those that this program reads.
func TokenVersions() formats.Range {
	return formats.Range{Oldest: 1, Newest: formats.Newest(tokenVersion)}
}

// tokenAAD keeps a sealed token from passing for anything else that the same
// keys seal.
const tokenAAD = "wsr.v1 token"

// ErrToken is every reason why a token is not valid. The answer to a client
// is the same for all of them: RESET 2.
var ErrToken = errors.New("wire: token not valid")

// A Token is what only sidecars can read (PROTOCOL §8.4): it is sealed with
// AES-256-GCM and travels as base64url.
//
//	version u8 | session id 16 B | epoch u32 | generation u32 |
//	issued ms u64 | expires ms u64 | binding 16 B | owner u8+n
//
// All of that stays in its place in later versions, so that a sidecar which cannot
// judge a newer token can still pass its client on to the owner.
type Token struct {
	Version    uint8 // 0: the newest
	Session    SessionID
	Epoch      uint32
	Generation uint32    // number of the token within the epoch
	Issued     time.Time // to the millisecond
	Expires    time.Time
	Binding    [16]byte // hash of what the token is bound to, or zero
	Owner      string   // the sidecar that holds the app's socket (package instance)
}

const tokenFixed = 1 + 16 + 4 + 4 + 8 + 8 + 16 + 1

// Sealer seals and opens; internal/keyring is one.
type Sealer interface {
	Seal(dst, plaintext, aad []byte) []byte
	Open(dst, sealed, aad []byte) ([]byte, error)
}

// SealToken returns t as the client gets it, in t's version. An owner above
// MaxOwner is left out: it is only a hint.
func SealToken(s Sealer, t *Token) string {
	version := cmp.Or(t.Version, TokenVersions().Newest)
	b := make([]byte, 0, tokenFixed+len(t.Owner))
	b = append(b, version)
	b = append(b, t.Session[:]...)
	b = binary.BigEndian.AppendUint32(b, t.Epoch)
	b = binary.BigEndian.AppendUint32(b, t.Generation)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Issued.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(t.Expires.UnixMilli()))
	b = append(b, t.Binding[:]...)
	owner := t.Owner
	if len(owner) > MaxOwner {
		owner = ""
	}
	b = append(b, byte(len(owner)))
	b = append(b, owner...)
	b = append(b, make([]byte, version-min(version, tokenVersion))...) // a test build's next version has a byte more
	return base64.RawURLEncoding.EncodeToString(s.Seal(nil, b, []byte(tokenAAD)))
}

// Expired reports whether the token is past its time. Where its session lives,
// that does not matter (PROTOCOL §8.4).
func (t *Token) Expired(now time.Time) bool { return !now.Before(t.Expires) }

// Newer reports whether the token is of a version that this program does not
// read. All that is known of it then is in version 1 too.
func (t *Token) Newer() bool { return t.Version > TokenVersions().Newest }

// OpenToken reads a token, be it expired, Newer or not. Every error wraps
// ErrToken.
func OpenToken(s Sealer, text string) (*Token, error) {
	if len(text) > MaxToken {
		return nil, fmt.Errorf("%w: %d characters", ErrToken, len(text))
	}
	// Strict refuses a last character with stray bits, so that there is one
	// text for one token.
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrToken)
	}
	b, err := s.Open(nil, sealed, []byte(tokenAAD))
	if err != nil {
		return nil, fmt.Errorf("%w: not sealed by a key of ours", ErrToken)
	}
	if len(b) < tokenFixed || b[0] < TokenVersions().Oldest {
		return nil, fmt.Errorf("%w: version or length unknown", ErrToken)
	}
	end := tokenFixed + int(b[tokenFixed-1])
	if len(b) < end || b[0] <= tokenVersion && len(b) > end {
		return nil, fmt.Errorf("%w: version or length unknown", ErrToken)
	}
	return &Token{
		Version:    b[0],
		Session:    SessionID(b[1:17]),
		Epoch:      binary.BigEndian.Uint32(b[17:]),
		Generation: binary.BigEndian.Uint32(b[21:]),
		Issued:     time.UnixMilli(int64(binary.BigEndian.Uint64(b[25:]))),
		Expires:    time.UnixMilli(int64(binary.BigEndian.Uint64(b[33:]))),
		Binding:    [16]byte(b[41:57]),
		Owner:      string(b[tokenFixed:end]),
	}, nil
}
