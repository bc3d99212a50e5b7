package passthrough

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// An http2Client is one connection of HTTP/2, or one after another.
type http2Client struct {
	t    *testing.T
	addr string
	tr   *http.Transport
}

func newHTTP2Client(t *testing.T, addr string) *http2Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http2Client{t, addr, tr}
}

// get returns the answer, and whether its connection was used before.
func (c *http2Client) get(path string, field ...string) (status int, body string, reused bool) {
	c.t.Helper()
	r, _ := http.NewRequest("GET", "http://"+c.addr+path, nil)
	for _, f := range field {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}))
	resp, err := c.tr.RoundTrip(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), reused
}

// What an app knows of a connection is one client's by HTTP/2 too, whether it
// speaks that itself or not.
func TestHTTP2OneClientOneConnection(t *testing.T) {
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, " ", r.RemoteAddr) })
	for scheme, proto := range map[string]string{"http": "HTTP/2.0", "https": "HTTP/1.1"} {
		f := newFront(t, a.URL, func(c *Config) { c.Scheme = scheme })
		seen := map[string]bool{}
		for range 5 {
			c := newHTTP2Client(t, f.addr)
			_, first, _ := c.get("/")
			if _, again, _ := c.get("/"); again != first || !strings.HasPrefix(first, proto+" ") {
				t.Errorf("%s: %q, then %q", scheme, first, again)
			}
			if seen[first] {
				t.Errorf("%s: two clients share %s", scheme, first)
			}
			seen[first] = true
		}
	}
}

// A client's end ends its connections to the app.
func TestHTTP2ConnectionsEnd(t *testing.T) {
	var open atomic.Int64
	l := byteApp(t, func(c net.Conn) {
		open.Add(1)
		defer open.Add(-1)
		br := bufio.NewReader(c)
		for readHead(br) != "" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	f := newFront(t, urlOf(l), func(c *Config) { c.Scheme = "https" })
	c := newHTTP2Client(t, f.addr)
	c.get("/")
	if open.Load() == 0 {
		t.Fatal("no connection is seen")
	}
	c.tr.CloseIdleConnections()
	proxytest.Eventually(t, "the app's connection ends", func() bool { return open.Load() == 0 })
}

// A request that kills the app reaches it once.
func TestHTTP2NothingIsSentTwice(t *testing.T) {
	var kills atomic.Int64
	l := byteApp(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		for {
			head := readHead(br)
			if strings.Contains(head, "/kill") {
				kills.Add(1)
				return
			}
			if head == "" {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	c := newHTTP2Client(t, newFront(t, urlOf(l), func(c *Config) { c.Scheme = "https" }).addr)
	c.get("/")
	if status, _, _ := c.get("/kill"); status != http.StatusBadGateway {
		t.Errorf("%d, want 502", status)
	}
	if n := kills.Load(); n != 1 {
		t.Errorf("%d requests reached the app", n)
	}
}

// A draining sidecar says GOAWAY behind an answer.
func TestHTTP2DrainingGoesAway(t *testing.T) {
	var drains atomic.Bool
	a := proxytest.NewApp(t, proxytest.AnswerOK)
	c := newHTTP2Client(t, newFront(t, a.URL, func(c *Config) { c.Draining = drains.Load }).addr)
	c.get("/")
	if _, _, reused := c.get("/"); !reused {
		t.Error("the connection was not kept")
	}
	drains.Store(true)
	c.get("/")
	proxytest.Eventually(t, "a new connection", func() bool {
		_, _, reused := c.get("/")
		return !reused
	})
}
