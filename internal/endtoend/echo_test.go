package endtoend

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/proxy"
)

var payloads = []string{
	"", "a", strings.Repeat("b", 125), strings.Repeat("c", 126), strings.Repeat("d", 65535),
	strings.Repeat("efgh", 1<<17), "\xffWSR\x02 looks like one of ours", "\xffWSR",
}

// echo sends every payload, cuts the network in between, and wants each back
// once.
func echo(t *testing.T, c *client.Conn, cut func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i, p := range payloads {
		if err := c.Write(ctx, client.MessageBinary, []byte(p)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			cut()
		}
		typ, got, err := c.Read(ctx)
		if err != nil || typ != client.MessageBinary || string(got) != p {
			t.Fatalf("%d bytes came back as %v, %d bytes, %v", len(p), typ, len(got), err)
		}
	}
	if err := c.Close(1000, "done"); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// The Go client with apps that we did not write, through cuts.
func TestEcho(t *testing.T) {
	eachApp(t, func(t *testing.T, app http.Handler) {
		backend := httptest.NewServer(app)
		defer backend.Close()
		s := newStageAt(t, backend.URL, nil)
		c := s.dial(t, &client.Options{Subprotocols: []string{"chat", "echo"}})
		if got := c.Subprotocol(); got != "echo" {
			t.Fatalf("subprotocol %q, want the app's", got)
		}
		echo(t, c, func() { s.link.Cut(faultlink.RST) })
	})
}

// The app listens on a Unix socket.
func TestEchoOverUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	backend := &http.Server{Handler: http.HandlerFunc(coderEcho)}
	go backend.Serve(l)
	defer backend.Close()
	s := newStageAt(t, "unix:"+path, nil)
	echo(t, s.dial(t, nil), func() { s.link.Cut(faultlink.FIN) })
}

// The listener speaks TLS: the transport is the one of any net.Conn.
func TestEchoOverTLS(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(gorillaEcho))
	defer backend.Close()
	certFile, keyFile, pool := certificate(t)
	s := newStageAt(t, backend.URL, func(c *proxy.Config) { c.TLSCert, c.TLSKey = certFile, keyFile })
	c, _, err := client.Dial(t.Context(), "wss://"+s.link.Addr()+"/", &client.Options{TLSConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if !c.Resilient() {
		t.Fatal("the session is not resilient")
	}
	echo(t, c, func() { s.link.Cut(faultlink.RST) })
}

// certificate makes a self-signed pair for localhost.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(certFile, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pool
}
