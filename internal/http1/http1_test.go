package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// scan finds a head in pieces of step bytes.
func scan(s Scanner, p string, step int) (int, error) {
	for n := min(step, len(p)); ; n = min(n+step, len(p)) {
		end, err := s.Next([]byte(p[:n]))
		if end > 0 || err != nil || n == len(p) {
			return end, err
		}
	}
}

// A head ends where RFC 9112 §2.1 says, however its bytes come.
func TestScanner(t *testing.T) {
	const head = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, tc := range []struct {
		name string
		s    Scanner
		p    string
		end  int // -1: a violation
	}{
		{"a head", Scanner{}, head + "body", len(head)},
		{"half a head", Scanner{}, head[:20], 0},
		{"an empty line in front (§2.2)", Scanner{}, "\r\n" + head, len(head) + 2},
		{"five of them", Scanner{}, strings.Repeat("\r\n", 5) + head, -1},
		{"no fields", Scanner{}, "GET /\r\n\r\nx", 9},
		{"LF alone", Scanner{}, "GET /\n\n", -1},
		{"LF alone, lenient", Scanner{Lenient: true}, "HTTP/1.1 200 OK\n\nx", 17},
		{"CR alone", Scanner{}, "GET /\rx\r\n\r\n", -1},
		{"CR CR LF", Scanner{}, "GET /\r\r\n\r\n", -1},
		{"CR alone, lenient", Scanner{Lenient: true}, "HTTP/1.1 200 OK\rx\n\n", -1},
		{"NUL", Scanner{}, "GET /\x00\r\n\r\n", -1},
		{"HTAB", Scanner{}, "GET /\t\r\n\r\n", 10},
		{"an empty trailer section", Scanner{Section: true}, "\r\nGET", 2},
		{"a trailer section", Scanner{Section: true}, "X: y\r\n\r\nGET", 8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, step := range []int{1, 2, 3, len(tc.p)} {
				end, err := scan(tc.s, tc.p, step)
				if end != max(tc.end, 0) || (err != nil) != (tc.end < 0) {
					t.Errorf("in steps of %d: %d, %v, want %d", step, end, err, tc.end)
				}
			}
		})
	}
}

// How long a request's body is (RFC 9112 §6.3); what is refused is in the tests
// of package passthrough.
func TestRequestFraming(t *testing.T) {
	for fields, want := range map[string]string{
		"":                              "0",
		"Content-Length: 5":             "5",
		"content-length:\t007 ":         "7",
		"Transfer-Encoding: chunked":    "chunks",
		"transfer-encoding:  CHUNKED  ": "chunks",
	} {
		head := "POST /p?q HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n"
		if fields != "" {
			head += "\r\n"
		}
		var r Request
		if err := r.Parse([]byte(head)); err != nil {
			t.Fatalf("%q: %v", fields, err)
		}
		got := fmt.Sprint(r.Body.left)
		if r.Body.Chunked() {
			got = "chunks"
		}
		if got != want || r.Path() != "/p" || string(r.Host) != "x" || r.Minor != 1 {
			t.Errorf("%q: %s, want %s; %+v", fields, got, want, r)
		}
	}
}

// How an answer's body ends (RFC 9112 §6.3, the items in their order).
func TestResponseFraming(t *testing.T) {
	for _, tc := range []struct{ method, head, want string }{
		{"HEAD", "200 OK|Content-Length: 5", "0"},
		{"GET", "103 Early|Content-Length: 5", "0"},
		{"GET", "204 No Content|Transfer-Encoding: chunked", "0"},
		{"GET", "304 Not Modified|Content-Length: 5", "0"},
		{"GET", "200 OK|Transfer-Encoding: chunked", "chunks"},
		{"GET", "200 OK|Transfer-Encoding: gzip|Transfer-Encoding: Chunked", "chunks"},
		{"GET", "200 OK|Transfer-Encoding: gzip", "close"},
		{"GET", "200 OK|Transfer-Encoding: identity|Content-Length: 3", "close"},
		{"GET", "200 OK|Content-Length: 5|Transfer-Encoding: chunked", "chunks"},
		{"GET", "200 OK|Content-Length: 5", "5"},
		{"GET", "200 OK|Content-Length: 5|Content-Length: 5", "5"},
		{"GET", "200 OK", "close"},
	} {
		head := "HTTP/1.1 " + strings.ReplaceAll(tc.head, "|", "\r\n") + "\r\n\r\n"
		var r Response
		if err := r.Parse([]byte(head)); err != nil {
			t.Fatalf("%q: %v", head, err)
		}
		b := r.Framed(tc.method)
		got := fmt.Sprint(b.left)
		switch {
		case b.Chunked():
			got = "chunks"
		case b.UntilClose():
			got = "close"
		}
		if got != tc.want {
			t.Errorf("%s %q: %s, want %s", tc.method, tc.head, got, tc.want)
		}
	}
	var r Response
	if err := r.Parse([]byte("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if b := r.Framed("GET"); !b.UntilClose() {
		t.Error("chunks in HTTP/1.0")
	}
}

// pass passes a body in pieces of step bytes and returns where it ended.
func pass(b Body, p string, step int) (int, error) {
	total := 0
	for total < len(p) && !b.Done() {
		n, err := b.Next([]byte(p[total:min(total+step, len(p))]))
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// Chunks as RFC 9112 §7.1 has them.
func TestChunks(t *testing.T) {
	for _, tc := range []struct {
		name, p string
		lenient bool
		end     int // -1: a violation
	}{
		{"one", "5\r\nhello\r\n0\r\n\r\nGET", false, 13},
		{"an extension", "5;a=\"b c\" ; d\r\nhello\r\n0;x\r\n\r\n", false, 27},
		{"leading zeros", "0005\r\nhello\r\n00\r\n", false, 17},
		{"in capitals", "A\r\n0123456789\r\n0\r\n", false, 18},
		{"padded", "1 \t\r\nx\r\n0\r\n", false, 11},
		{"no size", "\r\nx", false, -1},
		{"no digits", ";x\r\n", false, -1},
		{"a space in front", " 1\r\n", false, -1},
		{"a sign", "+1\r\n", false, -1},
		{"0x", "0x1\r\n", false, -1},
		{"_", "1_0\r\n", false, -1},
		{"two sizes", "1 1\r\n", false, -1},
		{"too large", "fffffffffffffff\r\n", false, 17},
		{"larger", "7fffffffffffffff\r\n", false, -1},
		{"17 digits", "00000000000000001\r\n", false, -1},
		{"LF alone behind a size", "1\nx\r\n", false, -1},
		{"LF alone in an extension", "1;a\nx\r\n", false, -1},
		{"LF alone behind data", "1\r\nx\n0\r\n", false, -1},
		{"LF alone, lenient", "1\nx\n0\n\n", true, 6},
		{"CR alone in an extension", "1;a\rb\r\n", false, -1},
		{"NUL in an extension", "1;a\x00\r\n", false, -1},
		{"longer than its size", "1\r\nxy\r\n", false, -1},
		{"an endless extension", "1;" + strings.Repeat("x", maxChunkLine), false, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, step := range []int{1, 2, 5, len(tc.p)} {
				end, err := pass(Body{kind: chunks, lenient: tc.lenient}, tc.p, step)
				if (err != nil) != (tc.end < 0) || err == nil && end != tc.end {
					t.Errorf("in steps of %d: %d, %v, want %d", step, end, err, tc.end)
				}
			}
		})
	}
}

// A request that is taken is the same to net/http, which is strict, and its body
// ends in the same place. However the bytes are cut, the outcome is one.
func FuzzRequest(f *testing.F) {
	f.Add("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\nGET", 3)
	f.Add("PUT http://x/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET", 1)
	f.Add("\r\nGET /{} HTTP/1.0\r\nConnection: keep-alive, x\r\n\r\n", 2)
	f.Fuzz(func(t *testing.T, p string, step int) {
		step = 1 + int(uint(step)%64)
		end, err := scan(Scanner{}, p, len(p)+1)
		pieces, err2 := scan(Scanner{}, p, step)
		if end != pieces || (err == nil) != (err2 == nil) {
			t.Fatalf("%d, %v; in steps of %d %d, %v", end, err, step, pieces, err2)
		}
		var r Request
		if end == 0 || r.Parse([]byte(p[:end])) != nil {
			return
		}
		if joined := len(r.Line) + 2; string(r.Method) == "" || joined > end {
			t.Fatalf("%q of %q", r.Line, p)
		}
		n, err := pass(r.Body, p[end:], len(p)+1)
		if m, err2 := pass(r.Body, p[end:], step); n != m || (err == nil) != (err2 == nil) {
			t.Fatalf("%d, %v; in steps of %d %d, %v", n, err, step, m, err2)
		}
		total, err := section(&r, p, end+n, err)
		p = strings.TrimLeft(p, "\r\n")
		all := bufio.NewReaderSize(strings.NewReader(p), len(p)+16)
		theirs, err2 := http.ReadRequest(all)
		if err2 != nil {
			return // it is stricter with targets
		}
		if theirs.Method != string(r.Method) || theirs.RequestURI != string(r.Target) || r.Body.Chunked() != (theirs.ContentLength < 0) ||
			!r.Body.Chunked() && theirs.ContentLength != r.Body.left {
			t.Fatalf("net/http reads %s %s with %d bytes of %q", theirs.Method, theirs.RequestURI, theirs.ContentLength, p)
		}
		_, err2 = io.Copy(io.Discard, theirs.Body)
		if err != nil || errors.Is(err2, io.ErrUnexpectedEOF) {
			return // it does not pass, or not all of it came
		}
		if err2 != nil && !strings.Contains(err2.Error(), "railer") { // some names are none of a trailer's for it
			t.Fatalf("net/http finds %v in the body of %q", err2, p)
		}
		if rest := len(p) - all.Buffered(); err2 == nil && rest != total {
			t.Fatalf("%q ends at %d, for net/http at %d", p, total, rest)
		}
	})
}

// section reads the trailer section of a request whose body ends at in p, as it is
// read before it is passed on. The end that it returns is that of p without the
// empty lines in front.
func section(r *Request, p string, at int, err error) (end int, _ error) {
	if err == nil && r.Body.Chunked() {
		var n int
		switch n, err = scan(Scanner{Section: true}, p[at:], len(p)+1); {
		case err == nil && n > 0:
			_, err = ParseSection([]byte(p[at:at+n]), true)
			at += n
		case err == nil:
			err = io.ErrUnexpectedEOF
		}
	}
	return at - len(p) + len(strings.TrimLeft(p, "\r\n")), err
}

// An answer's body ends where net/http says.
func FuzzResponse(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP")
	f.Add("HTTP/1.1 200 OK\nContent-Length: 2\n\nokHTTP")
	f.Add("HTTP/1.0 204 x\r\nX: a\r\n b\r\n\r\n")
	f.Fuzz(func(t *testing.T, p string) {
		end, err := scan(Scanner{Lenient: true}, p, len(p)+1)
		var r Response
		if err != nil || end == 0 || r.Parse([]byte(p[:end])) != nil {
			return
		}
		var joined bytes.Buffer
		joined.Write(r.Line)
		for _, field := range r.Fields {
			joined.Write(field.Line)
		}
		if s := joined.String(); !strings.HasPrefix(p[len(p[:end])-len(s)-len(lineEnd(p[:end])):], s) {
			t.Fatalf("%q of %q", s, p[:end])
		}
		theirs, err := http.ReadResponse(bufio.NewReader(strings.NewReader(p)), &http.Request{Method: "GET"})
		if err != nil {
			return
		}
		b := r.Framed("GET")
		if theirs.ContentLength >= 0 && !b.Chunked() && !b.UntilClose() && theirs.ContentLength != b.left {
			t.Fatalf("%d, net/http %d of %q", b.left, theirs.ContentLength, p)
		}
	})
}

func lineEnd(head string) string {
	if strings.HasSuffix(head, "\r\n") {
		return "\r\n"
	}
	return "\n"
}

// Nothing is allocated for requests of a connection but at first.
func TestNothingIsAllocated(t *testing.T) {
	head := []byte("GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nConnection: keep-alive, x\r\nContent-Length: 0\r\n\r\n")
	var r Request
	_ = r.Parse(head)
	if n := testing.AllocsPerRun(100, func() {
		var s Scanner
		_, _ = s.Next(head)
		_ = r.Parse(head)
		_ = r.Closes()
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
