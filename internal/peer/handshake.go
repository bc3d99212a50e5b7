package peer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/formats"
	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// The handshake of two sidecars, on a connection to what was the owner's
// address, which may be another's by now (PROTOCOL §8.7). Nothing of the client
// is sent before the peer has proved that it has our keys and is that owner:
//
//  1. GET handshakePath with a sealed challenge: version u8 | time ms u64 |
//     nonce 16 B | target u8+n.
//  2. 200 with a sealed answer: version u8 | nonce 16 B. The nonce of the
//     challenge is its additional data. Or 421, where another process is at that
//     address, with a sealed version u8.
//  3. POST handshakePath, whose body is the client's request head behind a
//     Proof, sealed under both nonces. Its answer is the one to the client.
//
// To whoever lacks the keys the first is any client's request. The challenge has
// the newest version that its sender knows, and the answer the newest that both
// do, which the third is of. What the first two have in version 1 stays in its
// place in later ones; what follows it is for those who know it.
const (
	// Path and Header, in small letters, are what a challenge is told by.
	Path   = "/.well-known/wsr-peer"
	Header = "wsr-peer"
)

const (
	handshakePath   = Path
	handshakeHeader = "Wsr-Peer"

	// handshakeVersion is the newest that this source code knows.
	handshakeVersion = 1

	// Additional data, which keeps each of the three from passing for anything
	// else that the same keys seal.
	challengeAAD = "wsr.v1 peer challenge"
	answerAAD    = "wsr.v1 peer answer"
	otherAAD     = "wsr.v1 peer other"
	requestAAD   = "wsr.v1 peer request"

	// maxHandshake bounds the header's value: one owner and little else.
	maxHandshake = 512

	// maxSealedRequest bounds the body: a head as large as any that we read, with
	// the proof, the seal, and the few bytes by which we write it differently.
	maxSealedRequest = httpguard.MaxHeadBytes + 8<<10
)

// Versions are those of the handshake that this program speaks.
func Versions() formats.Range {
	return formats.Range{Oldest: 1, Newest: formats.Newest(handshakeVersion)}
}

// later is what a version has beside what this source code knows: in a test build
// the next one has a byte.
func later(version byte) []byte { return make([]byte, version-min(version, handshakeVersion)) }

type nonce [16]byte

func newNonce() (n nonce) {
	_, _ = rand.Read(n[:]) // crypto/rand does not fail
	return n
}

var (
	// errForeign is an answer of someone who is not the owner, or an old one.
	errForeign = errors.New("peer: what answers at the owner's address does not prove that it is the owner")
	errRequest = errors.New("peer: forwarded request does not open or is malformed")
)

func handshakeText(sealed []byte) string { return base64.RawURLEncoding.EncodeToString(sealed) }

// openHandshake opens the one header value of a challenge or an answer.
func (f *Forwarder) openHandshake(h http.Header, aad []byte) ([]byte, bool) {
	values := h[handshakeHeader]
	if f.cfg.Proofs == nil || len(values) != 1 || len(values[0]) > maxHandshake {
		return nil, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(values[0])
	if err != nil {
		return nil, false
	}
	b, err := f.cfg.Proofs.Open(nil, sealed, aad)
	return b, err == nil && len(b) > 0 && b[0] >= Versions().Oldest
}

func answerData(aad string, challenge nonce) []byte { return append([]byte(aad), challenge[:]...) }

func requestData(challenge, answer nonce) []byte {
	return append(append([]byte(requestAAD), challenge[:]...), answer[:]...)
}

// A terms is what two sidecars have agreed on: the version of the third message,
// and what it is sealed under.
type terms struct {
	version byte
	aad     []byte
}

// challenge sends a challenge to owner and returns what the client's request is
// to be sealed under, if the answer proves that it is the owner.
func (f *Forwarder) challenge(conn net.Conn, owner string) (agreed terms, err error) {
	ours, newest := newNonce(), Versions().Newest
	sealed := handshakeText(f.cfg.Proofs.Seal(nil, challengeText(newest, time.Now(), ours, owner), []byte(challengeAAD)))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\n\r\n", handshakePath, instance.Address(owner), handshakeHeader, sealed)
	if err != nil {
		return terms{}, fmt.Errorf("peer: write to owner: %w", err)
	}
	answer, end, err := readAnswer(conn, nil)
	if err != nil {
		return terms{}, fmt.Errorf("peer: read from owner: %w", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil) //nolint:bodyclose // of bytes that are here
	if err != nil {
		return terms{}, fmt.Errorf("peer: owner's answer: %w", upgrade.Quiet(err))
	}
	if resp.Header.Get(handshakeHeader) == rejected {
		return terms{}, errProofRejected
	}
	if resp.StatusCode == http.StatusMisdirectedRequest {
		if _, ok := f.openHandshake(resp.Header, answerData(otherAAD, ours)); ok {
			return terms{}, errOtherInstance
		}
		return terms{}, errForeign
	}
	b, ok := f.openHandshake(resp.Header, answerData(answerAAD, ours))
	if !ok || resp.StatusCode != http.StatusOK || resp.ContentLength != 0 || end != len(answer) || len(b) < answerFixed || b[0] > newest {
		return terms{}, errForeign
	}
	return terms{b[0], requestData(ours, nonce(b[1:answerFixed]))}, nil
}

const (
	challengeFixed = 1 + 8 + len(nonce{}) // before the target
	answerFixed    = 1 + len(nonce{})
)

// challengeText is the plaintext of a challenge.
func challengeText(version byte, at time.Time, n nonce, owner string) []byte {
	b := binary.BigEndian.AppendUint64([]byte{version}, uint64(at.UnixMilli()))
	b = append(append(b, n[:]...), byte(len(owner))) // wire.MaxOwner
	return append(append(b, owner...), later(version)...)
}

// sealRequest is the third message: the client's request, sealed.
func (f *Forwarder) sealRequest(r *http.Request, scheme, owner string, agreed terms) []byte {
	p := &Proof{TLS: scheme == "https"}
	if validClient(r.RemoteAddr) {
		p.Client = r.RemoteAddr
	}
	body := f.cfg.Proofs.Seal(nil, append(proofText(p, agreed.version), upgrade.RequestHead(r, r.Header)...), agreed.aad)
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", handshakePath, instance.Address(owner), len(body))
	return append(head, body...)
}

// A handshakeState is of one connection: what its next request is sealed under.
type handshakeState struct {
	mu     sync.Mutex
	agreed terms
}

func (p *handshakeState) set(agreed terms) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.agreed = agreed
}

// take returns what the request is sealed under, once.
func (p *handshakeState) take() terms {
	p.mu.Lock()
	defer p.mu.Unlock()
	agreed := p.agreed
	p.agreed = terms{}
	return agreed
}

type (
	handshakeKey struct{}
	forwardedKey struct{}
)

// ConnContext is the one of an http.Server that receives other sidecars.
func ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, handshakeKey{}, new(handshakeState))
}

// Receive takes a request of another sidecar. A challenge it answers itself, and
// returns nil, as after a forwarded request that does not open. Of one that does
// it returns the client's own request, which Forwarded knows. Any other request
// is not of a sidecar, and returned as it is: what forged it gains nothing, and a
// stock client is told nothing.
func (f *Forwarder) Receive(w http.ResponseWriter, r *http.Request) *http.Request {
	p, _ := r.Context().Value(handshakeKey{}).(*handshakeState)
	if r.RequestURI != handshakePath || r.ProtoMajor != 1 || p == nil {
		return r
	}
	if r.Method == http.MethodGet {
		agreed, answer := f.answer(r)
		if answer == "" {
			return r
		}
		p.set(agreed)
		w.Header().Set(handshakeHeader, answer)
		w.Header().Set("Content-Length", "0")
		if agreed.aad == nil {
			w.WriteHeader(http.StatusMisdirectedRequest)
		}
		return nil
	}
	agreed := p.take()
	if agreed.aad == nil {
		return r
	}
	of, err := f.openRequest(w, r, agreed)
	if err != nil {
		w.Header().Set("Connection", "close")
		RejectProof(w.Header())
		w.WriteHeader(http.StatusForbidden)
		return nil
	}
	return of
}

// answer reads the challenge of r and makes the answer, or none if it is none of
// ours. There are no terms if it is for another process at this address: to say so
// is for whoever has the address.
func (f *Forwarder) answer(r *http.Request) (agreed terms, answer string) {
	b, ok := f.openHandshake(r.Header, []byte(challengeAAD))
	if !ok || len(b) < challengeFixed {
		return terms{}, ""
	}
	target, _, ok := cutText(b[challengeFixed:])
	age := time.Since(time.UnixMilli(int64(binary.BigEndian.Uint64(b[1:]))))
	if !ok || age > challengeLife || age < -challengeSkew {
		return terms{}, ""
	}
	version, theirs := min(b[0], Versions().Newest), nonce(b[9:challengeFixed])
	switch {
	case target == f.cfg.Self:
		ours := newNonce()
		text := append(append([]byte{version}, ours[:]...), later(version)...)
		sealed := f.cfg.Proofs.Seal(nil, text, answerData(answerAAD, theirs))
		return terms{version, requestData(theirs, ours)}, handshakeText(sealed)
	case instance.Others(target, f.cfg.Self):
		return terms{}, handshakeText(f.cfg.Proofs.Seal(nil, []byte{version}, answerData(otherAAD, theirs)))
	}
	return terms{}, ""
}

// openRequest reads the client's request out of r.
func (f *Forwarder) openRequest(w http.ResponseWriter, r *http.Request, agreed terms) (*http.Request, error) {
	if r.Method != http.MethodPost || r.ContentLength <= 0 || r.ContentLength > maxSealedRequest {
		return nil, errRequest
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(tunnelTimeout))
	sealed, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, errRequest
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	b, err := f.cfg.Proofs.Open(nil, sealed, agreed.aad)
	if err != nil {
		return nil, errRequest
	}
	p, head, err := parseProof(b, agreed.version)
	if err != nil {
		return nil, errRequest
	}
	br := bufio.NewReader(bytes.NewReader(head))
	of, err := http.ReadRequest(br)
	if err != nil || br.Buffered() > 0 {
		return nil, errRequest
	}
	p.Peer = r.RemoteAddr
	of.RemoteAddr, of.TLS = p.Client, r.TLS
	return of.WithContext(context.WithValue(upgrade.WithNames(r.Context(), head), forwardedKey{}, p)), nil
}

// Forwarded returns what another sidecar says of r's client, if r came from one.
func Forwarded(r *http.Request) (p Proof, ok bool) {
	p, ok = r.Context().Value(forwardedKey{}).(Proof)
	return p, ok
}

// rejected in place of an answer says that the port is for sidecars only.
const rejected = "rejected"

// RejectProof marks the answer to a request that is not of a sidecar with our
// keys, so that the peer does not take it for the app's.
func RejectProof(answer http.Header) { answer.Set(handshakeHeader, rejected) }
