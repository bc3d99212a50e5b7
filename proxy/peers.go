package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/internal/peer"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// peerConfig is how other sidecars are reached.
func (s *Server) peerConfig() peer.Config {
	c := peer.Config{
		Self: s.cfg.Advertise, Proofs: s.cfg.Proofs, TLS: s.cfg.PeerTLS, Logger: s.log, Memory: s.pool.Memory(),
		Early: func() { s.observe(event.Event{Kind: event.Refused, Refusal: event.RefusedEarly}) },
	}
	if s.certificate != nil {
		c.Shared = func() *tls.Certificate { return s.certificate.Current(time.Now()) }
	}
	return c
}

// ServePeers accepts connections of other sidecars on l, by mutual TLS, until
// Shutdown, and closes l. It returns nil after Shutdown, and otherwise why it
// ended. Config.PeerTLS must be set, with the CAs of its
// peers. It is asked for each connection, so that what it says may change.
func (s *Server) ServePeers(l net.Listener) error {
	c, err := peer.ServerTLS(s.cfg.PeerTLS)
	if err != nil {
		l.Close()
		return fmt.Errorf("proxy: serve peers: %w", err)
	}
	l = httpguard.KeepDescriptors(l, s.descriptorsShort)
	handshakes := s.tlsHandshakes()
	handshakes.Rest = othersRest
	if err := s.peerHTTP.Serve(httpguard.Guard(httpguard.TLS(l, c, handshakes))); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("proxy: serve peers %s: %w", l.Addr(), err)
	}
	return nil
}

// othersRest leaves a quarter of one processor to handshakes of those who reach the
// port for other sidecars and are not known to be any. Who is one behind NAT is known
// when it has come once.
const othersRest = 3

// tlsHandshakes says what handshakes of TLS may take.
func (s *Server) tlsHandshakes() httpguard.Handshakes {
	return httpguard.Handshakes{
		Memory: s.pool.Memory(), Refused: s.refusedForMemory, Known: s.knownPeer,
		Late: func() { s.observe(event.Event{Kind: event.Refused, Refusal: event.RefusedHandshakes}) },
	}
}

// onlyPeers makes h a server for other sidecars, each of which makes one request on
// its connection, at once.
func onlyPeers(h *http.Server, room *peerRoom) {
	h.IdleTimeout, h.ConnState = headTimeout, room.state
	h.Protocols = new(http.Protocols)
	h.Protocols.SetHTTP1(true)
}

// servePeer is the port for peers: forwarded requests and nothing else.
func (s *Server) servePeer(w http.ResponseWriter, r *http.Request) {
	if r = s.peers.Receive(w, r); r == nil {
		return
	}
	if _, ok := peer.Forwarded(r); !ok || !upgrade.Requested(r) {
		peer.RejectProof(w.Header())
		s.refuse(w, &upgrade.Refusal{Status: http.StatusForbidden, Reason: "only sidecars with a valid proof", Label: event.RefusedProof})
		return
	}
	s.peerProved(r)
	s.serveClient(w, r)
}
