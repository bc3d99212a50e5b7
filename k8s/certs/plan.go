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

// How long things are valid. They are replaced when two thirds of that are
// over, so that a certificate never outlives its authority.
const (
	authorityLife   = 365 * 24 * time.Hour
	certificateLife = 90 * 24 * time.Hour

	// skew is how far the API server's clock may be behind.
	skew = 5 * time.Minute

	// settle is how long a new authority is in the bundle before it signs what
	// is served: every API server has to know it by then.
	settle = time.Hour
)

// state is what a Secret says.
type state struct {
	signer authority
	bundle []*x509.Certificate // signer first
	pair   *tls.Certificate
}

// parse reads the Secret's contents. What it returns can be served and can sign.
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
	if err != nil || ended(s.bundle[0], now) {
		next, err = fresh(names, now)
		return next, "there was none that could be used", err
	}
	switch {
	case aging(s.bundle[0], now):
		// It joins the bundle and does not sign yet, see settle.
		if next, err = s.withAuthority(data, now); err != nil {
			return nil, "", err
		}
		why = "the authority ages"
	case !s.known(), ended(s.pair.Leaf, now), !slices.Equal(s.pair.Leaf.DNSNames, names):
		why = "the certificate cannot be used"
		next, err = s.withCertificate(data, names, now)
	case aging(s.pair.Leaf, now):
		why = "the certificate ages"
		next, err = s.withCertificate(data, names, now)
	case !s.signed(s.signer.cert) && !now.Before(s.signer.cert.NotBefore.Add(skew+settle)):
		why = "the authority is new"
		next, err = s.withCertificate(data, names, now)
	case slices.ContainsFunc(s.bundle[1:], func(c *x509.Certificate) bool { return ended(c, now) }):
		why = "a former authority has ended"
		next = s.withBundle(data, s.bundle[0], now)
	}
	return next, why, err
}

func fresh(names []string, now time.Time) (map[string][]byte, error) {
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

// withBundle keeps of the former authorities those that have not ended.
func (s *state) withBundle(data map[string][]byte, signer *x509.Certificate, now time.Time) map[string][]byte {
	bundle := [][]byte{signer.Raw}
	for _, c := range s.bundle[1:] {
		if !ended(c, now) {
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

// known tells whether an authority of the bundle vouches for the certificate.
func (s *state) known() bool { return slices.ContainsFunc(s.bundle, s.signed) }

func (s *state) signed(by *x509.Certificate) bool {
	return bytes.Equal(s.pair.Leaf.RawIssuer, by.RawSubject) && s.pair.Leaf.CheckSignatureFrom(by) == nil
}

func ended(c *x509.Certificate, now time.Time) bool {
	return now.After(c.NotAfter) || now.Add(skew).Before(c.NotBefore)
}

// aging: two thirds of its time are over.
func aging(c *x509.Certificate, now time.Time) bool {
	return now.After(c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2))
}
