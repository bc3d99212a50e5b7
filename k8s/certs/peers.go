package certs

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"

	"github.com/wsresilience/wsresilience/k8s"
)

// How long what sidecars show each other is valid. They read it when they start,
// so a pod may run for what is left of a certificate, two thirds of a year at the
// least, and the authority does not change while any pod knows it.
const (
	peerAuthorityLife = 20 * 365 * 24 * time.Hour
	peerLife          = 2 * 365 * 24 * time.Hour
)

// Peers returns what the Secret of a namespace is to hold for mutual TLS between
// its sidecars, given what it holds; nil if that may stay. The namespace has an
// authority of its own, in its own Secret: a certificate of another namespace is
// worth nothing. All sidecars show the same one, under one name.
func Peers(have map[string][]byte, namespace string, now time.Time) (map[string][]byte, error) {
	name := "wsresilience." + namespace
	ca, err := parsePeerAuthority(have, now)
	if err == nil && peersUsable(have, ca, name, now) {
		return nil, nil
	}
	next := map[string][]byte{}
	if err != nil {
		if ca, err = newPeerAuthority(name, now); err != nil {
			return nil, fmt.Errorf("certs: authority of %s: %w", name, err)
		}
		key, err := encodeKey(ca.key)
		if err != nil {
			return nil, fmt.Errorf("certs: authority of %s: %w", name, err)
		}
		next[k8s.SecretPeerCA], next[k8s.SecretPeerCAKey] = encodeCerts(ca.cert.Raw), key
	}
	next[k8s.SecretPeerCert], next[k8s.SecretPeerKey], err = ca.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		DNSNames:    []string{name},
		NotAfter:    now.Add(peerLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, now)
	if err != nil {
		return nil, fmt.Errorf("certs: certificate of %s: %w", name, err)
	}
	return next, nil
}

// newPeerAuthority makes one that signs for name alone.
func newPeerAuthority(name string, now time.Time) (*authority, error) {
	return selfSign(&x509.Certificate{
		Subject:             pkix.Name{CommonName: name + " peers"},
		NotAfter:            now.Add(peerAuthorityLife),
		PermittedDNSDomains: []string{name}, PermittedDNSDomainsCritical: true,
	}, now)
}

// parsePeerAuthority reads the authority. An error means that a new one is
// needed.
func parsePeerAuthority(data map[string][]byte, now time.Time) (*authority, error) {
	pair, err := parsePair(data[k8s.SecretPeerCA], data[k8s.SecretPeerCAKey])
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA || expired(pair.Leaf, now) {
		return nil, fmt.Errorf("certs: %s is no usable authority", k8s.SecretPeerCA)
	}
	return &authority{pair.Leaf, key}, nil
}

// peersUsable reports whether the certificate is good for a while.
func peersUsable(data map[string][]byte, ca *authority, name string, now time.Time) bool {
	pair, err := tls.X509KeyPair(data[k8s.SecretPeerCert], data[k8s.SecretPeerKey])
	if err != nil {
		return false
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil || expired(leaf, now) || dueForRenewal(leaf, now) || len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != name {
		return false
	}
	return leaf.CheckSignatureFrom(ca.cert) == nil
}
