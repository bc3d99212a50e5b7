// Package certs makes certificates for tests: an authority, and what it signs.
// It panics where only a broken machine could fail.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// life is how long a certificate lasts unless a test says otherwise. It has
// begun in every clock, a virtual one too.
const life = time.Hour

// An Authority signs certificates.
type Authority struct {
	PEM []byte // its certificate

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one that no client trusts yet.
func NewAuthority() *Authority {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(life),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	return &Authority{PEM: certPEM(der), cert: must(x509.ParseCertificate(der)), key: key}
}

// Pool trusts the authority, and nothing else.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// A Pair is a certificate and its key, as PEM.
type Pair struct {
	Cert, Key []byte
}

// Issue makes a certificate for names and addresses, good for both ends of a
// connection.
func (a *Authority) Issue(names ...string) Pair { return a.IssueUntil(time.Now().Add(life), names...) }

// IssueUntil is Issue with an end of one's own.
func (a *Authority) IssueUntil(until time.Time, names ...string) Pair {
	template := leaf(until, names)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return pair(must(x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)), key)
}

// SelfSigned makes a certificate that vouches for itself.
func SelfSigned(names ...string) Pair {
	template := leaf(time.Now().Add(life), names)
	template.IsCA, template.BasicConstraintsValid = true, true
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return pair(must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)), key)
}

func leaf(until time.Time, names []string) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		c.Subject.CommonName = names[0]
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

func pair(der []byte, key *ecdsa.PrivateKey) Pair {
	text := must(x509.MarshalPKCS8PrivateKey(key))
	return Pair{certPEM(der), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})}
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TLS is the pair for a tls.Config.
func (p Pair) TLS() tls.Certificate { return must(tls.X509KeyPair(p.Cert, p.Key)) }

// Pool trusts the certificate itself.
func (p Pair) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(p.Cert)
	return pool
}

// Write writes the pair as tls.crt and tls.key, as Kubernetes mounts a Secret.
func (p Pair) Write(dir string) (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if err = os.WriteFile(certFile, p.Cert, 0o600); err == nil {
		err = os.WriteFile(keyFile, p.Key, 0o600)
	}
	return certFile, keyFile, err
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
