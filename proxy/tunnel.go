package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/wire"
)

// A tunnelEnd tells what came of an attempt to reach a session's owner.
type tunnelEnd int

const (
	// tunnelServed: the client has the owner's answer, or is gone. Nothing is
	// left to be done; the tunnel itself goes on by itself.
	tunnelServed tunnelEnd = iota
	// tunnelElsewhere: the owner does not have the session, or the address
	// leads nowhere but here.
	tunnelElsewhere
	// tunnelRefused: nobody listens there. The process is gone.
	tunnelRefused
	// tunnelSilent: no answer in time, no route, no TLS, or no answer of a
	// sidecar. Whether the owner lives is not known.
	tunnelSilent
)

func (e tunnelEnd) String() string { return e.outcome().String() }

func (e tunnelEnd) outcome() event.ForwardOutcome {
	switch e {
	case tunnelServed:
		return event.ForwardServed
	case tunnelElsewhere:
		return event.ForwardNotOwner
	case tunnelRefused:
		return event.ForwardRefused
	}
	return event.ForwardUnreachable
}

// tunnelTimeout bounds everything up to the end of the owner's answer head.
// An owner that has a session answers from memory; the client waits.
const tunnelTimeout = 2 * time.Second

var (
	errElsewhere  = errors.New("proxy: owner does not have the session")
	errDistrusted = errors.New("proxy: owner takes our proof for forged: are keys and clocks the same?")
)

// tunnel forwards the client's request to owner as it came, with a proof in
// place of what a proxy would add, and joins the two connections. Until the
// owner has answered, the client has seen nothing, so that all but
// tunnelServed leave the request as it was.
func (h *arrival) tunnel(owner string) tunnelEnd {
	s := h.s
	if !validOwner(owner) || owner == s.cfg.Advertise {
		return tunnelElsewhere
	}
	if s.cfg.Proofs == nil {
		return tunnelSilent
	}
	gone := h.r.Context()
	ctx, cancel := context.WithTimeout(gone, tunnelTimeout)
	defer cancel()
	began := time.Now()
	conn, head, err := h.reach(ctx, owner)
	switch {
	case err == nil:
		s.peers.answered(owner)
		h.join(conn, head)
		return tunnelServed
	case gone.Err() != nil:
		return tunnelServed
	case errors.Is(err, errElsewhere):
		s.peers.answered(owner)
		return tunnelElsewhere
	case errors.Is(err, syscall.ECONNREFUSED):
		return tunnelRefused
	case errors.Is(err, errUnreached):
		return tunnelSilent // as was told before
	}
	s.peers.unheard(owner, began)
	s.log.Warn("session's owner does not answer", "owner", owner, "error", err)
	return tunnelSilent
}

// validOwner wants host:port. Owners come from sealed tokens and records, but
// no bytes of them are to reach a resolver that are not a name.
func validOwner(owner string) bool {
	host, port, err := net.SplitHostPort(owner)
	if err != nil || len(owner) > wire.MaxOwner {
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
var errUnreached = errors.New("proxy: owner was silent a moment ago")

// reach makes the request and returns the head of the owner's answer with what
// followed it, as received.
func (h *arrival) reach(ctx context.Context, owner string) (net.Conn, []byte, error) {
	done, ok := h.s.peers.admit(ctx, owner)
	if !ok {
		return nil, nil, errUnreached
	}
	conn, err := h.s.dialPeer(ctx, owner)
	done(err)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	head, err := h.present(conn, owner)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, head, nil
}

// present writes the client's request to owner and reads the answer's head.
// Bytes are returned as they came, checked but not changed.
func (h *arrival) present(conn net.Conn, owner string) ([]byte, error) {
	header := h.r.Header.Clone()
	header.Set(proofHeader, h.sealProof(owner))
	if _, err := conn.Write(requestHead(h.r, header)); err != nil {
		return nil, fmt.Errorf("proxy: write to owner: %w", err)
	}
	var answer []byte
	for at := -1; at < 0; {
		if len(answer) >= maxAnswerBytes {
			return nil, fmt.Errorf("proxy: read from owner: %w", errAnswerTooBig)
		}
		answer = slices.Grow(answer, answerSize)
		n, err := conn.Read(answer[len(answer):cap(answer)])
		answer = answer[:len(answer)+n]
		if at = bytes.Index(answer, []byte("\r\n\r\n")); at < 0 && err != nil {
			return nil, fmt.Errorf("proxy: read from owner: %w", err)
		}
	}
	return answer, h.checkAnswer(answer)
}

// answerSize is room for a usual head and what follows it at once.
const answerSize = 2 << 10

// checkAnswer makes sure that a sidecar has answered this very request.
func (h *arrival) checkAnswer(answer []byte) error {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), &http.Request{Method: http.MethodGet}) //nolint:bodyclose // of bytes that are here
	switch {
	case err != nil:
		return fmt.Errorf("proxy: owner's answer: %w", quiet(err))
	case resp.StatusCode == http.StatusMisdirectedRequest:
		return errElsewhere
	case resp.Header.Get(proofHeader) != "":
		return errDistrusted
	case resp.StatusCode == http.StatusSwitchingProtocols:
		if resp.Header.Get("Sec-Websocket-Accept") != acceptKey(h.req.Key) {
			return errors.New("proxy: owner answered 101 for another key")
		}
	case resp.StatusCode < 200:
		return fmt.Errorf("proxy: owner answered %d first", resp.StatusCode)
	}
	return nil
}

// join hands the owner's answer to the client and lets the two talk. Early
// bytes of the client are as wrong as in accept.
func (h *arrival) join(owner net.Conn, answer []byte) {
	client, early, err := hijack(h.w)
	if err != nil {
		owner.Close()
		return
	}
	if len(early) > 0 {
		h.s.observe(event.Event{Kind: event.Refused, Refusal: event.RefusedEarly})
		answer = []byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	}
	_ = client.SetDeadline(time.Now().Add(headTimeout))
	_, err = client.Write(answer)
	t := &tunnel{set: &h.s.tunnels, client: client, owner: owner}
	if err != nil || len(early) > 0 || client.SetDeadline(time.Time{}) != nil || !t.set.add(t) {
		t.close()
		return
	}
	t.start()
}
