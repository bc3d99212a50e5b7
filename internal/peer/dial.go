package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// dialTimeout bounds a connect to another sidecar, which is in the same
// cluster.
const dialTimeout = time.Second

// keepAlive finds a host that is gone under an idle tunnel.
const keepAlive = 15 * time.Second

// dial connects to another sidecar.
func (f *Forwarder) dial(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("peer: dial owner: %w", err)
	}
	config, err := f.clientTLS(address)
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
	return nil, fmt.Errorf("peer: TLS with owner %s: %w", address, err)
}

// clientTLS is how an owner is spoken to; nil means plain TCP. Sidecars with a
// port of their own for each other authenticate both ways. Otherwise the port
// is the clients', and its certificate proves that the peer has the secret
// that the pods of a deployment share.
func (f *Forwarder) clientTLS(address string) (*tls.Config, error) {
	if f.cfg.TLS == nil {
		if f.cfg.Shared == nil {
			return nil, nil
		}
		return f.cert.config(f.cfg.Shared())
	}
	c := f.cfg.TLS().Clone()
	c.NextProtos = []string{"http/1.1"}
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(address) // validAddress
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
			return nil, fmt.Errorf("peer: certificate chain: %w", err)
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
	return "", errors.New("peer: certificate has neither a DNS name nor an IP address, so that peers with it cannot be verified")
}

// ServerTLS returns the TLS of a port that is for sidecars only, of the
// configuration that they also dial with, as current says it for each connection:
// both sides authenticate. Without a CA that peers' certificates are from it fails,
// since every certificate of a public CA would do.
func ServerTLS(current func() *tls.Config) (*tls.Config, error) {
	if current == nil {
		return nil, errNoCA
	}
	c, err := serverTLS(current())
	if err != nil {
		return nil, err
	}
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return serverTLS(current()) }
	return c, nil
}

var errNoCA = errors.New("peer: the configuration names no CA that peers' certificates are from")

func serverTLS(c *tls.Config) (*tls.Config, error) {
	if c == nil || c.ClientCAs == nil && c.RootCAs == nil {
		return nil, errNoCA
	}
	c = c.Clone()
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if c.ClientCAs == nil {
		c.ClientCAs = c.RootCAs
	}
	c.NextProtos = []string{"http/1.1"}
	if name := c.ServerName; name != "" {
		// What a sidecar expects of those that it dials, it expects of those that
		// dial it: the authority may sign for others too.
		c.VerifyConnection = func(s tls.ConnectionState) error { return s.PeerCertificates[0].VerifyHostname(name) }
	}
	c.SessionTicketsDisabled = true // each connection is judged by what is in the files then
	return c, nil
}
