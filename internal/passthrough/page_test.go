package passthrough

import (
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/internal/page"
	"github.com/wsresilience/wsresilience/internal/proxytest"
)

const (
	pageText = "<!doctype html><html><head><title>x</title></head><body>hello</body></html>"
	tagBegin = `<script src="/.wsr/client-`
)

func withPages(c *Config) {
	c.Pages = page.New(page.Config{Inject: func(path string) bool { return path != "/not" }})
}

// pageClients are clients of either version of HTTP.
func pageClients() map[string]*http.Client {
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	return map[string]*http.Client{
		"HTTP/1": {Transport: &http.Transport{DisableCompression: true}},
		"HTTP/2": {Transport: &http.Transport{DisableCompression: true, Protocols: h2}},
	}
}

// visit asks for a page as a browser does.
func visit(t *testing.T, c *http.Client, url string, more ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Dest", "document")
	for i := 0; i < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func hasTag(body string) bool {
	return strings.HasPrefix(body, "<!doctype html><html><head>"+tagBegin) && strings.HasSuffix(body, "</script><title>x</title></head><body>hello</body></html>")
}

// TestPagesGetTheTag: whichever way an app frames its page.
func TestPagesGetTheTag(t *testing.T) {
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Etag", `"v1"`)
		switch r.URL.Path {
		case "/same":
			if r.Header.Get("If-None-Match") == `"v1"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		case "/chunks":
			for i := range len(pageText) {
				_, _ = io.WriteString(w, pageText[i:i+1])
				w.(http.Flusher).Flush()
			}
			return
		case "/trailer":
			w.Header().Set("Trailer", "X-End")
			defer w.Header().Set("X-End", "there")
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, pageText)
			_ = z.Close()
			return
		}
		_, _ = io.WriteString(w, pageText)
	})
	f := newFront(t, a.URL, withPages)
	for version, c := range pageClients() {
		at := "http://" + f.addr
		for _, path := range []string{"/", "/chunks", "/trailer", "/", "/chunks"} {
			resp, body := visit(t, c, at+path)
			if !hasTag(body) || resp.Header.Get("Etag") == `"v1"` || resp.ContentLength >= 0 && resp.ContentLength != int64(len(body)) {
				t.Errorf("%s %s: %q %v", version, path, body, resp.Header)
			}
			if end := resp.Trailer.Get("X-End"); (path == "/trailer") != (end == "there") {
				t.Errorf("%s %s: trailer %q", version, path, end)
			}
		}
		resp, body := visit(t, c, at+"/gzip", "Accept-Encoding", "gzip")
		if z, err := gzip.NewReader(strings.NewReader(body)); err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s gzip: %v", version, err)
		} else if text, err := io.ReadAll(z); err != nil || !hasTag(string(text)) {
			t.Errorf("%s gzip: %q, %v", version, text, err)
		}

		resp, _ = visit(t, c, at+"/same")
		resp, body = visit(t, c, at+"/same", "If-None-Match", resp.Header.Get("Etag"))
		if resp.StatusCode != http.StatusNotModified || body != "" || !strings.HasPrefix(resp.Header.Get("Etag"), `"v1-wsr`) {
			t.Errorf("%s, the same: %s %q %v", version, resp.Status, body, resp.Header)
		}
		if resp, body = visit(t, c, at+"/same", "If-None-Match", `"v1"`); resp.StatusCode != http.StatusOK || !hasTag(body) {
			t.Errorf("%s, the page without the tag: %s %q", version, resp.Status, body)
		}
		if _, body = visit(t, c, at+"/not"); body != pageText {
			t.Errorf("%s, another path: %q", version, body)
		}
		if resp, body = visit(t, c, at+"/", "Sec-Fetch-Dest", "empty"); body != pageText || resp.Header.Get("Etag") != `"v1"` {
			t.Errorf("%s, a fetch: %q", version, body)
		}
	}
}

// TestOtherAnswersAsTheyCame: an answer that does not get the tag passes byte for byte,
// and the connection goes on.
func TestOtherAnswersAsTheyCame(t *testing.T) {
	const next = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	long := "<!doctype html><!--" + strings.Repeat("x", 200<<10) + "-->"
	for name, answer := range map[string]string{
		"no page":           "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nContent-Length: 5\r\n\r\nhello",
		"no page in chunks": "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\nh\r\n0004\r\nello\r\n0\r\nX-End: a\r\n\r\n",
		"no head in time":   "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n32013\r\n" + long[:0x32013-3] + "-->\r\n0\r\n\r\n",
		"damaged":           "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
		"JSON":              "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 6\r\n\r\n<head>",
	} {
		t.Run(name, func(t *testing.T) {
			l := byteApp(t, func(c net.Conn) {
				buf := make([]byte, 4096)
				for _, a := range []string{answer, next} {
					if _, err := c.Read(buf); err != nil {
						return
					}
					_, _ = io.WriteString(c, a)
				}
			})
			c := proxytest.Dial(t, newFront(t, urlOf(l), withPages).addr)
			c.Send("GET / HTTP/1.1\r\nHost: x\r\nSec-Fetch-Dest: document\r\n\r\n")
			got := make([]byte, len(answer))
			if _, err := io.ReadFull(c.Reader, got); err != nil || string(got) != answer {
				t.Fatalf("%.200q, %v", got, err)
			}
			c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if _, body := c.Response(); body != "ok" {
				t.Errorf("then %q", body)
			}
		})
	}
}

// TestPageBreaksOff: a page that ends too early does not look whole.
func TestPageBreaksOff(t *testing.T) {
	for name, answer := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 500\r\n\r\n" + pageText,
		"chunks": "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n4b\r\n" + pageText + "\r\n",
	} {
		l := byteApp(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, answer)
			c.Close()
		})
		f := newFront(t, urlOf(l), withPages)
		r, _ := http.NewRequest(http.MethodGet, "http://"+f.addr+"/", http.NoBody)
		r.Header.Set("Sec-Fetch-Dest", "document")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil || !strings.Contains(string(body), tagBegin) {
			t.Errorf("%s: %q, %v", name, body, err)
		}
	}
	// Until the connection ends: then that is its end.
	l := byteApp(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"+pageText)
		c.Close()
	})
	f := newFront(t, urlOf(l), withPages)
	if _, body := visit(t, http.DefaultClient, "http://"+f.addr+"/"); !hasTag(body) {
		t.Errorf("HTTP/1.0: %q", body)
	}
}
