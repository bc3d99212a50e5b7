package peer

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// proofHeader carries a proof. upgrade.ForwardHeader keeps it from the app.
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

// A Proof says that a request comes from another sidecar, and what that one
// knows of the client. It is sealed with the keys that all sidecars share and
// travels as base64url:
//
//	version u8 | hop u8 | sealed ms u64 | scheme u8 | client u8+n | target u8+n
//
// Who sees it on the wire can use it for the very same request only, whose
// resume entry he would have seen with it.
type Proof struct {
	Sealed time.Time // to the millisecond
	TLS    bool      // the client came by TLS
	Client string    // its address and port; empty if it has none
	Target string    // the address that the request was sent to
}

const proofFixed = 1 + 1 + 8 + 1 + 1 + 1

var errProof = errors.New("peer: proof: not one of ours")

// proofText is the plaintext. Addresses are below 256 bytes: the
// client's is of a socket, the target is checked by validOwner.
func proofText(p *Proof) []byte {
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
func parseProof(b []byte) (p Proof, err error) {
	if len(b) < proofFixed || b[0] != proofVersion || b[1] != proofHop || b[10] > 1 {
		return Proof{}, errProof
	}
	p.Sealed = time.UnixMilli(int64(binary.BigEndian.Uint64(b[2:])))
	p.TLS = b[10] == 1
	var ok bool
	rest := b[11:]
	if p.Client, rest, ok = cutText(rest); !ok {
		return Proof{}, errProof
	}
	if p.Target, rest, ok = cutText(rest); !ok || len(rest) > 0 {
		return Proof{}, errProof
	}
	if p.Client != "" && !validClient(p.Client) {
		return Proof{}, errProof
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
	d := upgrade.NewDigest()
	d.Add("target", []string{r.RequestURI})
	d.Add("host", []string{r.Host})
	d.Add("key", r.Header["Sec-Websocket-Key"])
	d.Add("protocols", r.Header["Sec-Websocket-Protocol"]) // with the resume entry
	return d.Sum([]byte(proofAAD))
}

// sealProof returns the header value for r on its way to target.
func (f *Forwarder) sealProof(r *http.Request, scheme, target string) string {
	p := &Proof{Sealed: time.Now(), TLS: scheme == "https", Target: target}
	if validClient(r.RemoteAddr) {
		p.Client = r.RemoteAddr
	}
	return base64.RawURLEncoding.EncodeToString(f.cfg.Proofs.Seal(nil, proofText(p), proofBinding(r)))
}

// OpenProof reads the proof that came with r. Without one, or with a bad one,
// r is any client's request: what forged it gains nothing, and a stock client
// is told nothing.
func (f *Forwarder) OpenProof(r *http.Request) (p Proof, ok bool) {
	values := r.Header[proofHeader]
	if f.cfg.Proofs == nil || len(values) != 1 || len(values[0]) > maxProof {
		return Proof{}, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(values[0])
	if err != nil {
		return Proof{}, false
	}
	b, err := f.cfg.Proofs.Open(nil, sealed, proofBinding(r))
	if err != nil {
		return Proof{}, false
	}
	if p, err = parseProof(b); err != nil || p.Target != f.cfg.Self {
		return Proof{}, false
	}
	if age := time.Since(p.Sealed); age > proofLife+proofSkew || age < -proofSkew {
		return Proof{}, false
	}
	return p, true
}

// Restore makes r what it was before it was forwarded, so that everything
// behind works as if the client had come here.
func (p *Proof) Restore(r *http.Request) {
	r.RemoteAddr = p.Client
	r.Header.Del(proofHeader)
}

// Scheme returns that of the client's own connection: http or https.
func (p *Proof) Scheme() string {
	if p.TLS {
		return "https"
	}
	return "http"
}
