package endtoend

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
)

// The address of an owner that is gone has become another's: a sidecar's with
// other keys, or an attacker's who says what he likes. While the owner's lease
// lasts, the client is told to try again; then its session is adopted, and the
// stranger has heard nothing of it.
func TestAddressOfOwnerIsAnothers(t *testing.T) {
	for name, serve := range map[string]func(*testing.T, net.Listener){
		"a foreign sidecar whose app accepts": foreignSidecar(newScript()),
		"a foreign sidecar whose app says 200": foreignSidecar(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hello")
		})),
		"a foreign sidecar whose app says 404": foreignSidecar(http.NotFoundHandler()),
		"an attacker who says WELCOME":         attacker("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: wsr.v1\r\n\r\n"),
		"an attacker who says 421":             attacker("HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n"),
		"a process that is silent":             attacker(""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newScript()
			f := fleetOf(t, 2, app, nil)
			owner, other := f.pods[0], f.pods[1]
			v := f.connect(0, "/", &client.Options{Adopt: true, Header: func(context.Context) (http.Header, error) {
				return http.Header{"Cookie": {"sid=SECRET"}, "Authorization": {"Bearer SECRET"}}, nil
			}})
			<-app.sockets
			v.sayAcked("in-0")
			owner.link.Close()
			l, err := net.Listen("tcp", owner.addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			serve(t, l)
			v.move(1)
			soon(t, "the client is told to try again", func() bool { return other.watch.count("reset try_again") > 0 })
			f.leases.set(owner.name, store.LeaseGone)
			v.event(client.EventAdopted, "owner_lost")
			<-app.sockets
			v.sayAcked("in-1")
			soon(t, "the app has heard all, once", func() bool { return app.all() == "1:in-0 2:in-1" })
		})
	}
}

// foreignSidecar is one of others, with its own keys and app.
func foreignSidecar(app http.Handler) func(*testing.T, net.Listener) {
	return func(t *testing.T, l net.Listener) {
		var mu sync.Mutex
		var heard bytes.Buffer
		backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			_ = r.Header.Write(&heard)
			mu.Unlock()
			app.ServeHTTP(w, r)
		}))
		t.Cleanup(backend.Close)
		ring := newRing(t, keyring.Generate())
		s, err := proxy.New(proxy.Config{Upstream: backend.URL, Tokens: ring, Proofs: ring, Advertise: l.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			<-served
			mu.Lock()
			defer mu.Unlock()
			wantNoSecret(t, heard.Bytes())
		})
	}
}

// attacker records all that it gets and answers everything with the same.
func attacker(answer string) func(*testing.T, net.Listener) {
	return func(t *testing.T, l net.Listener) {
		var mu sync.Mutex
		var heard bytes.Buffer
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					b := make([]byte, 64<<10)
					for {
						n, err := c.Read(b)
						mu.Lock()
						heard.Write(b[:n])
						mu.Unlock()
						if err != nil {
							return
						}
						_, _ = io.WriteString(c, answer)
					}
				}()
			}
		}()
		t.Cleanup(func() {
			mu.Lock()
			defer mu.Unlock()
			if heard.Len() == 0 {
				t.Error("nobody asked the attacker")
			}
			wantNoSecret(t, heard.Bytes())
		})
	}
}

func wantNoSecret(t *testing.T, heard []byte) {
	t.Helper()
	for _, secret := range []string{"SECRET", "wsr.resume", "Cookie", "Authorization", "POST"} {
		if bytes.Contains(heard, []byte(secret)) {
			t.Errorf("%q was heard:\n%s", secret, heard)
		}
	}
}

// A sidecar that restarts in place is another owner: the tokens and the lease of
// the former process at its address lead neither it nor another sidecar around in
// a circle, and nobody waits for that lease to end.
func TestOwnerRestartedInPlace(t *testing.T) {
	for name, at := range map[string]int{"at the restarted one": 2, "at another": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newScript()
			f := fleetOf(t, 2, app, nil)
			owner := f.pods[0]
			v := f.connect(0, "/", &client.Options{Adopt: true})
			socket := <-app.sockets
			v.sayAcked("in-0")
			say(t, socket, "out-0")
			f.journaled(owner.session(t).ID, 1)
			v.move(-1)
			// The process dies, and nothing tells so: its lease goes on.
			owner.link.Close()
			f.at = owner.addr
			f.add(nil)
			began := time.Now()
			v.to.Store(int64(at))
			v.event(client.EventAdopted, "owner_lost")
			v.hear("out-0")
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			for i, p := range f.pods[1:] {
				if n := p.watch.count("reset try_again") + p.watch.count("forwarded unreachable"); n > 0 {
					t.Errorf("pod %d: %d tries failed\n%s", i+1, n, p.log)
				}
			}
			<-app.sockets
			v.sayAcked("in-1")
			// The new owner is found by its own name.
			v.move(3 - at)
			v.event(client.EventResumed, "")
		})
	}
}
