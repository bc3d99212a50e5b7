// Package peer is the way to the other sidecars. A client that has come to the
// wrong one is forwarded to the owner of its session. The owner proves itself
// first; then it gets the same request, sealed, with what is known of the client,
// and then the bytes of both connections, unread. It also remembers which
// sidecars do not answer. What becomes of a client that could not be forwarded is
// for the caller to decide.
package peer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/budget"
	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/wire"
)

// Config says how a Forwarder reaches other sidecars.
type Config struct {
	Self   string      // this sidecar, as the others know it (package instance)
	Proofs wire.Sealer // of handshakes with other sidecars, by keys that all share; nil: nothing is forwarded

	// TLS is mutual TLS with ports that are for sidecars only. Without it
	// requests go to the clients' port, and by TLS where Shared returns the
	// certificate that this port has on every sidecar.
	TLS    func() *tls.Config      // as it is now; nil: none
	Shared func() *tls.Certificate // nil: plain TCP

	// Memory is what buffers of tunnels count against; nil: nothing.
	Memory *budget.Budget

	// Early is told of each client that sent bytes before it was answered.
	Early  func()
	Logger *slog.Logger
}

// A Forwarder hands clients to the owners of their sessions. It is safe for
// concurrent use.
type Forwarder struct {
	cfg     Config
	peers   health
	cert    peerCertificate
	tunnels tunnels
}

// New makes a Forwarder. It opens nothing yet.
func New(cfg Config) *Forwarder {
	return &Forwarder{cfg: cfg, tunnels: tunnels{memory: cfg.Memory}}
}

// A Result is what came of an attempt to forward a client to the owner of its
// session.
type Result = event.ForwardOutcome

// The values of Result.
const (
	// Served: the client has the owner's answer, or is gone. Nothing is left
	// to be done; the tunnel itself goes on by itself.
	Served = event.ForwardServed
	// NotOwner: the owner does not have the session, or its address is by now that
	// of another process with our keys, or leads nowhere but here.
	NotOwner = event.ForwardNotOwner
	// Refused: nothing listens there. The process is gone.
	Refused = event.ForwardRefused
	// Unreachable: no answer in time, no route, no TLS, or no proof that it is
	// the owner that answers. Whether the owner lives is not known.
	Unreachable = event.ForwardUnreachable
)

// tunnelTimeout bounds everything up to the end of the owner's answer head.
// An owner that has a session answers from memory; the client waits.
const tunnelTimeout = 2 * time.Second

// processingTimeout takes its place for an owner that has said that it works on
// it (102): it hands the session over, and its app may have something to say
// before.
const processingTimeout = 15 * time.Second

var (
	errNotOwner      = errors.New("peer: owner does not have the session")
	errOtherInstance = fmt.Errorf("%w: another process is at its address", errNotOwner)
	errProofRejected = errors.New("peer: owner rejected our proof: check WSR_TOKEN_KEYS and clock skew")
)

// Forward sends the client's request to owner as it came, once owner has proved
// that it is that, with a Proof in place of what a proxy would add, and joins the
// two connections. scheme is that of the client's connection, http or https. r
// must have passed upgrade.Parse.
// Until the owner has answered, the client has seen nothing, so that all but
// Served leave the request as it was.
func (f *Forwarder) Forward(w http.ResponseWriter, r *http.Request, scheme, owner string) Result {
	address := instance.Address(owner)
	if len(owner) > wire.MaxOwner || !validAddress(address) || address == instance.Address(f.cfg.Self) {
		return NotOwner
	}
	if f.cfg.Proofs == nil {
		return Unreachable
	}
	gone := r.Context()
	ctx, cancel := context.WithCancelCause(gone)
	defer cancel(nil)
	timeout := time.AfterFunc(tunnelTimeout, func() { cancel(context.DeadlineExceeded) })
	defer timeout.Stop()
	began := time.Now()
	conn, head, err := f.reach(ctx, r, scheme, owner, func() {
		f.peers.answered(owner)
		timeout.Reset(processingTimeout)
	})
	switch {
	case err == nil:
		f.peers.answered(owner)
		f.join(w, conn, head)
		return Served
	case gone.Err() != nil:
		return Served
	case errors.Is(err, errNotOwner):
		f.peers.answered(owner)
		return NotOwner
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, errUnreached):
		return Unreachable // it is logged where it was found
	}
	f.peers.noAnswer(owner, began)
	f.cfg.Logger.Warn("session's owner does not answer", "owner", owner, "error", err)
	return Unreachable
}

// SilentFor returns for how long owner has been out of reach without a success
// in between; 0 means that nothing bad is known. It is forgotten outageTTL
// after the last attempt.
func (f *Forwarder) SilentFor(owner string) time.Duration { return f.peers.silentFor(owner) }

// validAddress wants host:port. Owners come from sealed tokens and records, but
// no bytes of them are to reach a resolver that are not a name.
func validAddress(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return false
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for i := range len(host) {
		c := host[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	return host != ""
}

// errUnreached is an owner that others have just found silent.
var errUnreached = errors.New("peer: owner was silent a moment ago")

// reach makes the request and returns the head of the owner's answer with what
// followed it, as received. It calls works if the owner says that it is at work.
func (f *Forwarder) reach(ctx context.Context, r *http.Request, scheme, owner string, works func()) (net.Conn, []byte, error) {
	done, ok := f.peers.admit(ctx, owner)
	if !ok {
		return nil, nil, errUnreached
	}
	conn, err := f.dial(ctx, instance.Address(owner))
	done(err)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	head, err := f.present(conn, r, scheme, owner, works)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, head, nil
}

// present lets owner prove itself, writes the client's request to it, and reads
// the answer's head. Bytes are returned as they came, checked but not changed.
func (f *Forwarder) present(conn net.Conn, r *http.Request, scheme, owner string, works func()) ([]byte, error) {
	agreed, err := f.challenge(conn, owner)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(f.sealRequest(r, scheme, owner, agreed)); err != nil {
		return nil, fmt.Errorf("peer: write to owner: %w", err)
	}
	answer, end, err := readAnswer(conn, nil)
	if err == nil && bytes.HasPrefix(answer, []byte("HTTP/1.1 102 ")) {
		works()
		answer, _, err = readAnswer(conn, answer[end:])
	}
	if err != nil {
		return nil, fmt.Errorf("peer: read from owner: %w", err)
	}
	return answer, checkAnswer(answer, r.Header.Get("Sec-Websocket-Key"))
}

// readAnswer reads on behind answer until it has the head of an answer, which ends
// at end.
func readAnswer(conn net.Conn, answer []byte) (_ []byte, end int, err error) {
	for {
		if at := bytes.Index(answer, headEnd); at >= 0 {
			return answer, at + len(headEnd), nil
		}
		if err != nil {
			return nil, 0, err
		}
		if len(answer) >= upgrade.MaxAnswerBytes {
			return nil, 0, upgrade.ErrAnswerTooBig
		}
		answer = slices.Grow(answer, answerSize)
		var n int
		n, err = conn.Read(answer[len(answer):cap(answer)])
		answer = answer[:len(answer)+n]
	}
}

var headEnd = []byte("\r\n\r\n")

// answerSize is room for a usual head and what follows it at once.
const answerSize = 2 << 10

// checkAnswer makes sure that a sidecar has answered this very request, whose
// key is key.
func checkAnswer(answer []byte, key string) error {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), &http.Request{Method: http.MethodGet}) //nolint:bodyclose // of bytes that are here
	switch {
	case err != nil:
		return fmt.Errorf("peer: owner's answer: %w", upgrade.Quiet(err))
	case resp.StatusCode == http.StatusMisdirectedRequest:
		return errNotOwner
	case resp.Header.Get(handshakeHeader) != "":
		return errProofRejected
	case resp.StatusCode == http.StatusSwitchingProtocols:
		if resp.Header.Get("Sec-Websocket-Accept") != upgrade.AcceptKey(key) {
			return errors.New("peer: owner answered 101 for another key")
		}
	case resp.StatusCode < 200:
		return fmt.Errorf("peer: owner answered %d first", resp.StatusCode)
	}
	return nil
}

// join hands the owner's answer to the client and lets the two talk.
func (f *Forwarder) join(w http.ResponseWriter, owner net.Conn, answer []byte) {
	client, err := upgrade.Answer(w, answer)
	if err != nil {
		if errors.Is(err, upgrade.ErrEarly) && f.cfg.Early != nil {
			f.cfg.Early()
		}
		owner.Close()
		return
	}
	t := &Tunnel{set: &f.tunnels, client: client, owner: owner}
	if !t.set.add(t) {
		t.Close()
		return
	}
	t.start()
}
