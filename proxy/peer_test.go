package proxy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// An issuer signs certificates for 127.0.0.1.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	ca := &issuer{pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &ca.key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	ca.pool.AddCert(ca.cert)
	return ca
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate for names, as a pair of PEM texts.
func (ca *issuer) issue(t testing.TB, names ...string) (cert, key []byte) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "pod"}, NotAfter: time.Now().Add(time.Hour), DNSNames: names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if len(names) == 0 {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	k := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &k.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs})
}

// mutual is a sidecar's configuration of mutual TLS.
func (ca *issuer) mutual(t testing.TB) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(ca.issue(t))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: ca.pool, MinVersion: tls.VersionTLS13}
}

// servePeers runs a whole sidecar's port for peers in front of an app.
func servePeers(t *testing.T, cfg *tls.Config) (s *Server, addr string) {
	t.Helper()
	app := newWitness(t)
	l := listen(t)
	s, err := New(Config{Upstream: app.url, Tokens: testRing(t), Proofs: testRing(t), PeerTLS: cfg, Advertise: l.Addr().String()})
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
	ca, other := newIssuer(t), newIssuer(t)
	_, addr := servePeers(t, ca.mutual(t))
	bare := ca.mutual(t)
	bare.Certificates = nil
	foreign := other.mutual(t)
	foreign.RootCAs = ca.pool // it believes the owner, but not the owner it
	for name, tc := range map[string]struct {
		config *tls.Config
		want   tunnelEnd
	}{
		"both from one CA":       {ca.mutual(t), tunnelServed},
		"no certificate":         {bare, tunnelSilent},
		"a certificate of other": {foreign, tunnelSilent},
		"the owner is of other":  {other.mutual(t), tunnelSilent},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, addr, func(c *Config) { c.PeerTLS, c.Proofs = tc.config, testRing(t) })
			c, br, resp := g.ask(t, "")
			g.wantEnd(t, tc.want)
			if tc.want != tunnelServed {
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
	ca := newIssuer(t)
	_, addr := servePeers(t, ca.mutual(t))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: ca.mutual(t)}}
	resp, err := client.Get("https://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Error(resp.Status)
	}
	g := newGateway(t, addr, func(c *Config) { c.PeerTLS = ca.mutual(t) }) // with proofs of its own
	g.ask(t, "")
	g.wantEnd(t, tunnelSilent)
}

func TestServePeersNeedsCA(t *testing.T) {
	for name, c := range map[string]*tls.Config{"nothing": nil, "no CA": {}} {
		if err := (&Server{cfg: Config{PeerTLS: c}}).ServePeers(listen(t)); err == nil {
			t.Errorf("%s: served", name)
		}
	}
}

// Where the proxy port speaks TLS, peers do with the shared certificate, also
// after it has been replaced; a stranger's for the same name is refused.
func TestSharedCertificate(t *testing.T) {
	dir := t.TempDir()
	crt, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	replace := func(names ...string) {
		t.Helper()
		ca := newIssuer(t)
		cert, k := ca.issue(t, names...)
		writeFile(t, crt, append(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})...))
		writeFile(t, key, k)
	}
	replace("*.example.com", "example.com")
	l := listen(t)
	shared := func(c *Config) { c.TLSCert, c.TLSKey = crt, key }
	owner := newGateway(t, echoOwner(t), shared) // for its certificate
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				secured := tls.Server(c, owner.tls)
				readHead(secured)
				_, _ = secured.Write([]byte(ownerSwitch))
				b := make([]byte, 64<<10)
				for n, err := secured.Read(b); err == nil; n, err = secured.Read(b) {
					_, _ = secured.Write(b[:n])
				}
			}()
		}
	}()
	addr := l.Addr().String()
	g := newGateway(t, addr, shared)
	c, br, _ := g.ask(t, "")
	g.wantEnd(t, tunnelServed)
	carry(t, c, br)

	stranger := t.TempDir()
	cert, k := newIssuer(t).issue(t, "*.example.com")
	writeFile(t, filepath.Join(stranger, "tls.crt"), cert)
	writeFile(t, filepath.Join(stranger, "tls.key"), k)
	wrong := newGateway(t, addr, func(c *Config) {
		c.TLSCert, c.TLSKey = filepath.Join(stranger, "tls.crt"), filepath.Join(stranger, "tls.key")
	})
	wrong.ask(t, "")
	wrong.wantEnd(t, tunnelSilent)

	replace() // another CA, and an address in place of a name
	time.Sleep(certificatePoll)
	g.ask(t, "")
	g.wantEnd(t, tunnelServed)
}

// The memory of peers, in virtual time.
func TestPeerNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(Server)
		p, ctx := &s.peers, t.Context()
		attempt := func(err error) bool {
			done, ok := p.admit(ctx, "a:1")
			if ok {
				done(err)
			}
			return ok
		}
		dead := errors.New("no route")
		if !attempt(dead) || attempt(dead) {
			t.Error("bad news must stop the next")
		}
		time.Sleep(newsLife)
		if s.silentFor("a:1") != newsLife || s.silentFor("b:1") != 0 {
			t.Errorf("silent for %v and %v", s.silentFor("a:1"), s.silentFor("b:1"))
		}
		if !attempt(syscall.ECONNREFUSED) || s.silentFor("a:1") != newsLife {
			t.Error("a refusal is no answer, and no silence")
		}
		p.answered("a:1")
		if s.silentFor("a:1") != 0 {
			t.Error("an answer does not end the silence")
		}
		began := time.Now()
		time.Sleep(time.Millisecond)
		p.answered("a:1")
		if p.unheard("a:1", began); s.silentFor("a:1") != 0 {
			t.Error("one session that hangs makes its sidecar silent")
		}
		p.unheard("a:1", time.Now().Add(time.Millisecond))
		time.Sleep(silenceLife)
		if s.silentFor("a:1") != 0 {
			t.Error("silence is not forgotten")
		}
		if p.of("b:1"); len(p.news) != 1 {
			t.Errorf("%d addresses are remembered", len(p.news))
		}
	})
}

// Others wait for who tries first; a client that goes away leaves it to the
// next.
func TestPeerFirstAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(peers)
		first, stop := context.WithCancel(t.Context())
		done, _ := p.admit(first, "a:1")
		admitted, refused := 0, 0
		results := make(chan bool)
		for range 10 {
			go func() {
				d, ok := p.admit(t.Context(), "a:1")
				if ok {
					time.Sleep(time.Millisecond)
					d(errors.New("no route"))
				}
				results <- ok
			}()
		}
		synctest.Wait()
		stop()
		done(context.Canceled)
		for range 10 {
			if <-results {
				admitted++
			} else {
				refused++
			}
		}
		if admitted != 1 || refused != 9 {
			t.Errorf("%d were admitted", admitted)
		}
	})
}
