package httpguard

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// Heads are found wherever they stand in the stream, and however the bytes
// are cut into segments.
func TestHeadScanner(t *testing.T) {
	const (
		get  = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
		bad  = "GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n"
		body = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\na\nb\x00\r\nc"
		many = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n\n\r\x00\r\n0\r\nX: y\r\n\r\n"
	)
	for _, tc := range []struct {
		name, stream string
		good         int // bytes before the violation, -1 for none
	}{
		{"one request", get, -1},
		{"pipelined", get + body + many + get, -1},
		{"bad after GET", get + bad, len(get) + strings.Index(bad, "\nX")},
		{"bad after a body", body + bad, len(body) + strings.Index(bad, "\nX")},
		{"bad after chunks", many + bad, len(many) + strings.Index(bad, "\nX")},
		{"body of a length that lies", strings.Replace(body, "7", "6", 1) + get, -1}, // "cGET": net/http's to judge
		{"bare LF in a trailer", strings.Replace(many, "X: y\r", "X: y", 1), strings.Index(many, "X: y") + 4},
		{"folded trailer", strings.Replace(many, "X: y", " X: y", 1), strings.Index(many, "X: y") + 6},
		{"H21 chunk line ends in LF", strings.Replace(many, "x=y\r", "x=y", 1), strings.Index(many, "x=y") + 3},
		{"chunk longer than its size", strings.Replace(many, "3;", "2;", 1), strings.Index(many, "x=y") + 7},
		{"chunk size not hexadecimal", strings.Replace(many, "3;", "x;", 1), strings.Index(many, "x=y") + 4},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00", -1},
		{"H20 a preface with fields", "PRI * HTTP/2.0\r\nHost: x\r\n\r\n", 24},
		{"H20 a preface, then a request", "PRI * HTTP/2.0\r\n\r\n" + get, 33},
		{"HTTP/2 after HTTP/1.1", get + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00", len(get) + 24},
		{"frames after an upgrade", proxytest.UpgradeHead + "\r\n\x81\x85\x00\x00\x00\x00hello", -1},
		{"no upgrade without Connection", strings.Replace(proxytest.UpgradeHead, "Connection", "X", 1) + "\r\n\x81\x85\x00", len(proxytest.UpgradeHead) - 10 + 1 + 2 + 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := tc.good
			if want < 0 {
				want = len(tc.stream)
			}
			for _, step := range []int{len(tc.stream), 1, 2, 7} {
				var s headScanner
				got, ok := 0, true
				for rest := []byte(tc.stream); ok && len(rest) > 0; {
					n := min(step, len(rest))
					var good int
					good, ok = s.next(rest[:n])
					got += good
					rest = rest[n:]
				}
				if got != want || ok != (tc.good < 0) {
					t.Errorf("in steps of %d: %d good, %v; want %d, %v", step, got, ok, want, tc.good < 0)
				}
				if cap(s.line) > 0 && s.state == scanRequest && ok {
					t.Errorf("an idle connection holds %d bytes", cap(s.line))
				}
			}
		})
	}
}

// A served handler is behind the guard, on a real socket.
type served struct {
	addr     string
	requests atomic.Int64
}

func newServed(t *testing.T, h http.HandlerFunc) *served {
	t.Helper()
	l := proxytest.Listen(t)
	s := &served{addr: l.Addr().String()}
	proxytest.ServeHTTP(t, Guard(l), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		h(w, r)
	}))
	return s
}

// The guard and net/http agree on where requests end: a request that hides
// in another's body is never served.
func TestGuardedPipeline(t *testing.T) {
	a := newServed(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.URL.Path+" "+string(body))
	})
	c := proxytest.Dial(t, a.addr)
	const hidden = "GET /hidden HTTP/1.1\nHost: x\n\n"
	c.Send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n" +
		"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n" + hidden +
		"POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1e\r\n" + hidden + "\r\n0\r\n\r\n" +
		"GET /4 HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, want := range []string{"/1 ", "/2 " + hidden, "/3 " + hidden, "/4 "} {
		if resp, body := c.Response(); resp.StatusCode != 200 || body != want {
			t.Fatalf("%s %q, want %q", resp.Status, body, want)
		}
	}
	c.Send(hidden)
	if resp, _ := c.Response(); resp.StatusCode != 400 {
		t.Errorf("%s, want 400", resp.Status)
	}
	c.WantClosed()
	if n := a.requests.Load(); n != 4 {
		t.Errorf("%d requests reached the app, want 4", n)
	}
}

// After Hijack nothing of the guard is left, and early bytes are handed over.
func TestHijack(t *testing.T) {
	type result struct {
		conn  net.Conn
		early string
	}
	got := make(chan result, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxytest.ServeHTTP(t, Guard(l), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, early, err := Hijack(w)
		if err != nil {
			t.Error(err)
			return
		}
		got <- result{conn, string(early)}
	}))
	c := proxytest.Dial(t, l.Addr().String())
	const frame = "\x81\x85\x00\x00\x00\x00hello"
	c.Send(proxytest.UpgradeHead + "\r\n" + frame)
	r := <-got
	defer r.conn.Close()
	if _, ok := r.conn.(*net.TCPConn); !ok {
		t.Errorf("a %T is left, want *net.TCPConn", r.conn)
	}
	rest := make([]byte, len(frame)-len(r.early))
	if _, err := io.ReadFull(r.conn, rest); err != nil || r.early+string(rest) != frame {
		t.Errorf("early %q, then %q, %v", r.early, rest, err)
	}
}

// Above TLS the guard sees the same, HTTP/1.1 and HTTP/2 are both served, and
// a hijacked connection is the TLS one.
func TestGuardOverTLS(t *testing.T) {
	pair, err := tls.X509KeyPair(proxytest.NewCA(t).Issue(t))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hijacked := make(chan net.Conn, 1)
	proxytest.ServeHTTP(t, Guard(tls.NewListener(l, config)), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, _, _ := Hijack(w)
			hijacked <- conn
			return
		}
		_, _ = io.WriteString(w, r.Proto)
	}))
	insecure := &tls.Config{InsecureSkipVerify: true}
	open := func() *proxytest.Client {
		conn, err := tls.Dial("tcp", l.Addr().String(), insecure)
		if err != nil {
			t.Fatal(err)
		}
		return proxytest.NewClient(t, conn)
	}
	c := open()
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, body := c.Response(); body != "HTTP/1.1" {
		t.Errorf("got %q", body)
	}
	c.Send("GET / HTTP/1.1\nHost: x\n\n")
	if resp, _ := c.Response(); resp.StatusCode != 400 {
		t.Errorf("H07 over TLS: %s", resp.Status)
	}
	c = open()
	c.Send(proxytest.UpgradeHead + "\r\n")
	conn := <-hijacked
	defer conn.Close()
	if _, ok := conn.(*tls.Conn); !ok {
		t.Errorf("a %T is left, want *tls.Conn", conn)
	}
	tr := &http.Transport{TLSClientConfig: insecure, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("https://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "HTTP/2.0" {
		t.Errorf("a browser gets %q, want HTTP/2.0", body)
	}
}

// However a stream is cut, the scanner says the same.
func FuzzHeadScanner(f *testing.F) {
	f.Add([]byte(proxytest.UpgradeHead+"\r\n"), 3)
	f.Add([]byte("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\n"), 1)
	f.Add([]byte("PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET"), 40)
	f.Fuzz(func(t *testing.T, stream []byte, step int) {
		var whole, pieces headScanner
		good, ok := whole.next(stream)
		if ok && good != len(stream) {
			t.Fatalf("%d of %d, and all good", good, len(stream))
		}
		step = 1 + int(uint(step)%64)
		total, still := 0, true
		for rest := stream; still && len(rest) > 0; {
			n := min(step, len(rest))
			var g int
			g, still = pieces.next(rest[:n])
			total += g
			rest = rest[n:]
		}
		if total != good || still != ok {
			t.Fatalf("whole: %d, %v; in steps of %d: %d, %v", good, ok, step, total, still)
		}
	})
}
