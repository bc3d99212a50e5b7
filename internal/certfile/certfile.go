package certfile

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// A Pair is a certificate chain and its key. It is safe for concurrent use.
type Pair struct{ *source[*tls.Certificate] }

// NewPair reads the files, in PEM. It fails where they cannot be used.
func NewPair(certFile, keyFile string, log *slog.Logger) (*Pair, error) {
	s, err := newSource("certificate", []string{certFile, keyFile}, log, func() (*tls.Certificate, error) { return readPair(certFile, keyFile) })
	if err != nil {
		return nil, err
	}
	return &Pair{s}, nil
}

// Current returns the pair that is used at now.
func (p *Pair) Current(now time.Time) *tls.Certificate { return p.current(now) }

// State tells of the files at now.
func (p *Pair) State(now time.Time) State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return State{NotAfter: p.currentLocked(now).Leaf.NotAfter, Invalid: p.broken}
}

func readPair(certFile, keyFile string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("certfile: certificate %s with key %s: %w", certFile, keyFile, err)
	}
	return &pair, nil
}

// A Mutual is the TLS of a deployment whose members present one certificate to each
// other, as servers and as clients, and believe one authority. It is safe for
// concurrent use.
type Mutual struct{ *source[*tls.Config] }

// NewMutual reads the files, in PEM; caFile may hold several authorities. It fails
// where they cannot be used.
func NewMutual(certFile, keyFile, caFile string, log *slog.Logger) (*Mutual, error) {
	s, err := newSource("certificate for other sidecars", []string{certFile, keyFile, caFile}, log, func() (*tls.Config, error) {
		return readMutual(certFile, keyFile, caFile)
	})
	if err != nil {
		return nil, err
	}
	return &Mutual{s}, nil
}

// Current returns the configuration that is used at now. It is not to be changed.
func (m *Mutual) Current(now time.Time) *tls.Config { return m.current(now) }

// State tells of the files at now.
func (m *Mutual) State(now time.Time) State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return State{NotAfter: m.currentLocked(now).Certificates[0].Leaf.NotAfter, Invalid: m.broken}
}

func readMutual(certFile, keyFile, caFile string) (*tls.Config, error) {
	pair, err := readPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("certfile: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certfile: authorities %s: no certificate in it; allowed: PEM with one or more", caFile)
	}
	c := &tls.Config{Certificates: []tls.Certificate{*pair}, RootCAs: roots, ClientCAs: roots, MinVersion: tls.VersionTLS13}
	if names := pair.Leaf.DNSNames; len(names) > 0 {
		c.ServerName = names[0] // members have addresses, and share the name
	}
	return c, nil
}
