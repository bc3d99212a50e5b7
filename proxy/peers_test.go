package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/peer"
	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// A gateway is another sidecar, of which nothing is here but its way to owners:
// every upgrade goes to one. What else came of it than an answer is a 503.
type gateway struct {
	addr string
	ends chan peer.Result
}

func newGateway(t testing.TB, owner string, cfg peer.Config) *gateway {
	t.Helper()
	cfg.Self, cfg.Logger = "gateway:1", discard
	forwarder := peer.New(cfg)
	g := &gateway{ends: make(chan peer.Result, 16)}
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		end := forwarder.Forward(w, r, "http", owner)
		g.ends <- end
		if end != peer.Served {
			http.Error(w, end.String(), http.StatusServiceUnavailable)
		}
	}))
	g.addr = hs.Listener.Addr().String()
	t.Cleanup(func() {
		forwarder.CloseAll()
		hs.Close()
	})
	return g
}

// ask sends the sample request and reads the answer's head.
func (g *gateway) ask(t testing.TB) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(attackPatience))
	if _, err := io.WriteString(c, proxytest.UpgradeHead+"\r\n"); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return c, br, resp
}

func (g *gateway) wantEnd(t testing.TB, want peer.Result) {
	t.Helper()
	select {
	case got := <-g.ends:
		if got != want {
			t.Errorf("ended as %s, want %s", got, want)
		}
	case <-time.After(attackPatience):
		t.Errorf("no end, want %s", want)
	}
}

// discard is for tests that do not look at the log.
var discard = slog.New(slog.DiscardHandler)

// fixed is a configuration that does not change.
func fixed(c *tls.Config) func() *tls.Config { return func() *tls.Config { return c } }

func testRing(t testing.TB) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New([][]byte{bytes.Repeat([]byte{7}, keyring.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// A session of a real owner is resumed through another sidecar, and neither
// the app nor the client can tell.
func TestTunnelToOwner(t *testing.T) {
	sc := newScene(t, func(c *Config) { c.Advertise, c.Proofs = advertiseSelf, c.Tokens.(*keyring.Ring) })
	p := sc.resilient("/a", "Origin: https://good")
	p.echo("directly")
	direct := sc.addr
	p.conn.Close()
	for range 3 {
		g := newGateway(t, direct, peer.Config{Proofs: sc.ring})
		sc.addr = g.addr
		q, how := p.back("Origin: https://good")
		if how != "resumed" {
			t.Fatalf("through the tunnel: %s", how)
		}
		q.echo("through it")
		g.wantEnd(t, peer.Served)
		p = q
	}
	sc.addr = direct
	if n := sc.app.dialled("/a"); n != 1 {
		t.Errorf("the app was dialled %d times", n)
	}
}

// servePeers runs a whole sidecar's port for peers in front of an app.
func servePeers(t *testing.T, cfg *tls.Config) (s *Server, addr string) {
	t.Helper()
	app := newWitness(t)
	l := proxytest.Listen(t)
	s, err := New(Config{Upstream: app.url, Tokens: testRing(t), Proofs: testRing(t), PeerTLS: fixed(cfg), Advertise: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.ServePeers(l) }()
	t.Cleanup(func() {
		for _, c := range s.sessions.all() {
			c.kill()
		}
		_ = s.peerHTTP.Shutdown(context.Background())
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

func TestMutualTLS(t *testing.T) {
	ca, other := proxytest.NewCA(t), proxytest.NewCA(t)
	_, addr := servePeers(t, ca.Mutual(t))
	bare := ca.Mutual(t)
	bare.Certificates = nil
	foreign := other.Mutual(t)
	foreign.RootCAs = ca.Pool // it believes the owner, but not the owner it
	named := func(own, expected string) *tls.Config {
		c := ca.MutualFor(t, own)
		c.ServerName = expected
		return c
	}
	_, shop := servePeers(t, named("wsresilience.shop", "wsresilience.shop"))
	for name, tc := range map[string]struct {
		config *tls.Config
		want   peer.Result
	}{
		"of the same name":           {named("wsresilience.shop", "wsresilience.shop"), peer.Served},
		"of another name":            {named("wsresilience.other", "wsresilience.shop"), peer.Unreachable},
		"the owner is of other name": {named("wsresilience.shop", "wsresilience.other"), peer.Unreachable},
		"both from one CA":           {ca.Mutual(t), peer.Served},
		"no certificate":             {bare, peer.Unreachable},
		"a certificate of other":     {foreign, peer.Unreachable},
		"the owner is of other":      {other.Mutual(t), peer.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			addr := addr
			if tc.config.ServerName != "" {
				addr = shop
			}
			g := newGateway(t, addr, peer.Config{TLS: fixed(tc.config), Proofs: testRing(t)})
			c, br, resp := g.ask(t)
			g.wantEnd(t, tc.want)
			if tc.want != peer.Served {
				return
			}
			if resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatal(resp.Status)
			}
			_, _ = c.Write(masked(1, []byte("hi")))
			if b, err := br.ReadByte(); err != nil || b != 0x81 {
				t.Errorf("%x, %v", b, err)
			}
		})
	}
}

// The port for peers is for tunnelled requests only; who has the certificate
// but not the keys is told apart from an app that says 403.
func TestPeersNeedProof(t *testing.T) {
	ca := proxytest.NewCA(t)
	_, addr := servePeers(t, ca.Mutual(t))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: ca.Mutual(t)}}
	resp, err := client.Get("https://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Error(resp.Status)
	}
	foreignRing, err := keyring.New([][]byte{keyring.Generate()})
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, addr, peer.Config{TLS: fixed(ca.Mutual(t)), Proofs: foreignRing}) // with proofs of its own
	g.ask(t)
	g.wantEnd(t, peer.Unreachable)
}

func TestServePeersNeedsCA(t *testing.T) {
	for name, c := range map[string]func() *tls.Config{"nothing": nil, "no configuration": fixed(nil), "no CA": fixed(&tls.Config{})} {
		if err := (&Server{cfg: Config{PeerTLS: c}}).ServePeers(proxytest.Listen(t)); err == nil {
			t.Errorf("%s: served", name)
		}
	}
}
