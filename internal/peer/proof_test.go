package peer

import (
	"bytes"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/internal/keyring"
)

func testRing(t testing.TB) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New([][]byte{bytes.Repeat([]byte{7}, keyring.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func FuzzProof(f *testing.F) {
	for _, p := range []Proof{
		{},
		{TLS: true, Client: "192.0.2.1:1"},
		{Client: "[2001:db8::1%eth0]:65535"},
	} {
		f.Add(append(proofText(&p, handshakeVersion), "GET / HTTP/1.1\r\n\r\n"...))
	}
	f.Add([]byte{handshakeVersion, proofHop + 1, 0, 0}) // forwarded twice
	f.Add([]byte{handshakeVersion + 1, proofHop, 0, 0})
	f.Add([]byte(strings.Repeat("\x01\x01", 200)))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, rest, err := parseProof(b, handshakeVersion)
		if err != nil {
			return
		}
		if again := append(proofText(&p, handshakeVersion), rest...); !bytes.Equal(again, b) {
			t.Errorf("% x is written as % x", b, again)
		}
		if p.Client != "" && !validClient(p.Client) {
			t.Errorf("client %q", p.Client)
		}
	})
}
