package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
)

// A way is how a party gets to the port that sidecars reach each other at.
type way struct {
	name string
	dial func(ctx context.Context, addr string) (net.Conn, error)
}

// plainWay is that of everybody who has the network.
var plainWay = way{"TCP", func(ctx context.Context, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}}

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

// client is how somebody with that certificate dials; nil: with none.
func (c *certified) client(p *certs.Pair, protocols ...string) *tls.Config {
	t := &tls.Config{RootCAs: c.authority.Pool(), ServerName: deploymentName, NextProtos: protocols}
	if p != nil {
		t.Certificates = []tls.Certificate{p.TLS()}
	}
	return t
}

// ways are all that a party has: most of them end in the handshake of TLS. One has
// the sidecars' own certificate, and none of their keys.
func (c *certified) ways() []way {
	secured := func(name string, config *tls.Config) way {
		return way{name, func(ctx context.Context, addr string) (net.Conn, error) {
			d := tls.Dialer{NetDialer: &net.Dialer{Timeout: peerWaits}, Config: config}
			return d.DialContext(ctx, "tcp", addr)
		}}
	}
	foreign := certs.NewAuthority().Issue(deploymentName)
	own := certs.SelfSigned(deploymentName)
	expired := c.authority.IssueUntil(time.Now().Add(-time.Hour), deploymentName)
	other := c.authority.Issue("wsresilience.other")
	return []way{
		plainWay,
		secured("the sidecars' certificate", c.client(&c.own)),
		secured("a certificate of another authority", c.client(&foreign)),
		secured("a certificate that vouches for itself", c.client(&own)),
		secured("a certificate that has ended", c.client(&expired)),
		secured("a certificate for another name", c.client(&other)),
		secured("no certificate", c.client(nil)),
		secured("the sidecars' certificate, and HTTP/2", c.client(&c.own, "h2", "http/1.1")),
		secured("the sidecars' certificate, and HTTP/2 only", c.client(&c.own, "h2")),
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
