package proxy

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"net/netip"
	"time"
)

// proofHeader carries a proof. forwardHeader keeps it from the app.
const proofHeader = "Wsr-Tunnel"

// Protocol constants of the proof.
const (
	proofVersion = 1

	// proofHop is of a request that was forwarded once. There is no second
	// time, so that no loop can form.
	proofHop = 1

	// proofAAD keeps a proof from passing for anything else that the same
	// keys seal.
	proofAAD = "wsr.v1 tunnel"

	// proofLife is how long a request may be under way, which has 2 s.
	proofLife = time.Minute

	// proofSkew is how far the clocks of two pods may be apart.
	proofSkew = 5 * time.Minute

	// maxProof bounds the header's value: two addresses and little else.
	maxProof = 1024
)

// A proof says that a request comes from another sidecar, and what that one
// knows of the client. It is sealed with the keys that all sidecars share and
// travels as base64url:
//
//	version u8 | hop u8 | sealed ms u64 | scheme u8 | client u8+n | target u8+n
//
// Who sees it on the wire can use it for the very same request only, whose
// resume entry he would have seen with it.
type proof struct {
	Sealed time.Time // to the millisecond
	TLS    bool      // the client came by TLS
	Client string    // its address and port; empty if it has none
	Target string    // the address that the request was sent to
}

const proofFixed = 1 + 1 + 8 + 1 + 1 + 1

var errProof = errors.New("proxy: proof: not one of ours")

// proofText is the plaintext. Addresses are below 256 bytes: the
// client's is of a socket, the target is checked by validOwner.
func proofText(p *proof) []byte {
	dst := []byte{proofVersion, proofHop}
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Sealed.UnixMilli()))
	var scheme byte
	if p.TLS {
		scheme = 1
	}
	dst = append(dst, scheme, byte(len(p.Client)))
	dst = append(append(dst, p.Client...), byte(len(p.Target)))
	return append(dst, p.Target...)
}

// parseProof reads the plaintext; there is one text for one proof.
func parseProof(b []byte) (p proof, err error) {
	if len(b) < proofFixed || b[0] != proofVersion || b[1] != proofHop || b[10] > 1 {
		return proof{}, errProof
	}
	p.Sealed = time.UnixMilli(int64(binary.BigEndian.Uint64(b[2:])))
	p.TLS = b[10] == 1
	var ok bool
	rest := b[11:]
	if p.Client, rest, ok = cutText(rest); !ok {
		return proof{}, errProof
	}
	if p.Target, rest, ok = cutText(rest); !ok || len(rest) > 0 {
		return proof{}, errProof
	}
	if p.Client != "" && !validClient(p.Client) {
		return proof{}, errProof
	}
	return p, nil
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

// proofBinding is the additional data of r's proof: what makes it this
// request and no other. All of it is forwarded as it came.
func proofBinding(r *http.Request) []byte {
	d := newDigest()
	d.add("target", []string{r.RequestURI})
	d.add("host", []string{r.Host})
	d.add("key", r.Header["Sec-Websocket-Key"])
	d.add("protocols", r.Header["Sec-Websocket-Protocol"]) // with the resume entry
	return d.Sum([]byte(proofAAD))
}

// sealProof returns the header value for h's request on its way to target.
func (h *arrival) sealProof(target string) string {
	p := &proof{Sealed: time.Now(), TLS: h.scheme() == "https", Target: target}
	if validClient(h.r.RemoteAddr) {
		p.Client = h.r.RemoteAddr
	}
	return base64.RawURLEncoding.EncodeToString(h.s.cfg.Proofs.Seal(nil, proofText(p), proofBinding(h.r)))
}

// openProof reads the proof that came with r. Without one, or with a bad one,
// r is any client's request: what forged it gains nothing, and a stock client
// is told nothing.
func (s *Server) openProof(r *http.Request) (p proof, ok bool) {
	values := r.Header[proofHeader]
	if s.cfg.Proofs == nil || len(values) != 1 || len(values[0]) > maxProof {
		return proof{}, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(values[0])
	if err != nil {
		return proof{}, false
	}
	b, err := s.cfg.Proofs.Open(nil, sealed, proofBinding(r))
	if err != nil {
		return proof{}, false
	}
	if p, err = parseProof(b); err != nil || p.Target != s.cfg.Advertise {
		return proof{}, false
	}
	if age := time.Since(p.Sealed); age > proofLife+proofSkew || age < -proofSkew {
		return proof{}, false
	}
	return p, true
}

// restoreClient makes the request what it was before it was forwarded, so
// that everything behind works as if the client had come here.
func (h *arrival) restoreClient(p proof) {
	h.client = &p
	h.r.RemoteAddr = p.Client
	h.r.Header.Del(proofHeader)
}

// scheme is that of the client's own connection: http or https.
func (h *arrival) scheme() string {
	switch {
	case h.client == nil:
		return h.s.scheme
	case h.client.TLS:
		return "https"
	}
	return "http"
}
