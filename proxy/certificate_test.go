package proxy

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
)

// discard is for tests that do not look at the log.
var discard = slog.New(slog.DiscardHandler)

// writePair writes a self-signed certificate for name and its key.
func writePair(t *testing.T, dir, name string) {
	t.Helper()
	if _, _, err := certs.SelfSigned(name).Write(dir); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The pair lives in a folder that a link points to, and the link is swapped,
// as Kubernetes does with a mounted secret.
func TestCertificateReload(t *testing.T) {
	root := t.TempDir()
	swap := func(name string) {
		t.Helper()
		next := filepath.Join(root, "next")
		if err := os.Symlink(name, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(root, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"one", "two", "broken"} {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		writePair(t, dir, name)
	}
	writeFile(t, filepath.Join(root, "broken", "tls.key"), []byte("half a key"))

	var logged bytes.Buffer
	swap("one")
	c, err := newCertificate(filepath.Join(root, "..data", "tls.crt"), filepath.Join(root, "..data", "tls.key"),
		slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	want := func(after time.Duration, name string) {
		t.Helper()
		now = now.Add(after)
		if got := c.current(now).Leaf.Subject.CommonName; got != name {
			t.Errorf("certificate %q, want %q", got, name)
		}
	}
	want(0, "one")
	swap("two")
	want(certificatePoll-1, "one")
	want(1, "two")
	swap("broken")
	for range 5 {
		want(certificatePoll, "two")
	}
	if n := strings.Count(logged.String(), "level=ERROR"); n != 1 {
		t.Errorf("the broken pair was logged %d times:\n%s", n, &logged)
	}
	if strings.Contains(logged.String(), "half a key") {
		t.Errorf("the log holds the key: %s", &logged)
	}
	if err := os.Remove(filepath.Join(root, "..data")); err != nil {
		t.Fatal(err)
	}
	want(certificatePoll, "two")
	swap("one")
	want(certificatePoll, "one")
	if _, err := newCertificate(filepath.Join(root, "broken", "tls.crt"), filepath.Join(root, "broken", "tls.key"), discard); err == nil {
		t.Error("a broken pair was accepted at the start")
	}
}
