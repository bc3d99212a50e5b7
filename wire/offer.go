package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Subprotocol entries (PROTOCOL §2.1).
const (
	Subprotocol  = "wsr.v1"
	Decoy        = "wsr" // offered first where the app has no protocol of its own
	adoptEntry   = "wsr.adopt"
	keysEntry    = "wsr.keys"
	reopenEntry  = "wsr.reopen"
	shareEntry   = "wsr.share"
	resumePrefix = "wsr.resume."
	ownPrefix    = "wsr."
)

// ErrOffer is wrapped by the errors of ParseOffer; the answer is 400.
var ErrOffer = errors.New("bad wsr offer")

// An Offer is a client's subprotocol list, taken apart.
type Offer struct {
	App       []string // the app's own protocols, in order
	Resilient bool     // wsr.v1 is among them
	Adopt     bool     // wsr.adopt is
	Keys      bool     // wsr.keys is
	Reopen    bool     // wsr.reopen is
	Share     bool     // wsr.share is
	Resume    *Resume  // nil for a new session
}

// Resume is the wsr.resume entry. Token came from the network and is checked
// only for its characters.
type Resume struct {
	Token    string
	Received uint32
	Next     uint32 // 0: the client waits for WELCOME
	Attempt  uint32 // number of the handshake with this token; 0: not ordered
}

// ParseOffer splits a subprotocol list into the app's entries and ours.
func ParseOffer(protocols []string) (Offer, error) {
	var o Offer
	for _, p := range protocols {
		switch {
		case p == Subprotocol:
			if o.Resilient {
				return Offer{}, fmt.Errorf("wire: %s twice: %w", Subprotocol, ErrOffer)
			}
			o.Resilient = true
		case p == adoptEntry:
			if o.Adopt {
				return Offer{}, fmt.Errorf("wire: %s twice: %w", adoptEntry, ErrOffer)
			}
			o.Adopt = true
		case p == keysEntry:
			if o.Keys {
				return Offer{}, fmt.Errorf("wire: %s twice: %w", keysEntry, ErrOffer)
			}
			o.Keys = true
		case p == reopenEntry:
			if o.Reopen {
				return Offer{}, fmt.Errorf("wire: %s twice: %w", reopenEntry, ErrOffer)
			}
			o.Reopen = true
		case p == shareEntry:
			if o.Share {
				return Offer{}, fmt.Errorf("wire: %s twice: %w", shareEntry, ErrOffer)
			}
			o.Share = true
		case strings.HasPrefix(p, resumePrefix):
			if o.Resume != nil {
				return Offer{}, fmt.Errorf("wire: two resume entries: %w", ErrOffer)
			}
			r, err := parseResume(p[len(resumePrefix):])
			if err != nil {
				return Offer{}, err
			}
			o.Resume = r
		case p == Decoy, strings.HasPrefix(p, ownPrefix):
			// The decoy has served; what a later version may offer is not
			// for the app to see.
		default:
			o.App = append(o.App, p)
		}
	}
	if !o.Resilient && (o.Resume != nil || o.Adopt || o.Reopen || o.Keys || o.Share) {
		return Offer{}, fmt.Errorf("wire: resume, adopt, reopen, keys or share without %s: %w", Subprotocol, ErrOffer)
	}
	return o, nil
}

// parseResume reads token "." received "." next [ "." attempt ]. No error repeats the entry:
// it holds a token (I9).
func parseResume(s string) (*Resume, error) {
	token, rest, ok1 := strings.Cut(s, ".")
	received, rest, ok2 := strings.Cut(rest, ".")
	next, attempt, ordered := strings.Cut(rest, ".")
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("wire: the resume entry is not token.received.next.attempt: %w", ErrOffer)
	}
	if !ordered {
		attempt = "0"
	}
	if token == "" || len(token) > MaxToken || !validToken(token) {
		return nil, fmt.Errorf("wire: the resume token has %d characters or one outside base64url: %w", len(token), ErrOffer)
	}
	r := &Resume{Token: token}
	for _, f := range [...]struct {
		text string
		to   *uint32
	}{{received, &r.Received}, {next, &r.Next}, {attempt, &r.Attempt}} {
		n, err := strconv.ParseUint(f.text, 10, 32)
		if err != nil || strconv.FormatUint(n, 10) != f.text {
			return nil, fmt.Errorf("wire: the resume entry has a number that is no decimal uint32: %w", ErrOffer)
		}
		*f.to = uint32(n)
	}
	if ordered && r.Attempt == 0 {
		return nil, fmt.Errorf("wire: the resume entry has attempt 0: %w", ErrOffer)
	}
	return r, nil
}

func validToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// Protocols returns the subprotocol list of an offer: what a client sends.
func (o *Offer) Protocols() []string {
	list := append([]string(nil), o.App...)
	if !o.Resilient {
		return list
	}
	if len(list) == 0 {
		list = append(list, Decoy)
	}
	list = append(list, Subprotocol)
	if o.Adopt {
		list = append(list, adoptEntry)
	}
	if o.Keys {
		list = append(list, keysEntry)
	}
	if o.Share {
		list = append(list, shareEntry)
	}
	if o.Reopen {
		list = append(list, reopenEntry)
	}
	if r := o.Resume; r != nil {
		entry := fmt.Sprintf("%s%s.%d.%d", resumePrefix, r.Token, r.Received, r.Next)
		if r.Attempt != 0 {
			entry += fmt.Sprintf(".%d", r.Attempt)
		}
		list = append(list, entry)
	}
	return list
}

// IsOwn reports whether a subprotocol entry is one of ours, which an app's code
// must not offer by itself.
func IsOwn(protocol string) bool {
	return protocol == Decoy || strings.HasPrefix(protocol, ownPrefix)
}
