package peer

import (
	"errors"
	"net/netip"
	"time"
)

// Protocol constants of a forwarded request.
const (
	// proofHop is of a request that was forwarded once. There is no second
	// time, so that no loop can form.
	proofHop = 1

	// challengeSkew is how far the clocks of two pods may be apart.
	challengeSkew = 5 * time.Minute

	// challengeLife is how old a challenge may be, with clocks that differ. Who
	// repeats one gets an answer that he cannot read.
	challengeLife = time.Minute + challengeSkew
)

// A Proof is what another sidecar knows of the client whose request it forwards.
// It stands in front of the request:
//
//	version u8 | hop u8 | scheme u8 | client u8+n
type Proof struct {
	TLS    bool   // the client came by TLS
	Client string // its address and port; empty if it has none
	Peer   string // address and port of that sidecar's connection; not sent
}

const proofFixed = 1 + 1 + 1 + 1

var errProof = errors.New("peer: proof: not one of ours")

// proofText is the plaintext, in the version that both sidecars speak. The
// client's address is of a socket, below 256 bytes.
func proofText(p *Proof, version byte) []byte {
	var scheme byte
	if p.TLS {
		scheme = 1
	}
	b := append([]byte{version, proofHop, scheme, byte(len(p.Client))}, p.Client...)
	return append(b, later(version)...)
}

// parseProof reads a proof of that version and returns what follows it.
func parseProof(b []byte, version byte) (p Proof, rest []byte, err error) {
	if len(b) < proofFixed || b[0] != version || b[1] != proofHop || b[2] > 1 {
		return Proof{}, nil, errProof
	}
	p.TLS = b[2] == 1
	var ok bool
	more := len(later(version))
	if p.Client, rest, ok = cutText(b[3:]); !ok || p.Client != "" && !validClient(p.Client) || len(rest) < more {
		return Proof{}, nil, errProof
	}
	return p, rest[more:], nil
}

// cutText reads a text behind its length.
func cutText(b []byte) (text string, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return "", nil, false
	}
	end := 1 + int(b[0])
	return string(b[1:end]), b[end:], true
}

// validClient wants what a socket has: it becomes part of X-Forwarded-For.
func validClient(s string) bool {
	a, err := netip.ParseAddrPort(s)
	return err == nil && len(s) < 256 && a.Addr().IsValid()
}

// Scheme returns that of the client's own connection: http or https.
func (p *Proof) Scheme() string {
	if p.TLS {
		return "https"
	}
	return "http"
}
