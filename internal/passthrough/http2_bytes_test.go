package passthrough

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// An app1 is an app of HTTP/1 behind a sidecar of HTTP/2: what it got, and what it
// says to each request.
type app1 struct {
	heads  chan string
	answer string
	closes bool // after an answer
}

func newApp1(t *testing.T, answer string) (*app1, *front) {
	a := &app1{heads: make(chan string, 100), answer: answer}
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	a.closes = err != nil || resp.Close || resp.StatusCode >= 200 && strings.HasSuffix(answer, "5\r\n\r\nhi")
	l := byteApp(t, func(c net.Conn) {
		for br := bufio.NewReader(c); ; {
			head := readHead(br)
			if strings.Contains(head, "chunked") {
				for last := false; ; { // up to the empty line behind the last chunk
					line, err := br.ReadString('\n')
					head, last = head+line, last || line == "0\r\n"
					if err != nil || last && line == "\r\n" {
						break
					}
				}
			}
			if head == "" {
				return
			}
			a.heads <- head
			if _, _ = io.WriteString(c, a.answer); a.closes {
				return
			}
		}
	})
	return a, newFront(t, urlOf(l), func(c *Config) { c.Scheme = "https" })
}

// got is the next request, or what stands in its place.
func (a *app1) got() string {
	select {
	case h := <-a.heads:
		return h
	default:
		return "nothing"
	}
}

const ok1 = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

// targets are paths that one or another server takes for something else.
var targets = []string{
	"/", "//", "///", "//a/b", "/%2f", "//%2F;x", "/;v=1", "/?", "/??", "//?", "//?//", "/a?b?c", "*", "/../a/./b", "//../", "/a#b",
	"/\xc3\xa9", "//\xe9", "/\xe9?\xe9", "/a\"b<>\\^`{|}", "//a\"b<>\\^`{|}", "//{}%2f..%2findex.html", "/a%2fb/..%2f?x=%41", "/a:80",
	"//user@host:80/x", "//[::1", "/@", "/:", "//shop.example/x", "/*", "/a//*//b", "/?" + strings.Repeat("q", 9000), "//" + strings.Repeat("p", 9000),
}

// The target is the one that came, whatever it looks like.
func TestHTTP2Targets(t *testing.T) {
	a, f := newApp1(t, ok1)
	second := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) { w.Header()["X-Got"] = []string{r.RequestURI} })
	f2 := newFront(t, second.URL)
	for _, path := range append(targets, "/a b", "// b") {
		spaced := strings.Contains(path, " ")
		lines := newFrameClient(t, f.addr).ask("GET", path)
		if got, want := a.got(), "GET "+path+" HTTP/1.1\r\n"; spaced && (got != "nothing" || lines[0] != ":status: 400") || !spaced && !strings.HasPrefix(got, want) {
			t.Errorf("HTTP/1: %.50q became %.60q, %q", path, got, lines)
		}
		// By HTTP/2 nothing is a line, so that a space is one.
		lines = newFrameClient(t, f2.addr).ask("GET", path)
		if !slices.Contains(lines, "x-got: "+path) {
			t.Errorf("HTTP/2: %.50q became %.60q", path, lines)
		}
	}
	// Methods are as long as they like; the mark of a path is behind them.
	for _, n := range []int{4094, 4095, 4096, 4097, 9000} {
		method := strings.Repeat("M", n)
		newFrameClient(t, f.addr).ask(method, "//x", "content-length: 0")
		if got := a.got(); !strings.HasPrefix(got, method+" //x HTTP/1.1\r\n") {
			t.Errorf("a method of %d bytes: %.30q", n, strings.TrimLeft(got, "M"))
		}
	}
}

// H31: what would be two things in HTTP/1 is refused.
func TestHTTP2Refused(t *testing.T) {
	a, f := newApp1(t, ok1)
	second := proxytest.NewApp(t, func(http.ResponseWriter, *http.Request) { a.heads <- "a request" })
	f2 := newFront(t, second.URL)
	for name, fields := range map[string][]string{
		"an absolute form":    request2("GET", "http://other.example/x"),
		"no path":             request2("GET", "x"),
		"a line in a path":    request2("GET", "/ HTTP/1.1\r\nX: y"),
		"a tab in a path":     request2("GET", "/\tx"),
		"a space in a method": request2("GE T", "/"),
		"a line in a method":  request2("GET / HTTP/1.1\r\nX: y\r\n\r\nGET", "/"),
		"two hosts":           {":method: GET", ":scheme: http", ":authority: a.example b.example", ":path: /"},
		"a path in a host":    {":method: GET", ":scheme: http", ":authority: a.example/x", ":path: /"},
		"a user in a host":    {":method: GET", ":scheme: http", ":authority: u@a.example", ":path: /"},
		"no ASCII in a host":  {":method: GET", ":scheme: http", ":authority: b\xfccher.example", ":path: /"},
		"a quote in a host":   {":method: GET", ":scheme: http", ":authority: a\"b", ":path: /"},
		"a line in a host":    {":method: GET", ":scheme: http", ":authority: a\r\nX: y", ":path: /"},
		"a host beside none":  {":method: GET", ":scheme: http", ":path: /", "host: a b"},
		"a line in a field":   append(request2("GET", "/"), "x: a\r\ny: b"),
		"a space in a name":   append(request2("GET", "/"), "x : a"),
		"an upper-case name":  append(request2("GET", "/"), "X: a"),
		"a framing field":     append(request2("POST", "/"), "transfer-encoding: chunked"),
		"a connection field":  append(request2("GET", "/"), "connection: x-forwarded-for"),
		"te":                  append(request2("GET", "/"), "te: gzip"),
		"a tunnel":            {":method: CONNECT", ":authority: a.example:80"},
		"a WebSocket":         {":method: CONNECT", ":protocol: websocket", ":scheme: http", ":authority: a.example", ":path: /"},
	} {
		for _, front := range []*front{f, f2} {
			c := newFrameClient(t, front.addr)
			lines := c.answer(c.headers(0, true, fields...))
			if got := a.got(); got != "nothing" {
				t.Errorf("%s: the app got %q", name, got)
			}
			if refused := lines[0] == ":status: 400" || lines[0] == ":status: 405" || strings.HasPrefix(lines[0], "RST ") || strings.HasPrefix(lines[0], "GOAWAY "); !refused {
				t.Errorf("%s: %q", name, lines)
			}
			if c.settings[http2.SettingEnableConnectProtocol] != 0 {
				t.Error("WebSockets by HTTP/2 (RFC 8441) are offered, and refused")
			}
		}
	}
}

// A body is framed as it came: one that there is not is none.
func TestHTTP2Bodies(t *testing.T) {
	a, f := newApp1(t, ok1)
	for method, want := range map[string]string{
		"POST": "Content-Length: 0\r\n", "PUT": "Content-Length: 0\r\n", "PATCH": "Content-Length: 0\r\n",
		"GET": "", "HEAD": "", "DELETE": "", "OPTIONS": "", "TRACE": "", "BREW": "",
	} {
		for _, field := range []string{"x: y", "content-length: 0", "idempotency-key: 1"} {
			newFrameClient(t, f.addr).ask(method, "/", field)
			if got := a.got(); strings.Contains(got, "Transfer-Encoding") || !strings.Contains(got, want) {
				t.Errorf("%s, %s: %q", method, field, got)
			}
		}
	}
	c := newFrameClient(t, f.addr)
	s := c.headers(0, false, append(request2("POST", "/"), "trailer: x-sum")...)
	c.data(s, false, "ab")
	c.data(s, false, "") // is no last chunk
	c.data(s, false, "cd")
	c.headers(s, true, "x-sum: 1")
	c.answer(s)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(a.got())))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if string(body) != "abcd" || err != nil || r.ContentLength != -1 || r.Trailer.Get("X-Sum") != "1" {
		t.Errorf("chunks: %q, %v, %v", body, r.Trailer, err)
	}
	// Cookies are one field in HTTP/1 (RFC 9113 §8.2.3), and others are several.
	c.ask("GET", "/", "cookie: a=1", "cookie: b=2", "te: trailers", "x-two: 1", "x-two: 2")
	if got := a.got(); !strings.Contains(got, "Cookie: a=1; b=2\r\n") || !strings.Contains(got, "Te: trailers\r\n") || !strings.Contains(got, "X-Two: 1\r\nX-Two: 2\r\n") {
		t.Errorf("fields: %q", got)
	}
}

// Nothing is added to an answer, and nothing left out but what is hop by hop.
func TestHTTP2Answers(t *testing.T) {
	for name, tc := range map[string]struct {
		method, answer string
		want           []string
	}{
		"a length":        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", []string{":status: 200", "content-length: 2", `DATA "hi"`, "END"}},
		"none":            {"GET", "HTTP/1.1 200 OK\r\n\r\n", []string{":status: 200", "END"}},
		"to the end":      {"GET", "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhi", []string{":status: 200", `DATA "hi"`, "END"}},
		"an empty chunk":  {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []string{":status: 200", "END"}},
		"to HEAD":         {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: x\r\n\r\n", []string{":status: 200", "content-length: 5", "etag: x", "END"}},
		"304":             {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n", []string{":status: 304", "content-length: 5", "etag: x", "END"}},
		"204":             {"GET", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", []string{":status: 204", "x: y", "END"}},
		"a date":          {"GET", "HTTP/1.1 200 OK\r\nDate: then\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n", []string{":status: 200", "content-length: 0", "content-type: a/b", "date: then", "END"}},
		"cookies":         {"GET", "HTTP/1.1 302 Found\r\nLocation: /x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n", []string{":status: 302", "content-length: 0", "location: /x", "set-cookie: a=1", "set-cookie: b=2", "END"}},
		"hop by hop":      {"GET", "HTTP/1.1 200 OK\r\nConnection: x-mine\r\nKeep-Alive: timeout=5\r\nX-Mine: 1\r\nContent-Length: 0\r\n\r\n", []string{":status: 200", "content-length: 0", "END"}},
		"early hints":     {"GET", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", []string{":status: 103", "link: </a>", ":status: 200", "content-length: 2", `DATA "hi"`, "END"}},
		"hints, then 404": {"GET", "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: z\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", []string{":status: 103", "x: y", ":status: 103", "x: z", ":status: 404", "content-length: 0", "END"}},
		"trailers":        {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n", []string{":status: 200", "trailer: X-Sum", `DATA "hi"`, "x-sum: 1", "END"}},
		"unannounced":     {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n", []string{":status: 200", `DATA "hi"`, "x-sum: 1", "END"}},
		"no answer":       {"GET", "", []string{":status: 502", "content-length: 64", "content-type: text/plain; charset=utf-8", "wsr-refused: upstream", "x-content-type-options: nosniff", `DATA "The application could not be reached or gave an invalid answer.\n"`, "END"}},
		"a broken answer": {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", []string{":status: 200", "content-length: 5", `DATA "hi"`, "RST INTERNAL_ERROR"}},
	} {
		_, f := newApp1(t, tc.answer)
		c := newFrameClient(t, f.addr)
		for _, again := range []string{"first", "second"} { // the connection goes on
			lines := slices.DeleteFunc(c.ask(tc.method, "/"), func(s string) bool { return s == `DATA ""` })
			if !slices.Equal(sortFields(lines), tc.want) {
				t.Errorf("%s, %s:\n got %q\nwant %q", name, again, lines, tc.want)
			}
		}
	}
}

// sortFields sorts blocks of fields, whose order HTTP/2 does not keep here.
func sortFields(lines []string) []string {
	begin := 0
	for i, l := range lines {
		if strings.HasPrefix(l, ":") || strings.HasPrefix(l, "DATA ") || l == "END" {
			slices.Sort(lines[begin:i])
			begin = i + 1
		}
	}
	return lines
}

// An app that speaks HTTP/2 is heard as it speaks: an answer of trailers only, as
// gRPC has it for errors, stays one frame.
func TestHTTP2ToHTTP2(t *testing.T) {
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		switch r.URL.Path {
		case "/error":
			w.Header().Set("Content-Type", "application/grpc")
			w.Header()["Content-Length"] = nil
			w.Header().Set("Grpc-Status", "5")
		case "/trailers":
			body, _ := io.ReadAll(r.Body)
			w.Header()["Content-Type"] = nil
			fmt.Fprintf(w, "%s %s %s", body, r.Trailer.Get("X-Sum"), r.Header.Get("Te"))
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
			_ = http.NewResponseController(w).Flush()
		}
	})
	c := newFrameClient(t, newFront(t, a.URL).addr)
	for range 100 { // it is one by chance, too
		if got, want := sortFields(c.ask("POST", "/error", "te: trailers")), []string{":status: 200", "content-type: application/grpc", "grpc-status: 5", "END"}; !slices.Equal(got, want) {
			t.Fatalf("trailers only: %q, want %q", got, want)
		}
	}
	s := c.headers(0, false, append(request2("POST", "/trailers"), "trailer: x-sum", "te: trailers")...)
	c.data(s, false, "body")
	c.headers(s, true, "x-sum: 1")
	if got, want := c.answer(s), []string{":status: 200", `DATA "body 1 trailers"`, "grpc-status: 0", "END"}; !slices.Equal(got, want) {
		t.Errorf("trailers both ways: %q, want %q", got, want)
	}
}

// What net/http makes of a request before we see it.
func TestHTTP2Limits(t *testing.T) {
	a, f := newApp1(t, ok1)
	for _, path := range []string{"/100%", "/%zz", "//a%2"} {
		if lines := newFrameClient(t, f.addr).ask("GET", path); !slices.Equal(lines, []string{"RST PROTOCOL_ERROR"}) || a.got() != "nothing" {
			t.Errorf("%q: %q", path, lines)
		}
	}
	c := newFrameClient(t, f.addr)
	c.ask("GET", "/?100%&%zz") // a query may have any
	if n := c.settings[http2.SettingMaxConcurrentStreams]; n != 250 {
		t.Errorf("%d requests at once on a connection, docs/APPS.md says 250", n)
	}
	if got := a.got(); !strings.HasPrefix(got, "GET /?100%&%zz ") {
		t.Errorf("a query: %q", got)
	}
	c = newFrameClient(t, f.addr)
	s := c.headers(0, false, append(request2("POST", "/"), "expect: 100-continue")...)
	c.data(s, false, "ab")
	c.headers(s, true, "x-sum: 1")
	lines := c.answer(s)
	if got := a.got(); lines[0] != ":status: 100" || strings.Contains(strings.ToLower(got), "x-sum") || strings.Contains(got, "Expect") {
		t.Errorf("%q, and the app got %q", lines, got)
	}
}

// A client that gives a request up is heard of by the app, which may be at its body
// or at the answer; other requests of the connection go on.
func TestHTTP2ClientGivesUp(t *testing.T) {
	over := make(chan string, 4)
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/body":
			over <- "begun"
			_, err := io.Copy(io.Discard, r.Body)
			over <- fmt.Sprint("body ", err != nil)
		case "/answer":
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			over <- "answer"
		}
	})
	for _, scheme := range []string{"http", "https"} {
		c := newFrameClient(t, newFront(t, a.URL, func(c *Config) { c.Scheme = scheme }).addr)
		s := c.headers(0, false, request2("POST", "/body")...)
		c.data(s, false, "half")
		<-over
		_ = c.f.WriteRSTStream(s, http2.ErrCodeCancel)
		if got := <-over; got != "body true" {
			t.Errorf("%s: %q", scheme, got)
		}
		s = c.headers(0, true, request2("GET", "/answer")...)
		for {
			if f, err := c.f.ReadFrame(); err != nil {
				t.Fatal(err)
			} else if f.Header().StreamID == s {
				break // its answer has begun
			}
		}
		_ = c.f.WriteRSTStream(s, http2.ErrCodeCancel)
		if got := <-over; got != "answer" {
			t.Errorf("%s: %q", scheme, got)
		}
		if lines := c.ask("GET", "/"); lines[0] != ":status: 200" {
			t.Errorf("%s: %q behind them", scheme, lines)
		}
	}
}
