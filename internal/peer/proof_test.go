package peer

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// provenRequest is a request with a proof of a client that came by TLS.
func provenRequest(ring *keyring.Ring, target string) *http.Request {
	r := &http.Request{RequestURI: "/chat?x=1", Host: "app.example", RemoteAddr: "[2001:db8::1]:443", Header: http.Header{
		"Sec-Websocket-Key":      {proxytest.SampleKey},
		"Sec-Websocket-Protocol": {"wsr.v1, wsr.resume.abc.1.2"},
	}}
	r.Header.Set(proofHeader, New(Config{Proofs: ring}).sealProof(r, "https", target))
	r.RemoteAddr = "10.0.0.1:1" // as the owner sees it
	return r
}

func testRing(t testing.TB) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New([][]byte{bytes.Repeat([]byte{7}, keyring.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestProofRestoresClient(t *testing.T) {
	ring := testRing(t)
	r := provenRequest(ring, "owner:1")
	p, ok := New(Config{Proofs: ring, Self: "owner:1"}).OpenProof(r)
	if !ok {
		t.Fatal("a good proof is refused")
	}
	p.Restore(r)
	header := upgrade.ForwardHeader(r, p.Scheme())
	if header.Get("X-Forwarded-For") != "2001:db8::1" || header.Get("X-Forwarded-Proto") != "https" || r.Header[proofHeader] != nil {
		t.Errorf("the app would see %v", header)
	}
}

// A proof is worth something for its own request, at its own target and for a
// while.
func TestProofElsewhere(t *testing.T) {
	ring := testRing(t)
	for name, change := range map[string]func(*http.Request, *Config){
		"absent":         func(r *http.Request, _ *Config) { r.Header.Del(proofHeader) },
		"two":            func(r *http.Request, _ *Config) { r.Header.Add(proofHeader, r.Header.Get(proofHeader)) },
		"empty":          func(r *http.Request, _ *Config) { r.Header.Set(proofHeader, "") },
		"huge":           func(r *http.Request, _ *Config) { r.Header.Set(proofHeader, strings.Repeat("A", 1<<16)) },
		"replayed":       func(r *http.Request, _ *Config) { r.Header.Set("Sec-Websocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==") },
		"other resume":   func(r *http.Request, _ *Config) { r.Header.Set("Sec-Websocket-Protocol", "wsr.v1, wsr.resume.abd.1.2") },
		"other position": func(r *http.Request, _ *Config) { r.Header.Set("Sec-Websocket-Protocol", "wsr.v1, wsr.resume.abc.1.3") },
		"other path":     func(r *http.Request, _ *Config) { r.RequestURI = "/admin" },
		"other host":     func(r *http.Request, _ *Config) { r.Host = "b.example" },
		"moved":          func(_ *http.Request, c *Config) { c.Self = "other:1" },
		"no keys":        func(_ *http.Request, c *Config) { c.Proofs = nil },
		"other keys": func(_ *http.Request, c *Config) {
			c.Proofs, _ = keyring.New([][]byte{keyring.Generate()})
		},
		"a token's keys": func(_ *http.Request, c *Config) { c.Proofs = ring.Derive("token") },
	} {
		r, cfg := provenRequest(ring, "owner:1"), Config{Proofs: ring, Self: "owner:1"}
		change(r, &cfg)
		if _, ok := New(cfg).OpenProof(r); ok {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestProofForgedBits(t *testing.T) {
	ring := testRing(t)
	r := provenRequest(ring, "owner:1")
	f := New(Config{Proofs: ring, Self: "owner:1"})
	sealed, err := base64.RawURLEncoding.DecodeString(r.Header.Get(proofHeader))
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(sealed) {
		sealed[bit/8] ^= 1 << (bit % 8)
		r.Header.Set(proofHeader, base64.RawURLEncoding.EncodeToString(sealed))
		if _, ok := f.OpenProof(r); ok {
			t.Errorf("bit %d flipped: accepted", bit)
		}
		sealed[bit/8] ^= 1 << (bit % 8)
	}
}

func TestProofExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring := testRing(t)
		r := provenRequest(ring, "owner:1")
		f := New(Config{Proofs: ring, Self: "owner:1"})
		time.Sleep(proofLife + proofSkew)
		if _, ok := f.OpenProof(r); !ok {
			t.Error("refused within its time")
		}
		time.Sleep(time.Millisecond)
		if _, ok := f.OpenProof(r); ok {
			t.Error("accepted after its time")
		}
	})
}

// Of a pod whose clock is ahead.
func TestProofFromTheFuture(t *testing.T) {
	ring := testRing(t)
	f := New(Config{Proofs: ring, Self: "owner:1"})
	for ahead, want := range map[time.Duration]bool{proofSkew - time.Second: true, proofSkew + time.Minute: false} {
		r := provenRequest(ring, "owner:1")
		b := proofText(&Proof{Sealed: time.Now().Add(ahead), Target: "owner:1"})
		r.Header.Set(proofHeader, base64.RawURLEncoding.EncodeToString(ring.Seal(nil, b, proofBinding(r))))
		if _, ok := f.OpenProof(r); ok != want {
			t.Errorf("%v ahead: accepted %v", ahead, ok)
		}
	}
}

func FuzzProof(f *testing.F) {
	for _, p := range []Proof{
		{},
		{Sealed: time.UnixMilli(1), TLS: true, Client: "192.0.2.1:1", Target: "host:1"},
		{Sealed: time.UnixMilli(1 << 40), Client: "[2001:db8::1%eth0]:65535", Target: strings.Repeat("a", 128)},
	} {
		f.Add(proofText(&p))
	}
	f.Add([]byte{proofVersion, proofHop + 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) // forwarded twice
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseProof(b)
		if err != nil {
			return
		}
		if again := proofText(&p); !bytes.Equal(again, b) {
			t.Errorf("% x is written as % x", b, again)
		}
		if p.Client != "" && !validClient(p.Client) {
			t.Errorf("client %q", p.Client)
		}
	})
}
