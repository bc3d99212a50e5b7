package peer

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// Where the proxy port speaks TLS, peers do with the shared certificate, also
// after it has been replaced; a stranger's for the same name is refused.
func TestSharedCertificate(t *testing.T) {
	var pair atomic.Pointer[tls.Certificate]
	replace := func(names ...string) {
		t.Helper()
		ca := proxytest.NewCA(t)
		cert, key := ca.Issue(t, names...)
		p, err := tls.X509KeyPair(append(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw})...), key)
		if err != nil {
			t.Fatal(err)
		}
		pair.Store(&p)
	}
	replace("*.example.com", "example.com")
	l := proxytest.Listen(t)
	shared := func(c *Config) { c.Shared = pair.Load }
	owner := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.Load(), nil }}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				secured := tls.Server(c, owner)
				proved := prove(t, secured, l.Addr().String())
				if proved == nil {
					return // it has not taken our certificate
				}
				readHead(proved)
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
	g.wantEnd(t, Served)
	carry(t, c, br)

	stranger, err := tls.X509KeyPair(proxytest.NewCA(t).Issue(t, "*.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	wrong := newGateway(t, addr, func(c *Config) {
		c.Shared = func() *tls.Certificate { return &stranger }
	})
	wrong.ask(t, "")
	wrong.wantEnd(t, Unreachable)

	replace() // another CA, and an address in place of a name
	g.ask(t, "")
	g.wantEnd(t, Served)
}

// The memory of peers, in virtual time.
func TestPeerHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, ctx := new(health), t.Context()
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
		time.Sleep(time.Second)
		if p.silentFor("a:1") != time.Second || p.silentFor("b:1") != 0 {
			t.Errorf("silent for %v and %v", p.silentFor("a:1"), p.silentFor("b:1"))
		}
		if !attempt(syscall.ECONNREFUSED) || p.silentFor("a:1") != time.Second {
			t.Error("a refusal is no answer, and no silence")
		}
		p.answered("a:1")
		if p.silentFor("a:1") != 0 {
			t.Error("an answer does not end the silence")
		}
		began := time.Now()
		time.Sleep(time.Millisecond)
		p.answered("a:1")
		if p.noAnswer("a:1", began); p.silentFor("a:1") != 0 {
			t.Error("one session that hangs makes its sidecar silent")
		}
		p.noAnswer("a:1", time.Now().Add(time.Millisecond))
		time.Sleep(10 * time.Minute)
		if p.silentFor("a:1") != 0 {
			t.Error("silence is not forgotten")
		}
		if p.getLocked("b:1"); len(p.peers) != 1 {
			t.Errorf("%d addresses are remembered", len(p.peers))
		}
	})
}

// Others wait for who tries first; a client that goes away leaves it to the
// next.
func TestPeerFirstAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(health)
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
