package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for bytes that must come.
const patience = 10 * time.Second

// A front is the HTTP half of a sidecar on a real socket: the guard, the
// check, the pass-through and the handshake with the app, joined as simply as
// can be.
type front struct {
	addr string
	up   *upstream
	pass *passthrough

	log *slog.Logger

	timeout time.Duration // of the app's handshake, 0 for the real one
	logged  bytes.Buffer
}

func newFront(t *testing.T, app string) *front {
	t.Helper()
	up, err := parseUpstream(app)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{up: up}
	f.log = slog.New(slog.NewTextHandler(&f.logged, nil))
	f.pass = newPassthrough(up, f.log, passthroughConfig{Scheme: "http", HeaderTimeout: patience})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	serveHTTP(t, guardHeads(l), f)
	t.Cleanup(f.pass.close)
	return f
}

func serveHTTP(t *testing.T, l net.Listener, h http.Handler) {
	t.Helper()
	srv := &http.Server{Handler: h, MaxHeaderBytes: maxHeadBytes, Protocols: new(http.Protocols), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isUpgrade(r) {
		f.pass.ServeHTTP(w, r)
		return
	}
	q, refused := checkUpgrade(r)
	if refused != nil {
		refused.write(w)
		return
	}
	ctx := r.Context()
	if f.timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, f.timeout)
		defer cancel()
		ctx = limited
	}
	app, resp, err := f.up.upgrade(ctx, r, appHandshake{Scheme: "http", Verbatim: true})
	var failed *upstreamError
	switch {
	case errors.As(err, &failed):
		f.log.Warn("upgrade failed", "error", err)
		failed.refusal().write(w)
		return
	case resp != nil:
		_ = passRefusal(w, resp)
		return
	}
	defer app.Conn.Close()
	conn, early, err := hijack(w)
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	_, _ = conn.Write(append(q.appendSwitch(nil, app.Subprotocol, app.Extensions, app.Header), app.Early...))
	_, _ = app.Conn.Write(early)
	go func() { _, _ = io.Copy(app.Conn, conn); app.Conn.Close() }()
	_, _ = io.Copy(conn, app.Conn)
}

// A countingApp counts what reaches it.
type countingApp struct {
	*httptest.Server
	requests atomic.Int64
	last     atomic.Pointer[http.Request]
}

func newApp(t *testing.T, h http.HandlerFunc) *countingApp {
	t.Helper()
	a := &countingApp{}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.requests.Add(1)
		a.last.Store(r.Clone(context.Background()))
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

func answerOK(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "app") }

// A rawClient is a raw client connection.
type rawClient struct {
	net.Conn
	*bufio.Reader
	t *testing.T
}

func (p *rawClient) Read(b []byte) (int, error) { return p.Reader.Read(b) }

func dialRaw(t *testing.T, addr string) *rawClient {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newRawClient(t, c)
}

func newRawClient(t *testing.T, c net.Conn) *rawClient {
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &rawClient{c, bufio.NewReader(c), t}
}

func (p *rawClient) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.Conn, s); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// response reads one response with its body.
func (p *rawClient) response() (*http.Response, string) {
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

// wantClosed fails unless the connection ends with nothing more on it.
func (p *rawClient) wantClosed() {
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

func TestPassthroughRoundTrip(t *testing.T) {
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header()["Content-Type"] = nil
		w.Header().Add("X-Two", "1")
		w.Header().Add("X-Two", "2")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %q", r.Method, r.RequestURI, r.Host, body)
	})
	f := newFront(t, a.URL)
	c := dialRaw(t, f.addr)
	const target = "/a|b/%2f/..//c?x=1;y=%zz&&z"
	c.send("PUT " + target + " HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\n\r\nbody")
	resp, body := c.response()
	if want := "PUT " + target + ` shop.example "body"`; resp.StatusCode != http.StatusTeapot || body != want {
		t.Errorf("%s %q, want 418 %q", resp.Status, body, want)
	}
	if got := resp.Header["X-Two"]; len(got) != 2 {
		t.Errorf("X-Two: %q", got)
	}
	if ct, has := resp.Header["Content-Type"]; has {
		t.Errorf("Content-Type %q was made up", ct)
	}
	if enc, has := a.last.Load().Header["Accept-Encoding"]; has {
		t.Errorf("Accept-Encoding %q was made up", enc)
	}
	c.send("GET //two/slashes HTTP/1.1\r\nHost: shop.example\r\n\r\n")
	if _, body := c.response(); !strings.HasPrefix(body, "GET //two/slashes ") {
		t.Errorf("keep-alive, then two slashes: %q", body)
	}
}

// The client's connection is kept, and the app's are used again.
func TestPassthroughKeepAlive(t *testing.T) {
	peers := map[string]bool{}
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		peers[r.RemoteAddr] = true
		answerOK(w, r)
	})
	c := dialRaw(t, newFront(t, a.URL).addr)
	const requests = 50
	for range requests {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.response()
	}
	// A request may come before the last answer's connection is free again.
	if len(peers) > requests/2 {
		t.Errorf("%d connections to the app for %d requests", len(peers), requests)
	}
}

func TestPassthroughForwarded(t *testing.T) {
	a := newApp(t, answerOK)
	c := dialRaw(t, newFront(t, a.URL).addr)
	c.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
	c.response()
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "shop.example",
	} {
		if got := a.last.Load().Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	c.send("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.1.2.3\r\nForwarded: for=10.1.2.3\r\n\r\n")
	c.response()
	if got := a.last.Load().Header.Get("X-Forwarded-For"); got != "10.1.2.3, 127.0.0.1" {
		t.Errorf("X-Forwarded-For: %q", got)
	}
	if got := a.last.Load().Header.Get("Forwarded"); got != "for=10.1.2.3" {
		t.Errorf("Forwarded: %q", got)
	}
}

// Each event must arrive before the app writes the next.
func TestPassthroughEvents(t *testing.T) {
	next := make(chan struct{})
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	c := dialRaw(t, newFront(t, a.URL).addr)
	c.send("GET / HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
	resp, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(resp.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", i) {
			t.Fatalf("event %d: %q, %v", i, lines.Text(), lines.Err())
		}
		lines.Scan()
		next <- struct{}{}
	}
}

func TestPassthroughTrailers(t *testing.T) {
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Announced")
		_, _ = io.WriteString(w, r.Trailer.Get("X-Sum"))
		w.Header().Set("X-Announced", "a")
		w.Header().Set(http.TrailerPrefix+"X-Surprise", "s")
	})
	c := dialRaw(t, newFront(t, a.URL).addr)
	c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
		"5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")
	resp, body := c.response()
	if body != "42" {
		t.Errorf("the app saw the request trailer %q, want 42", body)
	}
	if resp.Trailer.Get("X-Announced") != "a" || resp.Trailer.Get("X-Surprise") != "s" {
		t.Errorf("response trailers: %v", resp.Trailer)
	}
}

// 100 MB each way must cost no more memory than a small share of it.
func TestPassthroughLargeBodies(t *testing.T) {
	const size = 100 << 20
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if n != size {
			t.Errorf("the app got %d bytes, want %d", n, size)
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		_, _ = io.Copy(w, io.LimitReader(zeros{}, size))
	})
	f := newFront(t, a.URL)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err := http.Post("http://"+f.addr+"/", "application/octet-stream", io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	runtime.ReadMemStats(&after)
	if n != size || err != nil {
		t.Errorf("%d bytes came back, %v; want %d", n, err, size)
	}
	if spent := after.TotalAlloc - before.TotalAlloc; spent > size/10 {
		t.Errorf("%d MB were allocated for 2 x 100 MB", spent>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A client with prior knowledge of HTTP/2 reaches the app by HTTP/2, trailers
// included, as gRPC needs; HTTP/1.1 stays HTTP/1.1.
func TestPassthroughHTTP2(t *testing.T) {
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.URL, body, r.Header.Get("Te"))
		_ = http.NewResponseController(w).Flush() // or HTTP/1.1 has no trailers
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})
	f := newFront(t, a.URL)
	for proto, set := range map[string]func(*http.Protocols, bool){
		"HTTP/1.1": (*http.Protocols).SetHTTP1, "HTTP/2.0": (*http.Protocols).SetUnencryptedHTTP2,
	} {
		tr := &http.Transport{Protocols: new(http.Protocols)}
		set(tr.Protocols, true)
		defer tr.CloseIdleConnections()
		for range 2 {
			req, _ := http.NewRequest("POST", "http://"+f.addr+"/a%2fb?q", strings.NewReader("body"))
			req.Header.Set("Te", "trailers")
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := proto + " /a%2fb?q body trailers"; string(got) != want || resp.Proto != proto {
				t.Errorf("%s: %q by %s, want %q", proto, got, resp.Proto, want)
			}
			if resp.Trailer.Get("Grpc-Status") != "0" {
				t.Errorf("%s: trailers %v", proto, resp.Trailer)
			}
		}
	}
}

// Over TLS it was the sidecar that agreed to HTTP/2; an app may speak none.
func TestWantsHTTP2(t *testing.T) {
	for _, tc := range []struct {
		scheme, contentType string
		major               int
		want                bool
	}{
		{"http", "", 1, false}, {"http", "", 2, true}, {"https", "", 2, false},
		{"https", "application/grpc+proto", 2, true}, {"https", "application/grpc", 1, false},
	} {
		p := &passthrough{config: passthroughConfig{Scheme: tc.scheme}}
		r := &http.Request{ProtoMajor: tc.major, Header: http.Header{"Content-Type": {tc.contentType}}}
		if got := p.wantsHTTP2(r); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

func TestPassthroughFailures(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		l, _ := net.Listen("tcp", "127.0.0.1:0")
		l.Close()
		f := newFront(t, "http://"+l.Addr().String())
		c := dialRaw(t, f.addr)
		c.send("GET /secret-path HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, body := c.response()
		if resp.StatusCode != http.StatusBadGateway || strings.Contains(body, "127.0.0.1") {
			t.Errorf("%s %q", resp.Status, body)
		}
		c.wantClosed()
		if got := f.logged.String(); !strings.Contains(got, l.Addr().String()) || strings.Contains(got, "secret") {
			t.Errorf("log: %s", got)
		}
	})
	for name, answer := range map[string]string{
		"U12 no status line": "secret\r\n\r\n",
		"U12 no header":      "HTTP/1.1 200 OK\r\nsecret\r\n\r\n",
		"U12 no length":      "HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n",
	} {
		for _, send := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", upgradeHead + "\r\n"} {
			t.Run(name, func(t *testing.T) {
				f := newFront(t, newRawApp(t, answerText(answer)).url())
				c := dialRaw(t, f.addr)
				c.send(send)
				if resp, body := c.response(); resp.StatusCode != http.StatusBadGateway || strings.Contains(body, "secret") {
					t.Errorf("%s %q", resp.Status, body)
				}
				c.wantClosed()
				if got := f.logged.String(); !strings.Contains(got, "malformed") && !strings.Contains(got, "bad Content-Length") || strings.Contains(got, "secret") {
					t.Errorf("I9 log: %s", got)
				}
			})
		}
	}
	t.Run("no answer in time", func(t *testing.T) {
		a := newApp(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		up, _ := parseUpstream(a.URL)
		p := newPassthrough(up, slog.New(slog.DiscardHandler), passthroughConfig{Scheme: "http", HeaderTimeout: 20 * time.Millisecond})
		defer p.close()
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != http.StatusGatewayTimeout {
			t.Errorf("%d, want 504", w.Code)
		}
	})
	t.Run("CONNECT is no tunnel", func(t *testing.T) {
		a := newApp(t, answerOK)
		c := dialRaw(t, newFront(t, a.URL).addr)
		c.send("CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n")
		if resp, _ := c.response(); resp.StatusCode != http.StatusMethodNotAllowed || a.requests.Load() != 0 {
			t.Errorf("%s, %d requests reached the app", resp.Status, a.requests.Load())
		}
	})
	t.Run("the answer breaks off", func(t *testing.T) {
		a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		c := dialRaw(t, newFront(t, a.URL).addr)
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(c.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("%q looks complete", body)
		}
	})
}

// H30: the app's stale connection with bytes nobody asked for is not used.
func TestLeftoverBytes(t *testing.T) {
	log.SetOutput(io.Discard) // net/http reports what it throws away
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	app := newRawApp(t, func(c net.Conn, r *http.Request) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nrealHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")
	})
	c := dialRaw(t, newFront(t, app.url()).addr)
	for i := range 50 {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, body := c.response(); body != "real" {
			t.Fatalf("H30 request %d was answered with %q", i, body)
		}
	}
}
