package doctor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
)

// maxAddresses bounds how many addresses of a name are tried.
const maxAddresses = 16

// lookup returns the addresses of the target, with ports.
func (t *target) lookup(ctx context.Context) ([]string, error) {
	if list := t.fixed(); len(list) > 0 {
		return list, nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(ctx, t.url.Hostname())
	if err != nil {
		return nil, err
	}
	list := make([]string, 0, len(ips))
	for _, ip := range ips[:min(len(ips), maxAddresses)] {
		list = append(list, net.JoinHostPort(ip, t.port))
	}
	return list, nil
}

// dial makes TCP, and TLS if the URL says so, and notes in h how far it came.
// The result is nil if there is nothing to talk to.
func (t *target) dial(ctx context.Context, address string, protocols []string, h *diagnosis.Handshake) net.Conn {
	h.Address = address
	network := "tcp"
	if t.Unix != "" {
		network = "unix"
	}
	began := time.Now()
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	h.DialTook = time.Since(began)
	if err != nil {
		h.Cause, h.Err = cause(err), text(err)
		return nil
	}
	if !t.secure {
		h.Stage = diagnosis.Asking
		return c
	}
	h.Stage = diagnosis.Securing
	began = time.Now()
	secure, err := t.handshakeTLS(ctx, c, protocols, h)
	h.TLSTook = time.Since(began)
	if err != nil {
		c.Close()
		return nil
	}
	h.Stage = diagnosis.Asking
	return secure
}

// handshakeTLS makes TLS, whatever the certificate, and judges that afterwards,
// so that all of it can be told.
func (t *target) handshakeTLS(ctx context.Context, c net.Conn, protocols []string, h *diagnosis.Handshake) (net.Conn, error) {
	config := &tls.Config{ServerName: t.ServerName, NextProtos: protocols, InsecureSkipVerify: true} //nolint:gosec // verified below
	if t.Certificate != nil {
		config.Certificates = []tls.Certificate{*t.Certificate}
	}
	if net.ParseIP(t.ServerName) != nil {
		config.ServerName = ""
	}
	s := tls.Client(c, config)
	if err := s.HandshakeContext(ctx); err != nil {
		h.Cause, h.Err = cause(err), text(err)
		return nil, err
	}
	state := s.ConnectionState()
	h.TLS = t.judge(&state)
	if h.TLS.Wrong != "" && !t.Insecure {
		h.Cause, h.Err = diagnosis.BadCert, h.TLS.Err
		return nil, errors.New(h.TLS.Err)
	}
	return s, nil
}

// judge takes a certificate apart, and verifies it.
func (t *target) judge(s *tls.ConnectionState) *diagnosis.TLS {
	d := &diagnosis.TLS{Version: tls.VersionName(s.Version), ALPN: s.NegotiatedProtocol, Sent: len(s.PeerCertificates)}
	if d.Sent == 0 {
		d.Wrong, d.Err = diagnosis.WrongOther, "no certificate"
		return d
	}
	leaf := s.PeerCertificates[0]
	d.Subject, d.NotBefore, d.NotAfter = leaf.Subject.String(), leaf.NotBefore, leaf.NotAfter
	d.Names = append(d.Names, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		d.Names = append(d.Names, ip.String())
	}
	d.SelfSigned = bytes.Equal(leaf.RawIssuer, leaf.RawSubject) && leaf.CheckSignatureFrom(leaf) == nil || bytes.Equal(leaf.RawIssuer, leaf.RawSubject) && d.Sent == 1
	for _, c := range s.PeerCertificates {
		d.Issuers = append(d.Issuers, c.Issuer.String())
	}
	sum := sha256.Sum256(leaf.Raw)
	d.Fingerprint = fmt.Sprintf("%x", sum)
	pool := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		pool.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: t.Roots, Intermediates: pool, DNSName: t.ServerName})
	d.Wrong, d.Err = wrong(err), text(err)
	return d
}

func wrong(err error) diagnosis.Wrong {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &name):
		return diagnosis.WrongName
	case errors.As(err, &authority):
		return diagnosis.WrongAuthority
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if time.Now().Before(invalid.Cert.NotBefore) {
			return diagnosis.WrongNotYet
		}
		return diagnosis.WrongExpired
	}
	return diagnosis.WrongOther
}

// cause sorts an error of the network.
func cause(err error) diagnosis.Cause {
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var timeout net.Error
	switch {
	case err == nil:
		return diagnosis.None
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return diagnosis.Refused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return diagnosis.Unreachable
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		return diagnosis.Reset
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, syscall.ETIMEDOUT):
		return diagnosis.TimedOut
	case errors.As(err, &record):
		return diagnosis.NotTLS
	case strings.Contains(err.Error(), "no application protocol"):
		return diagnosis.NoHTTP1
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls"):
		return diagnosis.TLSAlert
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return diagnosis.Ended
	}
	return diagnosis.Other
}

// text is an error on one line.
func text(err error) string {
	if err == nil {
		return ""
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
