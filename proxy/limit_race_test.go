package proxy

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// Handshakes that are with the app at the same time may be more than the limit
// allows: those that come too late hear so, of either kind.
func TestHandshakesBeyondLimit(t *testing.T) {
	t.Parallel()
	const clients = 4
	for _, protocols := range []string{"", "wsr, wsr.v1"} {
		var there sync.WaitGroup
		there.Add(clients)
		app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			there.Done()
			there.Wait() // all have been admitted
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
				upgrade.AcceptKey(r.Header.Get("Sec-WebSocket-Key")))
			_, _ = conn.Read(make([]byte, 1)) // until it ends
		}))
		defer app.Close()
		_, addr := startServer(t, app.URL, func(c *Config) { c.MaxSessionsPerClient = 1 })
		var all sync.WaitGroup
		var mu sync.Mutex
		answers := map[string]int{}
		var open []net.Conn
		for range clients {
			all.Go(func() {
				answer := "nothing"
				c, err := net.Dial("tcp", addr)
				if err == nil {
					_ = c.SetDeadline(time.Now().Add(20 * time.Second))
					fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
					if protocols != "" {
						fmt.Fprintf(c, "Sec-WebSocket-Protocol: %s\r\n", protocols)
					}
					fmt.Fprint(c, "\r\n")
					resp, err := http.ReadResponse(bufio.NewReader(c), nil) //nolint:bodyclose // the connection is
					if answer = fmt.Sprint(err); err == nil {
						answer = fmt.Sprint(resp.StatusCode, resp.Header.Get("Wsr-Refused"), resp.Header.Get("Retry-After") != "")
					}
				}
				mu.Lock()
				defer mu.Unlock()
				answers[answer]++
				open = append(open, c)
			})
		}
		all.Wait()
		if answers["101false"] != 1 || answers["503sessionstrue"] != clients-1 {
			t.Errorf("%q: answers %v, want one 101, and 503 with the reason for the others", protocols, answers)
		}
		for _, c := range open {
			c.Close()
		}
	}
}
