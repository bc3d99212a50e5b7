package natsstore

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// An authority signs the certificates of a test.
type authority struct {
	*certs.Authority
	file string // PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := certs.NewAuthority()
	return &authority{a, writeSecret(t, "ca.pem", a.PEM)}
}

// config is a server's, for the name or address and until the time.
func (a *authority) config(name string, until time.Time) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.IssueUntil(until, name).TLS()}}
}

// writeSecret writes a file as an operator mounts it.
func writeSecret(t *testing.T, name string, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// mustWork opens the journal of cfg and uses it.
func mustWork(t *testing.T, cfg Config) *Store {
	t.Helper()
	s := mustOpen(t, cfg)
	if err := s.Ready(t.Context()); err != nil {
		t.Fatalf("ready: %v", err)
	}
	id := storetest.NewID()
	rec := &store.Record{Kind: store.Snapshot, Epoch: 1, Owner: "a", OutHead: 2, Frames: storetest.Frames(1, 2, 10)}
	rev, err := s.Append(t.Context(), id, 0, rec)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	if st, err := s.Load(t.Context(), id); err != nil || st.Revision != rev || len(st.Frames) != 2 {
		t.Fatalf("load: %+v, %v", st, err)
	}
	return s
}

// mustRefuse opens the journal of cfg, which must fail with all of want in the
// error, and at once rather than at its timeout.
func mustRefuse(t *testing.T, cfg Config, want ...string) {
	t.Helper()
	cfg.Timeout = 20 * time.Second
	began := time.Now()
	s, err := Open(t.Context(), cfg)
	if err == nil {
		s.Close()
		t.Fatalf("open worked, want %q", want)
	}
	for _, part := range want {
		// The client repeats the server's words now in its case, now in lower.
		if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(part)) {
			t.Errorf("open: %v, want %q", err, part)
		}
	}
	if d := time.Since(began); d > cfg.Timeout/2 {
		t.Errorf("open failed only after %v: %v", d, err)
	}
}

func startTLS(t *testing.T, config *tls.Config) string {
	t.Helper()
	return startServer(t, server.RANDOM_PORT, func(o *server.Options) {
		o.TLSConfig, o.TLSTimeout = config, 10
	}).Addr().String()
}

func TestTLS(t *testing.T) {
	ours, other, later := newAuthority(t), newAuthority(t), time.Now().Add(time.Hour)
	good := startTLS(t, ours.config("127.0.0.1", later))
	for _, scheme := range []string{"tls://", "nats://", ""} {
		cfg := externalConfig(t, scheme+good)
		cfg.CAFile = ours.file
		if s := mustWork(t, cfg); s.backend.nc.ConnectedUrl() == "" {
			t.Error("not connected")
		} else if _, err := s.backend.nc.TLSConnectionState(); err != nil {
			t.Errorf("%q: not over TLS: %v", scheme, err)
		}
	}
	cfg := externalConfig(t, good)
	mustRefuse(t, cfg, "no CA file given", "unknown authority")
	cfg.CAFile = other.file
	mustRefuse(t, cfg, "CA file "+other.file, "unknown authority")

	cfg = externalConfig(t, startTLS(t, ours.config("nats.example", later)))
	cfg.CAFile = ours.file
	mustRefuse(t, cfg, "server's certificate", "127.0.0.1")

	plain := startServer(t, server.RANDOM_PORT, nil)
	cfg = externalConfig(t, plain.ClientURL())
	cfg.CAFile = ours.file
	mustRefuse(t, cfg, "TLS wanted")
}

// TestTLSExpired: the server's operator renews a certificate, and pods that
// start meanwhile serve from memory, as with a server that is away.
func TestTLSExpired(t *testing.T) {
	ours := newAuthority(t)
	cfg := externalConfig(t, startTLS(t, ours.config("127.0.0.1", time.Now().Add(-time.Minute))))
	cfg.CAFile, cfg.Timeout = ours.file, 500*time.Millisecond
	s := mustOpen(t, cfg)
	if err := s.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
}
