package endtoend

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab"
)

// The address of a sidecar that was killed is used again: by a sidecar of others,
// by an attacker, or by the same one that restarts. Its sessions go on elsewhere
// all the same, and whoever is there hears nothing of them.
func TestAddressUsedAgain(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t)
	others, _ := newKey(t)
	f := newProcesses(t, "WSR_TOKEN_KEYS="+key)
	other := f.start(&binary, nil)
	attacks := map[string]string{
		"101":     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: wsr.v1\r\n\r\n",
		"200":     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		"421":     "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n",
		"garbage": "\x00\xff\x16\x03\x01 SSH-2.0\r\n\r\n",
		"silence": "",
	}
	folder := t.TempDir() // of a process that ends with f, after the tests of the cases
	cases := map[string]func(*testing.T, *lab.Sidecar){
		"the same, restarted": func(t *testing.T, old *lab.Sidecar) {
			f.start(&binary, func(s *lab.Sidecar) { s.Addr = old.Addr })
		},
		"a sidecar of others": func(t *testing.T, old *lab.Sidecar) {
			var mu sync.Mutex
			var heard bytes.Buffer
			app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				_ = r.Write(&heard)
				mu.Unlock()
				gorillaEcho(w, r)
			}))
			t.Cleanup(app.Close)
			f.start(&binary, func(s *lab.Sidecar) {
				s.Addr, s.Upstream = old.Addr, app.URL
				s.Settings = []string{"WSR_TOKEN_KEYS=" + others, "WSR_DATA_DIR=" + folder}
			})
			t.Cleanup(func() {
				mu.Lock()
				defer mu.Unlock()
				wantNoSecret(t, heard.Bytes())
			})
		},
	}
	for name, answer := range attacks {
		cases["an attacker: "+name] = func(t *testing.T, old *lab.Sidecar) {
			l, err := net.Listen("tcp", old.Addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			attacker(answer)(t, l)
		}
	}
	for name, take := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			owner := f.start(&binary, nil)
			var at atomic.Pointer[string]
			at.Store(&owner.Addr)
			var taken sync.RWMutex // held while the address is nobody's
			var mu sync.Mutex
			var conns []net.Conn
			c, _, err := client.Dial(t.Context(), "ws://app/", &client.Options{ //nolint:bodyclose // need not be closed
				Adopt: true, Backoff: client.Backoff{Max: 300 * time.Millisecond},
				Header: func(context.Context) (http.Header, error) {
					return http.Header{"Cookie": {"sid=SECRET"}, "Authorization": {"Bearer SECRET"}}, nil
				},
				NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) {
					taken.RLock()
					defer taken.RUnlock()
					conn, err := new(net.Dialer).DialContext(ctx, "tcp", *at.Load())
					if err == nil {
						mu.Lock()
						conns = append(conns, conn)
						mu.Unlock()
					}
					return conn, err
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.CloseNow() })
			echo := func(text string) {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if err := c.WriteAcked(ctx, client.MessageText, []byte(text)); err != nil {
					t.Fatal(err)
				}
				mustRead(ctx, t, c, text)
			}
			echo("before")
			time.Sleep(200 * time.Millisecond) // the session is in the journal
			at.Store(&other.Addr)
			taken.Lock()
			owner.Kill()
			take(t, owner)
			taken.Unlock()
			echo("after")
			if n := len(c.Events()); n == 0 {
				t.Error("nothing was said of an adoption")
			}
			for len(c.Events()) > 0 {
				if e := <-c.Events(); e.Kind == client.EventReset {
					t.Errorf("the client was told %v %s", e.Kind, e.Reason)
				}
			}
		})
	}
}
