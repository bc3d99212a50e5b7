package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
)

// A way is how a party gets to the port that sidecars reach each other at: by TCP,
// and then by TLS unless it is plain, with a certificate if it has one. It goes by
// files to the party's process.
type way struct {
	Name      string
	Plain     bool
	Pair      certs.Pair // zero: none
	Protocols []string   // of ALPN
	Authority []byte     // that the sidecars' certificate is from, as PEM
}

// plainWay is that of everybody who has the network.
var plainWay = way{Name: "TCP", Plain: true}

// dialer returns how to go that way from addresses of one's own.
func (w *way) dialer() func(ctx context.Context, from, addr string) (net.Conn, error) {
	var config *tls.Config
	if !w.Plain {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(w.Authority)
		config = &tls.Config{RootCAs: pool, ServerName: deploymentName, NextProtos: w.Protocols}
		if len(w.Pair.Cert) > 0 {
			config.Certificates = []tls.Certificate{w.Pair.TLS()}
		}
	}
	return func(ctx context.Context, from, addr string) (net.Conn, error) {
		d := &net.Dialer{Timeout: peerWaits}
		if from != "" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
		}
		if config == nil {
			return d.DialContext(ctx, "tcp", addr)
		}
		return (&tls.Dialer{NetDialer: d, Config: config}).DialContext(ctx, "tcp", addr)
	}
}

// deploymentName is what the certificate of all sidecars is for.
const deploymentName = "wsresilience.shop"

// certified are the certificates of a deployment with mutual TLS between sidecars,
// and what a party has to get past them.
type certified struct {
	dir       string
	authority *certs.Authority
	own       certs.Pair // of the sidecars
}

func newCertified(dir string) (*certified, error) {
	c := &certified{dir: dir, authority: certs.NewAuthority()}
	c.own = c.authority.IssueUntil(time.Now().Add(24*time.Hour), deploymentName)
	if _, _, err := c.own.Write(dir); err != nil {
		return nil, err
	}
	return c, os.WriteFile(c.file("ca.crt"), c.authority.PEM, 0o600)
}

func (c *certified) file(name string) string { return filepath.Join(c.dir, name) }

// settings are those of a sidecar whose port for others is at addr.
func (c *certified) settings(addr string) []string {
	return []string{
		"WSR_PEER_LISTEN=" + addr, "WSR_ADVERTISE=" + addr,
		"WSR_PEER_CERT=" + c.file("tls.crt"), "WSR_PEER_KEY=" + c.file("tls.key"), "WSR_PEER_CA=" + c.file("ca.crt"),
	}
}

// client is how a sidecar dials another.
func (c *certified) client() *tls.Config {
	return &tls.Config{RootCAs: c.authority.Pool(), ServerName: deploymentName, Certificates: []tls.Certificate{c.own.TLS()}}
}

// ways are all that a party has: most of them end in the handshake of TLS. One has
// the sidecars' own certificate, and none of their keys.
func (c *certified) ways() []way {
	secured := func(name string, p certs.Pair, protocols ...string) way {
		return way{Name: name, Pair: p, Protocols: protocols, Authority: c.authority.PEM}
	}
	return []way{
		plainWay,
		secured("the sidecars' certificate", c.own),
		secured("a certificate of another authority", certs.NewAuthority().Issue(deploymentName)),
		secured("a certificate that vouches for itself", certs.SelfSigned(deploymentName)),
		secured("a certificate that has ended", c.authority.IssueUntil(time.Now().Add(-time.Hour), deploymentName)),
		secured("a certificate for another name", c.authority.Issue("wsresilience.other")),
		secured("no certificate", certs.Pair{}),
		secured("the sidecars' certificate, and HTTP/2", c.own, "h2", "http/1.1"),
		secured("the sidecars' certificate, and HTTP/2 only", c.own, "h2"),
	}
}

// server is how a tap is taken for a sidecar.
func (c *certified) server() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.own.TLS()}, ClientAuth: tls.RequestClientCert}
}

// clientHello is what a client of TLS says first.
func clientHello() []byte {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	go func() { _ = tls.Client(far, &tls.Config{ServerName: deploymentName}).HandshakeContext(ctx) }()
	b := make([]byte, 4<<10)
	n, err := near.Read(b)
	if err != nil {
		panic(fmt.Sprint("hostile: no ClientHello: ", err)) // nothing but memory is in between
	}
	return b[:n]
}
