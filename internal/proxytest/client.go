// Package proxytest is both ends of a proxy for the tests of those that the
// sidecar is made of: clients and apps that say byte for byte what a test wants,
// and certificates.
package proxytest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Patience is how long a test waits for bytes that must come.
const Patience = 10 * time.Second

// An App counts what reaches it.
type App struct {
	*httptest.Server
	Requests atomic.Int64
	Last     atomic.Pointer[http.Request]
}

// NewApp makes one that answers with h, by HTTP/1.1 and HTTP/2.
func NewApp(t *testing.T, h http.HandlerFunc) *App {
	t.Helper()
	a := &App{}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Requests.Add(1)
		a.Last.Store(r.Clone(context.Background()))
		h(w, r)
	}))
	a.Config.Protocols = new(http.Protocols)
	a.Config.Protocols.SetHTTP1(true)
	a.Config.Protocols.SetUnencryptedHTTP2(true)
	a.Config.MaxHeaderBytes = 1 << 20
	a.Start()
	t.Cleanup(a.Close)
	return a
}

// AnswerOK answers "app".
func AnswerOK(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "app") }

// ServeHTTP serves h on l, by HTTP/1.1 and HTTP/2, until the test ends.
func ServeHTTP(t *testing.T, l net.Listener, h http.Handler) {
	t.Helper()
	srv := &http.Server{Handler: h, MaxHeaderBytes: 60 << 10, Protocols: new(http.Protocols), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	if c, ok := h.(interface {
		ConnContext(context.Context, net.Conn) context.Context
	}); ok {
		srv.ConnContext = c.ConnContext
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
}

// A Client is a raw client connection.
type Client struct {
	net.Conn
	*bufio.Reader
	t *testing.T
}

// Dial connects to addr.
func Dial(t *testing.T, addr string) *Client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return NewClient(t, c)
}

// NewClient makes one of a connection.
func NewClient(t *testing.T, c net.Conn) *Client {
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(Patience))
	return &Client{c, bufio.NewReader(c), t}
}

// Send sends s as it is.
func (p *Client) Send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.Conn, s); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// Response reads one response with its body.
func (p *Client) Response() (*http.Response, string) {
	p.t.Helper()
	resp, err := http.ReadResponse(p.Reader, &http.Request{Method: "GET"})
	if err != nil {
		p.t.Fatalf("read response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	// A reset after a whole answer: net/http left some of a bad request
	// unread.
	if err != nil && !(resp.Close && errors.Is(err, syscall.ECONNRESET)) {
		p.t.Fatalf("read body after %s: %v", resp.Status, err)
	}
	return resp, string(body)
}

// WantClosed fails unless the connection ends with nothing more on it.
func (p *Client) WantClosed() {
	p.t.Helper()
	rest, err := io.ReadAll(p.Reader)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Errorf("connection still open")
	}
	if len(rest) > 0 {
		p.t.Errorf("%q came before the connection closed", rest)
	}
}

// Eventually waits until ok, which is looked at often.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not happen", what)
		}
	}
}

// Listen listens on loopback until the test ends.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
