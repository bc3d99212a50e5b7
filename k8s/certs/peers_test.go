package certs

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"maps"
	"net"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/k8s"
)

// mutual is the TLS of a sidecar as it makes it of its files: mutual, with the
// name that its own certificate has.
func mutual(t *testing.T, data map[string][]byte, now time.Time) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(data[k8s.SecretPeerCert], data[k8s.SecretPeerKey])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data[k8s.SecretPeerCA]) {
		t.Fatal("no authority")
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		ServerName: pair.Leaf.DNSNames[0], Time: func() time.Time { return now },
	}
}

// meet lets one sidecar call another, which says hello when it believes it.
func meet(caller, called *tls.Config) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = tls.Server(c, called).Write([]byte("hello"))
			_ = c.Close()
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), caller)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.ReadFull(c, make([]byte, len("hello")))
	return err
}

// peersAt is what the Secret holds after a round.
func peersAt(t *testing.T, have map[string][]byte, namespace string, now time.Time) map[string][]byte {
	t.Helper()
	made, err := Peers(have, namespace, now)
	if err != nil {
		t.Fatal(err)
	}
	next := maps.Clone(have)
	if next == nil {
		next = map[string][]byte{}
	}
	maps.Copy(next, made)
	return next
}

// TestPeers: sidecars of a namespace know each other, before and after their
// certificate was renewed, and those of other namespaces are strangers.
func TestPeers(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	shop := peersAt(t, nil, "shop", now)
	if again, err := Peers(shop, "shop", now.Add(365*24*time.Hour)); err != nil || again != nil {
		t.Errorf("it is made anew: %v, %v", again, err)
	}
	later := now.Add(peerLife / 3 * 2).Add(time.Hour)
	renewed := peersAt(t, shop, "shop", later)
	if string(renewed[k8s.SecretPeerCert]) == string(shop[k8s.SecretPeerCert]) || string(renewed[k8s.SecretPeerCA]) != string(shop[k8s.SecretPeerCA]) {
		t.Error("the certificate is not renewed, or the authority is")
	}
	before, after := mutual(t, shop, later), mutual(t, renewed, later)
	for _, pair := range [][2]*tls.Config{{before, before}, {before, after}, {after, before}, {after, after}} {
		if err := meet(pair[0], pair[1]); err != nil {
			t.Errorf("sidecars of one namespace: %v", err)
		}
	}
	other := mutual(t, peersAt(t, nil, "other", later), later)
	if meet(other, after) == nil || meet(after, other) == nil {
		t.Error("a sidecar of another namespace is believed")
	}
	// A namespace whose administrators take its authority cannot speak for others.
	ca, err := parsePeerAuthority(peersAt(t, nil, "evil", later), later)
	if err != nil {
		t.Fatal(err)
	}
	forged, key, err := ca.sign(&x509.Certificate{DNSNames: []string{"wsresilience.shop"}, NotAfter: later.Add(time.Hour)}, later)
	if err != nil {
		t.Fatal(err)
	}
	liar := mutual(t, map[string][]byte{k8s.SecretPeerCert: forged, k8s.SecretPeerKey: key, k8s.SecretPeerCA: shop[k8s.SecretPeerCA]}, later)
	if meet(liar, after) == nil || meet(after, liar) == nil {
		t.Error("the authority of another namespace is believed")
	}
}

// TestPeersAreMended: what cannot be used is made anew, and no more than that.
func TestPeersAreMended(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	good := peersAt(t, nil, "shop", now)
	for name, test := range map[string]struct {
		broken    string
		authority bool
		at        time.Time
	}{
		"no certificate":          {k8s.SecretPeerCert, false, now},
		"no key":                  {k8s.SecretPeerKey, false, now},
		"no authority":            {k8s.SecretPeerCA, true, now},
		"no key of the authority": {k8s.SecretPeerCAKey, true, now},
		"expired":                 {"", false, now.Add(peerLife + 2*skew)},
		"all expired":             {"", true, now.Add(peerAuthorityLife + 2*skew)},
	} {
		have := maps.Clone(good)
		delete(have, test.broken)
		next := peersAt(t, have, "shop", test.at)
		if changed := string(next[k8s.SecretPeerCA]) != string(good[k8s.SecretPeerCA]); changed != test.authority {
			t.Errorf("%s: the authority changed: %v", name, changed)
		}
		c := mutual(t, next, test.at)
		if err := meet(c, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
