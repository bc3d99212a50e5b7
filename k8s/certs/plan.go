package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// Keys of the Secret. Those of the certificate are of a kubernetes.io/tls Secret.
const (
	keyCert         = "tls.crt"
	keyKey          = "tls.key"
	keyAuthority    = "ca.crt" // the bundle: the authority that signs, then those before it
	keyAuthorityKey = "ca.key"
)

// How long authorities and certificates are valid. They are renewed after two
// thirds of that, so that a certificate never outlives its authority.
const (
	authorityLife   = 365 * 24 * time.Hour
	certificateLife = 90 * 24 * time.Hour

	// skew is how far the API server's clock may be behind.
	skew = 5 * time.Minute

	// minAuthorityAge is how long a new authority is in the bundle before it signs
	// what is served: every API server has to know it by then.
	minAuthorityAge = time.Hour
)

// state is the decoded content of a Secret.
type state struct {
	signer authority
	bundle []*x509.Certificate // signer first
	pair   *tls.Certificate
}

// parse decodes and checks the Secret's contents.
func parse(data map[string][]byte) (*state, error) {
	bundle, err := parseCerts(data[keyAuthority])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyAuthority, err)
	}
	ca, err := tls.X509KeyPair(data[keyAuthority], data[keyAuthorityKey])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyAuthorityKey, err)
	}
	key, ok := ca.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !bundle[0].IsCA {
		return nil, fmt.Errorf("%s: not an ECDSA authority", keyAuthority)
	}
	pair, err := parsePair(data[keyCert], data[keyKey])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyCert, err)
	}
	return &state{signer: authority{bundle[0], key}, bundle: bundle, pair: pair}, nil
}

// plan returns what the Secret is to hold instead of data, and why; nil when it
// may stay. Contents that cannot be used are replaced as a whole.
func plan(data map[string][]byte, names []string, now time.Time) (next map[string][]byte, why string, err error) {
	s, err := parse(data)
	if err != nil || expired(s.bundle[0], now) {
		next, err = newSecret(names, now)
		return next, "there was no usable certificate", err
	}
	switch {
	case dueForRenewal(s.bundle[0], now):
		// It joins the bundle and does not sign yet, see minAuthorityAge.
		if next, err = s.withAuthority(data, now); err != nil {
			return nil, "", err
		}
		why = "the authority is due for renewal"
	case !s.vouchedFor(), expired(s.pair.Leaf, now), !slices.Equal(s.pair.Leaf.DNSNames, names):
		why = "the certificate cannot be used"
		next, err = s.withCertificate(data, names, now)
	case dueForRenewal(s.pair.Leaf, now):
		why = "the certificate is due for renewal"
		next, err = s.withCertificate(data, names, now)
	case !s.signed(s.signer.cert) && !now.Before(s.signer.cert.NotBefore.Add(skew+minAuthorityAge)):
		why = "the authority is new"
		next, err = s.withCertificate(data, names, now)
	case slices.ContainsFunc(s.bundle[1:], func(c *x509.Certificate) bool { return expired(c, now) }):
		why = "a former authority has expired"
		next = s.withBundle(data, s.bundle[0], now)
	}
	return next, why, err
}

func newSecret(names []string, now time.Time) (map[string][]byte, error) {
	ca, err := newAuthority(now)
	if err != nil {
		return nil, err
	}
	key, err := encodeKey(ca.key)
	if err != nil {
		return nil, err
	}
	s := state{signer: *ca}
	return s.withCertificate(map[string][]byte{keyAuthority: encodeCerts(ca.cert.Raw), keyAuthorityKey: key}, names, now)
}

func (s *state) withAuthority(data map[string][]byte, now time.Time) (map[string][]byte, error) {
	ca, err := newAuthority(now)
	if err != nil {
		return nil, err
	}
	key, err := encodeKey(ca.key)
	if err != nil {
		return nil, err
	}
	s.bundle = append([]*x509.Certificate{ca.cert}, s.bundle...)
	next := s.withBundle(data, ca.cert, now)
	next[keyAuthorityKey] = key
	return next, nil
}

// withBundle drops former authorities that have expired.
func (s *state) withBundle(data map[string][]byte, signer *x509.Certificate, now time.Time) map[string][]byte {
	bundle := [][]byte{signer.Raw}
	for _, c := range s.bundle[1:] {
		if !expired(c, now) {
			bundle = append(bundle, c.Raw)
		}
	}
	return changed(data, keyAuthority, encodeCerts(bundle...))
}

func (s *state) withCertificate(data map[string][]byte, names []string, now time.Time) (map[string][]byte, error) {
	cert, key, err := s.signer.issue(names, now)
	if err != nil {
		return nil, err
	}
	return changed(changed(data, keyCert, cert), keyKey, key), nil
}

// changed is a copy of data with one value changed.
func changed(data map[string][]byte, key string, value []byte) map[string][]byte {
	next := map[string][]byte{key: value}
	for k, v := range data {
		if k != key {
			next[k] = v
		}
	}
	return next
}

// vouchedFor reports whether an authority of the bundle signed the certificate.
func (s *state) vouchedFor() bool { return slices.ContainsFunc(s.bundle, s.signed) }

func (s *state) signed(by *x509.Certificate) bool {
	return bytes.Equal(s.pair.Leaf.RawIssuer, by.RawSubject) && s.pair.Leaf.CheckSignatureFrom(by) == nil
}

func expired(c *x509.Certificate, now time.Time) bool {
	return now.After(c.NotAfter) || now.Add(skew).Before(c.NotBefore)
}

// dueForRenewal reports whether two thirds of the validity of c are over.
func dueForRenewal(c *x509.Certificate, now time.Time) bool {
	return now.After(c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2))
}
