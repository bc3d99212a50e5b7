package page

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

func everywhere(string) bool { return true }

// navigation is what a browser says when it wants a page.
func navigation(more ...string) http.Header {
	h := http.Header{"Sec-Fetch-Dest": {"document"}}
	for i := 0; i < len(more); i += 2 {
		h.Add(more[i], more[i+1])
	}
	return h
}

// answer is an answer's head, with HTML unless it says otherwise.
func answer(more ...string) http.Header {
	h := http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

// added is what an Insertion adds to an answer's head.
func added(n *Insertion) http.Header {
	h := http.Header{}
	n.Adds(h.Add)
	return h
}

func TestRequests(t *testing.T) {
	p := New(Config{Inject: func(path string) bool { return path == "/page" }})
	for name, c := range map[string]struct {
		method, path string
		fields       http.Header
		want         bool
	}{
		"a navigation":           {"GET", "/page", navigation(), true},
		"a frame":                {"GET", "/page", http.Header{"Sec-Fetch-Dest": {"iframe"}}, true},
		"HEAD":                   {"HEAD", "/page", navigation(), true},
		"without TLS":            {"GET", "/page", http.Header{"Accept": {"application/xml, text/html;q=0.9"}}, true},
		"another path":           {"GET", "/other", navigation(), false},
		"POST":                   {"POST", "/page", navigation(), false},
		"a script's fetch":       {"GET", "/page", http.Header{"Sec-Fetch-Dest": {"empty"}, "Accept": {"text/html"}}, false},
		"curl":                   {"GET", "/page", http.Header{"Accept": {"*/*"}}, false},
		"jQuery.load":            {"GET", "/page", http.Header{"Accept": {"text/html, */*"}, "X-Requested-With": {"XMLHttpRequest"}}, false},
		"a WebSocket":            {"GET", "/page", navigation("Upgrade", "websocket"), false},
		"nothing is said at all": {"GET", "/page", http.Header{}, false},
	} {
		if r := p.Request(c.method, c.path, "https", "a", c.fields); (r != nil) != c.want {
			t.Errorf("%s: %v", name, r != nil)
		}
	}
}

func TestAnswers(t *testing.T) {
	p := New(Config{Inject: everywhere})
	for name, c := range map[string]struct {
		status, minor int
		length        int64
		fields        http.Header
		want          bool
	}{
		"a page":                  {200, 1, 100, answer(), true},
		"in chunks":               {200, 1, -1, answer(), true},
		"an error's page":         {404, 1, 100, answer(), true},
		"XHTML":                   {200, 1, 100, answer("Content-Type", "application/xhtml+xml"), true},
		"gzip":                    {200, 1, 100, answer("Content-Encoding", "gzip"), true},
		"zstd":                    {200, 1, 100, answer("Content-Encoding", "ZSTD"), true},
		"one coding on the other": {200, 1, 100, answer("Content-Encoding", "gzip, br"), false},
		"a strange coding":        {200, 1, 100, answer("Content-Encoding", "dcb"), false},
		"HTTP/1.0 and gzip":       {200, 0, 100, answer("Content-Encoding", "gzip"), false},
		"HTTP/1.0":                {200, 0, 100, answer(), true},
		"nothing":                 {200, 1, 0, answer(), false},
		"204":                     {204, 1, -1, answer(), false},
		"a range":                 {206, 1, 100, answer(), false},
		"JSON":                    {200, 1, 100, answer("Content-Type", "application/json"), false},
		"no type":                 {200, 1, 100, http.Header{}, false},
		"a download":              {200, 1, 100, answer("Content-Disposition", `Attachment; filename="a.html"`), false},
		"shown, with a name":      {200, 1, 100, answer("Content-Disposition", `inline; filename="a.html"`), true},
		"UTF-16":                  {200, 1, 100, answer("Content-Type", "text/html; charset=UTF-16LE"), false},
		"no-transform":            {200, 1, 100, answer("Cache-Control", "max-age=3, No-Transform"), false},
		"a digest":                {200, 1, 100, answer("Repr-Digest", "sha-256=:x:"), false},
		"a policy against it":     {200, 1, 100, answer("Content-Security-Policy", "script-src 'none'"), false},
		"a policy that reports":   {200, 1, 100, answer("Content-Security-Policy-Report-Only", "script-src 'none'"), false},
		"not changed":             {304, 1, -1, answer(), false},
	} {
		n := p.Request("GET", "/", "https", "a", navigation()).Answer(c.status, c.minor, c.length, c.fields)
		if (n != nil) != c.want {
			t.Errorf("%s: %v", name, n != nil)
		}
		n.Close()
	}
	if len(p.recoded) != 0 {
		t.Errorf("%d places are not given back", len(p.recoded))
	}
}

func TestNonceInTag(t *testing.T) {
	p := New(Config{Inject: everywhere})
	n := p.Request("GET", "/", "https", "a", navigation()).Answer(200, 1, 10, answer("Content-Security-Policy", "script-src 'nonce-abc'"))
	if want := ` nonce="abc"></script>`; !strings.HasSuffix(string(n.tag), want) {
		t.Errorf("%s, want %s", n.tag, want)
	}
}

func TestTooManyRecoded(t *testing.T) {
	p := New(Config{Inject: everywhere})
	r := p.Request("GET", "/", "https", "a", navigation())
	for range maxRecoded {
		if r.Answer(200, 1, 10, answer("Content-Encoding", "br")) == nil {
			t.Fatal("refused too early")
		}
	}
	if r.Answer(200, 1, 10, answer("Content-Encoding", "br")) != nil {
		t.Error("none is refused")
	}
	if r.Answer(200, 1, 10, answer()) == nil {
		t.Error("one without compression is refused")
	}
}

// TestConditions: a page with the tag and one without have different entity tags,
// and the app is asked about the first only.
func TestConditions(t *testing.T) {
	p := New(Config{Inject: everywhere})
	ask := func(more ...string) *Request { return p.Request("GET", "/", "https", "a", navigation(more...)) }
	n := ask().Answer(200, 1, 100, answer("Etag", `W/"v1"`, "Accept-Ranges", "bytes"))
	ours := added(n).Get("Etag")
	if ours == `W/"v1"` || !n.Drops("ETag") || !n.Drops("accept-ranges") || added(n).Get("Content-Length") == "" {
		t.Errorf("%q, adds %v", ours, added(n))
	}

	again := ask("If-None-Match", `"x", `+ours, "If-Modified-Since", "then")
	if again.Match() != `W/"v1"` || !again.Drops("if-none-match") || !again.Drops("If-Modified-Since") {
		t.Errorf("asks for %q", again.Match())
	}
	if n := again.Answer(304, 1, -1, http.Header{"Etag": {`W/"v1"`}}); n == nil || !n.HeadOnly() || added(n).Get("Etag") != ours || n.Drops("Content-Length") {
		t.Errorf("not changed: %v", n)
	}

	old := ask("If-None-Match", `W/"v1"`, "If-Modified-Since", "then")
	if old.Match() != "" || !old.Drops("If-None-Match") || !old.Drops("If-Modified-Since") {
		t.Error("the app is asked about a page without the tag")
	}
	for _, cfg := range []Config{{Badge: true}, {Hosts: []string{"a"}}} {
		cfg.Inject = everywhere
		if other := New(cfg).Request("GET", "/", "https", "a", navigation("If-None-Match", ours)); other.Match() != "" {
			t.Error("the app is asked about a page with another tag")
		}
	}

	// An app that knows dates only.
	n = ask().Answer(200, 1, 100, answer("Last-Modified", "then"))
	ours = added(n).Get("Etag")
	again = ask("If-None-Match", ours, "If-Modified-Since", "then")
	if ours == "" || again.Match() != "" || !again.Drops("If-None-Match") || again.Drops("If-Modified-Since") {
		t.Errorf("%q asks for %q", ours, again.Match())
	}
	if n := again.Answer(304, 1, -1, http.Header{}); n == nil || added(n).Get("Etag") != ours {
		t.Errorf("not changed: %v", n)
	}
}

func TestHead(t *testing.T) {
	p := New(Config{Inject: everywhere})
	n := p.Request("HEAD", "/", "https", "a", navigation()).Answer(200, 1, 100, answer("Etag", `"v"`))
	if n == nil || !n.HeadOnly() || !n.Drops("Content-Length") || added(n).Get("Content-Length") != "" || added(n).Get("Etag") == `"v"` {
		t.Errorf("adds %v", added(n))
	}
}

// compressed is a text in a coding.
func compressed(t *testing.T, coding, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	e, err := encode(&b, coding)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(e, text)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func content(t *testing.T, coding string, p []byte) string {
	t.Helper()
	d, err := decode(bytes.NewReader(p), coding)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(d)
	if err != nil {
		t.Fatalf("%s: %v", coding, err)
	}
	return string(text)
}

var codings = []string{"", "gzip", "br", "zstd"}

func TestInsert(t *testing.T) {
	p := New(Config{Inject: everywhere})
	rest := strings.Repeat("<p>something else</p>", 20_000)
	for _, coding := range codings {
		n := p.Request("GET", "/", "https", "a", navigation()).Answer(200, 1, -1, answer("Content-Encoding", coding))
		raw := compressed(t, coding, "<!doctype html><html><head><title>x</title>"+rest)
		if !n.Look(iotest.OneByteReader(bytes.NewReader(raw))) {
			t.Errorf("%q: no place", coding)
			continue
		}
		r, err := n.Reader(iotest.HalfReader(bytes.NewReader(raw)))
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		want := "<!doctype html><html><head>" + string(n.tag) + "<title>x</title>" + rest
		if got := content(t, coding, out); got != want {
			t.Errorf("%q: %d bytes, want %d", coding, len(got), len(want))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		n.Close()
	}
}

// TestStreams: what an app has flushed is there before it goes on.
func TestStreams(t *testing.T) {
	p := New(Config{Inject: everywhere})
	for _, coding := range codings {
		n := p.Request("GET", "/", "https", "a", navigation()).Answer(200, 1, -1, answer("Content-Encoding", coding))
		n.at = len("<head>")
		in, feed := io.Pipe()
		go func() {
			e, _ := encode(feed, coding)
			_, _ = io.WriteString(e, "<head><title>loading</title>")
			_ = e.Flush()
		}()
		r, err := n.Reader(in)
		if err != nil {
			t.Fatal(err)
		}
		d, err := decode(r, coding)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len("<head>")+len(n.tag)+len("<title>loading</title>"))
		if _, err := io.ReadFull(d, got); err != nil || !strings.HasSuffix(string(got), "loading</title>") {
			t.Errorf("%q: %q, %v", coding, got, err)
		}
		feed.Close()
	}
}

// TestBroken: an answer that ends too early, or is damaged, does not end well.
func TestBroken(t *testing.T) {
	p := New(Config{Inject: everywhere})
	for _, coding := range codings[1:] {
		raw := compressed(t, coding, "<head>"+strings.Repeat("<p>x</p>", 1000))
		n := p.Request("GET", "/", "https", "a", navigation()).Answer(200, 1, -1, answer("Content-Encoding", coding))
		n.at = len("<head>")
		r, err := n.Reader(bytes.NewReader(raw[:len(raw)-6]))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if err == nil {
			t.Errorf("%s: it ended as if it were whole", coding)
		}
	}
}

// TestLookAtNothing: compressed content that stands for nothing is not read for
// ever.
func TestLookAtNothing(t *testing.T) {
	p := New(Config{Inject: everywhere})
	n := p.Request("GET", "/", "https", "a", navigation()).Answer(200, 1, -1, answer("Content-Encoding", "gzip"))
	empty := bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 1<<18) // stored blocks of no bytes
	raw := bytes.NewReader(append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}, empty...))
	if n.Look(raw) {
		t.Error("a place in nothing")
	}
	if read := int(raw.Size()) - raw.Len(); read > maxLookCoded {
		t.Errorf("%d bytes were read", read)
	}
}

// TestLookIsBounded: a page without a head is not held for ever, however much a
// few bytes stand for.
func TestLookIsBounded(t *testing.T) {
	p := New(Config{Inject: everywhere})
	for _, coding := range codings {
		n := p.Request("GET", "/", "https", "a", navigation()).Answer(200, 1, -1, answer("Content-Encoding", coding))
		raw := bytes.NewReader(compressed(t, coding, "<!doctype html><!-- "+strings.Repeat("x", 1<<20)))
		if n.Look(raw) {
			t.Errorf("%q: a place in a comment", coding)
		}
		if coding == "" && int(raw.Size())-raw.Len() > maxLook {
			t.Errorf("%d bytes were read", int(raw.Size())-raw.Len())
		}
	}
}
