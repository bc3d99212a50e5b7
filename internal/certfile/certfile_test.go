package certfile

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
)

// secret is a folder that a link points to, and the link is swapped, as Kubernetes
// does with a mounted Secret.
type secret struct {
	t    *testing.T
	root string
	log  bytes.Buffer
}

func newSecret(t *testing.T) *secret { return &secret{t: t, root: t.TempDir()} }

func (s *secret) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&s.log, nil)) }

func (s *secret) path(file string) string { return filepath.Join(s.root, "..data", file) }

// put makes a version with these files; swap makes it the one that is mounted.
func (s *secret) put(version string, p certs.Pair, files map[string][]byte) {
	s.t.Helper()
	dir := filepath.Join(s.root, version)
	if err := os.Mkdir(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if _, _, err := p.Write(dir); err != nil {
		s.t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *secret) swap(version string) {
	s.t.Helper()
	next := filepath.Join(s.root, "next")
	if err := os.Symlink(version, next); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(s.root, "..data")); err != nil {
		s.t.Fatal(err)
	}
}

func (s *secret) wantErrors(n int) {
	s.t.Helper()
	if got := strings.Count(s.log.String(), "level=ERROR"); got != n {
		s.t.Errorf("%d errors in the log, want %d:\n%s", got, n, &s.log)
	}
	if strings.Contains(s.log.String(), "half a key") {
		s.t.Errorf("the log holds the key: %s", &s.log)
	}
}

func TestPairReload(t *testing.T) {
	s := newSecret(t)
	for _, name := range []string{"one", "two", "broken"} {
		files := map[string][]byte{}
		if name == "broken" {
			files["tls.key"] = []byte("half a key")
		}
		s.put(name, certs.SelfSigned(name), files)
	}
	s.swap("one")
	p, err := NewPair(s.path("tls.crt"), s.path("tls.key"), s.logger())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	want := func(after time.Duration, name string, invalid bool) {
		t.Helper()
		now = now.Add(after)
		if got := p.Current(now).Leaf.Subject.CommonName; got != name {
			t.Errorf("certificate %q, want %q", got, name)
		}
		if st := p.State(now); st.Invalid != invalid || !st.NotAfter.Equal(p.Current(now).Leaf.NotAfter) {
			t.Errorf("%s: state %+v", name, st)
		}
	}
	want(0, "one", false)
	s.swap("two")
	want(Poll-1, "one", false)
	want(1, "two", false)
	s.swap("broken")
	for range 5 {
		want(Poll, "two", true)
	}
	s.wantErrors(1)
	if err := os.Remove(filepath.Join(s.root, "..data")); err != nil {
		t.Fatal(err)
	}
	want(Poll, "two", true)
	s.swap("one")
	want(Poll, "one", false)
	want(-time.Hour, "one", false) // a clock that is set back does not stop it
	s.swap("two")
	want(Poll, "two", false)
	if _, err := NewPair(filepath.Join(s.root, "broken", "tls.crt"), filepath.Join(s.root, "broken", "tls.key"), s.logger()); err == nil {
		t.Error("a broken pair was accepted at the start")
	}
}

// TestMutualReload: certificate and authorities change together, and what is
// broken of them changes nothing.
func TestMutualReload(t *testing.T) {
	s := newSecret(t)
	ca, next := certs.NewAuthority(), certs.NewAuthority()
	one, two := ca.Issue("wsresilience.shop"), next.Issue("wsresilience.shop")
	s.put("one", one, map[string][]byte{"ca.crt": ca.PEM})
	s.put("both", one, map[string][]byte{"ca.crt": append(bytes.Clone(ca.PEM), next.PEM...)})
	s.put("two", two, map[string][]byte{"ca.crt": next.PEM})
	s.put("no authority", two, map[string][]byte{"ca.crt": []byte("none")})
	s.put("half", two, map[string][]byte{"ca.crt": next.PEM, "tls.key": one.Key})
	s.put("empty", two, map[string][]byte{"ca.crt": nil, "tls.crt": nil})
	s.swap("one")
	m, err := NewMutual(s.path("tls.crt"), s.path("tls.key"), s.path("ca.crt"), s.logger())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	trusts := func(a *certs.Authority) bool {
		_, err := a.Issue("x").TLS().Leaf.Verify(x509.VerifyOptions{Roots: m.Current(now).RootCAs})
		return err == nil
	}
	want := func(version string, cert certs.Pair, old, young bool) {
		t.Helper()
		if version != "" {
			s.swap(version)
		}
		now = now.Add(Poll)
		c := m.Current(now)
		if !bytes.Equal(c.Certificates[0].Leaf.Raw, cert.TLS().Leaf.Raw) || c.ServerName != "wsresilience.shop" || c.ClientCAs != c.RootCAs {
			t.Errorf("%s: another certificate", version)
		}
		if trusts(ca) != old || trusts(next) != young {
			t.Errorf("%s: trusts the old authority: %v, the next: %v", version, trusts(ca), trusts(next))
		}
	}
	want("", one, true, false)
	want("both", one, true, true)
	want("two", two, false, true)
	s.wantErrors(0)
	want("one", one, true, false)
	for i, broken := range []string{"no authority", "half", "empty"} {
		want(broken, one, true, false)
		if !m.State(now).Invalid {
			t.Errorf("%s: passes for good", broken)
		}
		s.wantErrors(i + 1)
		want("one", one, true, false)
	}
}
