package certs

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

// verify returns what a client says of a server's pair.
func verify(p Pair, pool *x509.CertPool, name string) error {
	_, err := p.TLS().Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name})
	return err
}

// TestTrust: a certificate is good for its names, from those who trust its
// authority, as long as it lasts.
func TestTrust(t *testing.T) {
	ca, other := NewAuthority(), NewAuthority()
	own := SelfSigned("localhost")
	for _, tt := range []struct {
		what string
		pair Pair
		pool *x509.CertPool
		name string
		good bool
	}{
		{"a name", ca.Issue("pod", "127.0.0.1"), ca.Pool(), "pod", true},
		{"an address", ca.Issue("pod", "127.0.0.1"), ca.Pool(), "127.0.0.1", true},
		{"another name", ca.Issue("pod"), ca.Pool(), "other", false},
		{"another authority", ca.Issue("pod"), other.Pool(), "pod", false},
		{"over", ca.IssueUntil(time.Now().Add(-time.Minute), "pod"), ca.Pool(), "pod", false},
		{"its own word", own, own.Pool(), "localhost", true},
		{"its own word, to others", own, ca.Pool(), "localhost", false},
	} {
		if err := verify(tt.pair, tt.pool, tt.name); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.what, err)
		}
	}
}

func TestWrite(t *testing.T) {
	certFile, keyFile, err := NewAuthority().Issue("pod").Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		t.Error(err)
	}
}
