package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/event"
)

// peerDialTimeout bounds a connect to another sidecar, which is in the same
// cluster.
const peerDialTimeout = time.Second

// dialPeer connects to another sidecar. Keep-alives find a host that is gone
// under an idle tunnel.
func (s *Server) dialPeer(ctx context.Context, owner string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: peerDialTimeout, KeepAlive: keepAlive}
	conn, err := dialer.DialContext(ctx, "tcp", owner)
	if err != nil {
		return nil, fmt.Errorf("proxy: dial owner: %w", err)
	}
	config, err := s.peerTLS(owner)
	if err == nil && config == nil {
		return conn, nil
	}
	if err == nil {
		secured := tls.Client(conn, config)
		if err = secured.HandshakeContext(ctx); err == nil {
			return secured, nil
		}
	}
	conn.Close()
	return nil, fmt.Errorf("proxy: TLS with owner %s: %w", owner, err)
}

// peerTLS is how owner is spoken to; nil means plain TCP. Sidecars with a
// port of their own for each other authenticate both ways. Otherwise the port
// is the clients', and its certificate proves that the peer has the secret
// that the pods of a deployment share.
func (s *Server) peerTLS(owner string) (*tls.Config, error) {
	if s.cfg.PeerTLS == nil {
		if s.tls == nil {
			return nil, nil
		}
		pair, err := s.tls.GetCertificate(nil) // certificate.current, which asks nothing
		if err != nil {
			return nil, err
		}
		return s.peers.cert.config(pair)
	}
	c := s.cfg.PeerTLS.Clone()
	c.NextProtos = []string{"http/1.1"}
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(owner) // validOwner
	}
	return c, nil
}

// A peerCertificate is what peers must present where the port's own
// certificate is shared: one for a name of it, by the same hands. It is made
// anew when the certificate is another. It is safe for concurrent use.
type peerCertificate struct {
	mu   sync.Mutex
	pair *tls.Certificate
	made *tls.Config
}

func (p *peerCertificate) config(pair *tls.Certificate) (*tls.Config, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pair == pair {
		return p.made, nil
	}
	name, err := certificateName(pair.Leaf)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a container without any
	}
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("proxy: certificate chain: %w", err)
		}
		roots.AddCert(c)
	}
	p.pair = pair
	p.made = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: name, NextProtos: []string{"http/1.1"}}
	return p.made, nil
}

// certificateName is a name that leaf is valid for. Of a wildcard it is one
// that the wildcard stands for.
func certificateName(leaf *x509.Certificate) (string, error) {
	switch {
	case len(leaf.DNSNames) > 0:
		return strings.Replace(leaf.DNSNames[0], "*", "wsr", 1), nil
	case len(leaf.IPAddresses) > 0:
		return leaf.IPAddresses[0].String(), nil
	}
	return "", errors.New("proxy: certificate has neither a DNS name nor an IP address, so that peers with it cannot be verified")
}

// ServePeers accepts connections of other sidecars on l, by mutual TLS, until
// Shutdown, and closes l. It returns nil after Shutdown, and otherwise why it
// ended. Config.PeerTLS must be set, with the CAs of its peers: without them
// every certificate of a public CA would do.
func (s *Server) ServePeers(l net.Listener) error {
	c := s.cfg.PeerTLS
	if c == nil || c.ClientCAs == nil && c.RootCAs == nil {
		l.Close()
		return errors.New("proxy: serve peers: Config.PeerTLS names no CA that peers' certificates are from")
	}
	c = c.Clone()
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if c.ClientCAs == nil {
		c.ClientCAs = c.RootCAs
	}
	c.NextProtos = []string{"http/1.1"}
	if err := s.peerHTTP.Serve(guardHeads(tls.NewListener(l, c))); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("proxy: serve peers %s: %w", l.Addr(), err)
	}
	return nil
}

// distrusted marks the answer to a request without a good proof, so that the
// peer does not take it for the app's.
const distrusted = "distrusted"

// servePeer is the port for peers: tunnelled requests and nothing else.
func (s *Server) servePeer(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.openProof(r); !ok || !isUpgrade(r) {
		w.Header().Set(proofHeader, distrusted)
		s.refuse(w, &refusal{http.StatusForbidden, "only sidecars with a valid proof", event.RefusedProof})
		return
	}
	s.serve(w, r)
}
