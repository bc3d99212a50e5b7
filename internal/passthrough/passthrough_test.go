package passthrough

import (
	"bufio"
	"bytes"
	"context"
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
	"sync"
	"testing"

	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// A front is a Handler on a real socket.
type front struct {
	h      *Handler
	addr   string
	logged lockedBuffer
}

// A lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newFront(t *testing.T, app string, change ...func(*Config)) *front {
	t.Helper()
	up, err := upgrade.ParseApp(app)
	if err != nil {
		t.Fatal(err)
	}
	f := new(front)
	cfg := Config{App: up, Log: slog.New(slog.NewTextHandler(&f.logged, nil)), Scheme: "http"}
	for _, fn := range change {
		fn(&cfg)
	}
	f.h = New(cfg)
	l := proxytest.Listen(t)
	f.addr = l.Addr().String()
	proxytest.ServeHTTP(t, f.h.Listener(l), f.h)
	t.Cleanup(f.h.Close)
	return f
}

func TestPassthroughRoundTrip(t *testing.T) {
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header()["Content-Type"] = nil
		w.Header().Add("X-Two", "1")
		w.Header().Add("X-Two", "2")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %q", r.Method, r.RequestURI, r.Host, body)
	})
	f := newFront(t, a.URL)
	c := proxytest.Dial(t, f.addr)
	const target = "/a|b/%2f/..//c?x=1;y=%zz&&z"
	c.Send("PUT " + target + " HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\n\r\nbody")
	resp, body := c.Response()
	if want := "PUT " + target + ` shop.example "body"`; resp.StatusCode != http.StatusTeapot || body != want {
		t.Errorf("%s %q, want 418 %q", resp.Status, body, want)
	}
	if got := resp.Header["X-Two"]; len(got) != 2 {
		t.Errorf("X-Two: %q", got)
	}
	if ct, has := resp.Header["Content-Type"]; has {
		t.Errorf("Content-Type %q was made up", ct)
	}
	if enc, has := a.Last.Load().Header["Accept-Encoding"]; has {
		t.Errorf("Accept-Encoding %q was made up", enc)
	}
	c.Send("GET //two/slashes HTTP/1.1\r\nHost: shop.example\r\n\r\n")
	if _, body := c.Response(); !strings.HasPrefix(body, "GET //two/slashes ") {
		t.Errorf("keep-alive, then two slashes: %q", body)
	}
}

// The client's connection is kept, and the app's are used again.
func TestPassthroughKeepAlive(t *testing.T) {
	peers := map[string]bool{}
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) {
		peers[r.RemoteAddr] = true
		proxytest.AnswerOK(w, r)
	})
	c := proxytest.Dial(t, newFront(t, a.URL).addr)
	const requests = 50
	for range requests {
		c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.Response()
	}
	// A request may come before the last answer's connection is free again.
	if len(peers) > requests/2 {
		t.Errorf("%d connections to the app for %d requests", len(peers), requests)
	}
}

func TestPassthroughForwarded(t *testing.T) {
	a := proxytest.NewApp(t, proxytest.AnswerOK)
	c := proxytest.Dial(t, newFront(t, a.URL).addr)
	c.Send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
	c.Response()
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "", "X-Forwarded-Host": "shop.example",
	} {
		if got := a.Last.Load().Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	c.Send("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.1.2.3\r\nForwarded: for=10.1.2.3\r\n\r\n")
	c.Response()
	if got := a.Last.Load().Header.Get("X-Forwarded-For"); got != "10.1.2.3, 127.0.0.1" {
		t.Errorf("X-Forwarded-For: %q", got)
	}
	if got := a.Last.Load().Header.Get("Forwarded"); got != "for=10.1.2.3" {
		t.Errorf("Forwarded: %q", got)
	}
}

// Each event must arrive before the app writes the next.
func TestPassthroughEvents(t *testing.T) {
	next := make(chan struct{})
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	c := proxytest.Dial(t, newFront(t, a.URL).addr)
	c.Send("GET / HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
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
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Announced")
		_, _ = io.WriteString(w, r.Trailer.Get("X-Sum"))
		w.Header().Set("X-Announced", "a")
		w.Header().Set(http.TrailerPrefix+"X-Surprise", "s")
	})
	c := proxytest.Dial(t, newFront(t, a.URL).addr)
	c.Send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
		"5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")
	resp, body := c.Response()
	if body != "42" {
		t.Errorf("the app saw the request trailer %q, want 42", body)
	}
	if resp.Trailer.Get("X-Announced") != "a" || resp.Trailer.Get("X-Surprise") != "s" {
		t.Errorf("response trailers: %v", resp.Trailer)
	}
}

// H19, H21: a trailer is no header. Servers make one of it, so that what may not
// stand there may not come here: what says where a message ends, who asks, or what
// is ours.
func TestTrailersThatMayNotPass(t *testing.T) {
	got := make(chan string, 1)
	l := byteApp(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		readHead(br)
		got <- readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	c := proxytest.Dial(t, newFront(t, urlOf(l)).addr)
	c.Send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" +
		"x-Sum: 1\r\nContent-Length: 5\r\nTRANSFER-ENCODING: chunked\r\nTransfer_Encoding: chunked\r\nHost: y\r\nConnection: close\r\nUpgrade: h2c\r\n" +
		"X-Forwarded-For: 1.2.3.4\r\nx_forwarded_for: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: y\r\nWsr-Peer: 1\r\nX_Wsr_Peer: 1\r\nSec-WebSocket-Protocol: wsr.v1\r\nx_mine: 2\r\n\r\n")
	c.Response()
	if end := <-got; end != "0\r\nx-Sum: 1\r\nx_mine: 2\r\n\r\n" {
		t.Errorf("the app got %q", end)
	}
}

// An app may answer before it has read the request's body. It gets the rest of
// it all the same.
func TestPassthroughEarlyAnswer(t *testing.T) {
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		_ = control.Flush()
		_, _ = io.Copy(w, r.Body)
	})
	c := proxytest.Dial(t, newFront(t, a.URL).addr)
	c.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello")
	resp, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	c.Send("world")
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "helloworld" {
		t.Errorf("%q came back, %v", body, err)
	}
}

// 100 MB each way must cost no more memory than a small share of it.
func TestPassthroughLargeBodies(t *testing.T) {
	const size = 100 << 20
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if n != size {
			t.Errorf("the app got %d bytes, want %d", n, size)
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		_, _ = io.Copy(w, io.LimitReader(proxytest.Zeros{}, size))
	})
	f := newFront(t, a.URL)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err := http.Post("http://"+f.addr+"/", "application/octet-stream", io.LimitReader(proxytest.Zeros{}, size))
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

// A client with prior knowledge of HTTP/2 reaches the app by HTTP/2, trailers
// included, as gRPC needs; HTTP/1.1 stays HTTP/1.1.
func TestPassthroughHTTP2(t *testing.T) {
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) {
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
			got, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Errorf("%s: read answer: %v", proto, err)
			}
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
		p := &http2Proxy{h: &Handler{cfg: Config{Scheme: tc.scheme}}}
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
		c := proxytest.Dial(t, f.addr)
		c.Send("GET /secret-path HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, body := c.Response()
		if resp.StatusCode != http.StatusBadGateway || strings.Contains(body, "127.0.0.1") {
			t.Errorf("%s %q", resp.Status, body)
		}
		c.WantClosed()
		if got := f.logged.String(); !strings.Contains(got, l.Addr().String()) || strings.Contains(got, "secret") {
			t.Errorf("log: %s", got)
		}
	})
	for name, answer := range map[string]string{
		"U12 no status line": "secret\r\n\r\n",
		"U12 no header":      "HTTP/1.1 200 OK\r\nsecret\r\n\r\n",
		"U12 no length":      "HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, proxytest.NewRawApp(t, proxytest.AnswerText(answer)).URL())
			c := proxytest.Dial(t, f.addr)
			c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if resp, body := c.Response(); resp.StatusCode != http.StatusBadGateway || strings.Contains(body, "secret") {
				t.Errorf("%s %q", resp.Status, body)
			}
			c.WantClosed()
			if got := f.logged.String(); !strings.Contains(got, "error=\"http1: ") || strings.Contains(got, "secret") {
				t.Errorf("I9 log: %s", got)
			}
		})
	}
	t.Run("no answer in time", func(t *testing.T) {
		app, _ := upgrade.ParseApp("http://127.0.0.1:1")
		app.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, os.ErrDeadlineExceeded }
		p := New(Config{App: app, Log: slog.New(slog.DiscardHandler), Scheme: "http"})
		defer p.Close()
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != http.StatusGatewayTimeout {
			t.Errorf("%d, want 504", w.Code)
		}
	})
	t.Run("CONNECT is no tunnel", func(t *testing.T) {
		a := proxytest.NewApp(t, proxytest.AnswerOK)
		c := proxytest.Dial(t, newFront(t, a.URL).addr)
		c.Send("CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n")
		if resp, _ := c.Response(); resp.StatusCode != http.StatusMethodNotAllowed || a.Requests.Load() != 0 {
			t.Errorf("%s, %d requests reached the app", resp.Status, a.Requests.Load())
		}
	})
	t.Run("the answer breaks off", func(t *testing.T) {
		a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		c := proxytest.Dial(t, newFront(t, a.URL).addr)
		c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(c.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("%q looks complete", body)
		}
	})
}

// H30: the app's stale connection with bytes that were not asked for is not used.
func TestLeftoverBytes(t *testing.T) {
	log.SetOutput(io.Discard) // net/http reports what it throws away
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	app := proxytest.NewRawApp(t, func(c net.Conn, r *http.Request) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nrealHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")
	})
	f := newFront(t, app.URL())
	for i := range 50 {
		c := proxytest.Dial(t, f.addr)
		c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, body := c.Response(); body != "real" {
			t.Fatalf("H30 request %d was answered with %q", i, body)
		}
		c.WantClosed()
	}
}

// H14: a 101 to what was no WebSocket handshake is no tunnel.
func TestUnaskedSwitch(t *testing.T) {
	for _, tc := range []struct{ name, request, answer string }{
		{"H14 POST with Upgrade", strings.Replace(proxytest.UpgradeHead, "GET", "POST", 1), proxytest.Switched},
		{"H14 plain GET", "GET / HTTP/1.1\r\nHost: x\r\n", proxytest.Switched},
		{"H14 101 without Upgrade", "GET / HTTP/1.1\r\nHost: x\r\n", "HTTP/1.1 101 Switching Protocols\r\n"},
		{"H20 Upgrade: h2c", "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			seen := make(chan string, 1)
			a := proxytest.NewRawApp(t, func(c net.Conn, r *http.Request) {
				seen <- r.Header.Get("Upgrade")
				proxytest.AnswerText(tc.answer+"\r\n")(c, r)
			})
			c := proxytest.Dial(t, newFront(t, a.URL()).addr)
			c.Send(tc.request + "\r\n")
			if resp, _ := c.Response(); resp.StatusCode != http.StatusBadGateway {
				t.Errorf("%s, want 502", resp.Status)
			}
			if up := <-seen; up != "" {
				t.Errorf("the app saw Upgrade: %s", up)
			}
			c.WantClosed()
			a.WantClosed(t, "")
		})
	}
}

// H01: with another method it is plain HTTP, and the app sees no Upgrade.
func TestUpgradeWithOtherMethods(t *testing.T) {
	a := proxytest.NewApp(t, proxytest.AnswerOK)
	f := newFront(t, a.URL)
	for _, method := range []string{"POST", "PUT", "HEAD", "OPTIONS"} {
		c := proxytest.Dial(t, f.addr)
		c.Send(strings.Replace(proxytest.UpgradeHead, "GET", method, 1) + "\r\n")
		resp, err := http.ReadResponse(c.Reader, &http.Request{Method: method})
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("H01 %s: %v, %v", method, resp, err)
		}
		if r := a.Last.Load(); r.Method != method || r.Header["Upgrade"] != nil {
			t.Errorf("H01 the app saw %s with Upgrade: %q", r.Method, r.Header["Upgrade"])
		}
	}
}

// H09: more fields than are taken do not reach the app.
func TestPassthroughFields(t *testing.T) {
	a := proxytest.NewApp(t, proxytest.AnswerOK)
	c := proxytest.Dial(t, newFront(t, a.URL).addr)
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 1001) + "\r\n")
	if resp, _ := c.Response(); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("H09 1001 headers: %s, want 431", resp.Status)
	}
	c.WantClosed()
	if n := a.Requests.Load(); n != 0 {
		t.Errorf("H09 %d requests reached the app", n)
	}
}

// H21: bodies that break off or are framed badly are the client's fault, and
// their connection ends.
func TestBadBodies(t *testing.T) {
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	f := newFront(t, a.URL)
	for name, body := range map[string]string{
		"H21 chunk line ends in LF":     "5\nhello\n0\n\n",
		"H21 chunk extension of 1 MB":   "5;" + strings.Repeat("x", 1<<20) + "\r\nhello\r\n0\r\n\r\n",
		"H21 chunk size overflows":      "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
		"H21 chunk size with a sign":    "+5\r\nhello\r\n0\r\n\r\n",
		"H21 no CRLF after chunk":       "5\r\nhelloX\r\n0\r\n\r\n",
		"H21 chunk extension with a CR": "5;a\rb\r\nhello\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := proxytest.Dial(t, f.addr)
			// The sidecar may hang up before all of it is sent.
			_, _ = io.WriteString(c.Conn, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+body)
			resp, err := http.ReadResponse(c.Reader, nil)
			if err != nil {
				return // hung up at once, which is as good
			}
			if resp.StatusCode != 400 {
				t.Errorf("%s, want 400", resp.Status)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_, _ = io.Copy(io.Discard, c.Reader)
		})
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
