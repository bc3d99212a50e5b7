package demo

import (
	"bufio"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// openTestbed is a testbed with a page, and nothing that is broken by itself.
func openTestbed(t *testing.T) (*testbed, *tallies) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	w := newTallies(newTally(options{rate: 50, listen: "127.0.0.1:0", listenGiven: true, sidecar: sidecar(t)}))
	s, err := newTestbed(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s, w
}

// request asks the page's server for something.
func request(t *testing.T, method, url string, header ...string) (status int, body string, h http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// beginVisit is what the page does first.
func beginVisit(t *testing.T, page string) (visit visitInfo) {
	t.Helper()
	status, text, _ := request(t, http.MethodPost, page+"visit")
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, text)
	}
	if err := json.Unmarshal([]byte(text), &visit); err != nil {
		t.Fatal(err)
	}
	return visit
}

// follow reads the stream of a visit, until the test ends or stop is called.
func follow(t *testing.T, page, name string) (states <-chan pageState, stop func()) {
	t.Helper()
	resp, err := (&http.Transport{}).RoundTrip(newRequest(t, page+"visit/"+name+"/events"))
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("stream: %s, %s", resp.Status, resp.Header)
	}
	ch := make(chan pageState)
	over := make(chan struct{})
	go func() {
		defer close(ch)
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			var p pageState
			if !ok || json.Unmarshal([]byte(data), &p) != nil {
				continue
			}
			select {
			case ch <- p:
			case <-over:
				return
			}
		}
	}()
	stop = func() {
		select {
		case <-over:
		default:
			close(over)
			resp.Body.Close()
		}
	}
	t.Cleanup(stop)
	return ch, stop
}

func newRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wait reads states until one is as wanted.
func wait(t *testing.T, what string, states <-chan pageState, wanted func(*pageState) bool) (last pageState) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case p, ok := <-states:
			if !ok {
				t.Fatalf("%s: the stream ended, with %+v", what, last)
			}
			if last = p; wanted(&p) {
				return p
			}
		case <-limit:
			t.Fatalf("%s: not in time, but %+v", what, last)
		}
	}
}

// What changes something is for the page itself, by whatever name it was found.
func TestPageGuards(t *testing.T) {
	h := (&page{visitors: &visitors{}}).handler(fstest.MapFS{"index.html": {Data: []byte("hello")}})
	for _, tt := range []struct {
		name, method, path, host string
		header                   [2]string
		want                     int
	}{
		{"the page", "GET", "/", "127.0.0.1:15800", [2]string{}, http.StatusOK},
		{"the page by name", "GET", "/", "localhost:15800", [2]string{}, http.StatusOK},
		{"behind a proxy", "GET", "/", "fluffy-15800.app.example", [2]string{}, http.StatusOK},
		{"by a forwarded port", "GET", "/", "desk:8080", [2]string{}, http.StatusOK},
		{"a code", "GET", "/code.svg?text=https://a.example/", "desk:8080", [2]string{}, http.StatusOK},
		{"a code of nothing", "GET", "/code.svg", "desk:8080", [2]string{}, http.StatusBadRequest},
		{"a code of a letter", "GET", "/code.svg?text=" + strings.Repeat("a", maxCodeText+1), "desk:8080", [2]string{}, http.StatusBadRequest},
		{"a button behind a proxy", "POST", "/visit/x/kill", "fluffy-15800.app.example", [2]string{"Origin", "https://fluffy-15800.app.example"}, http.StatusNotFound},
		{"a socket of nobody", "GET", "/visit/x/plain", "127.0.0.1:15800", [2]string{"Upgrade", "websocket"}, http.StatusNotFound},
		{"a visit from a foreign page", "POST", "/visit", "127.0.0.1:15800", [2]string{"Origin", "https://evil.example"}, http.StatusForbidden},
		{"a visit from another port", "POST", "/visit", "127.0.0.1:15800", [2]string{"Origin", "http://127.0.0.1:80"}, http.StatusForbidden},
		{"a button in a foreign page", "POST", "/visit/x/kill", "127.0.0.1:15800", [2]string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"the switch in a foreign page", "PUT", "/visit/x/auto", "127.0.0.1:15800", [2]string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"a visit by GET", "GET", "/visit", "127.0.0.1:15800", [2]string{}, http.StatusNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRequest(t, "http://"+tt.host+tt.path)
			r.Method = tt.method
			if tt.header[0] != "" {
				r.Header.Set(tt.header[0], tt.header[1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tt.want)
			}
			if csp := w.Header().Get("Content-Security-Policy"); tt.want == http.StatusOK && csp != pagePolicy {
				t.Errorf("policy %q", csp)
			}
		})
	}
}

// The page needs no network, and nothing that its policy forbids. What it shows and
// where it leads are no loads.
func TestPageFiles(t *testing.T) {
	shown := regexp.MustCompile(`(?s)<code>.*?</code>|(?m)^const PROJECT = ".*";$`)
	foreign := regexp.MustCompile(`https?://|@import|url\(`)
	inline := regexp.MustCompile(`<script>|<style|\sstyle=|\son[a-z]+=`)
	modules := regexp.MustCompile(`(?:from|src=|href=|import\() ?"(?:\./)?([a-z.-]+)"`)
	seen := 0
	err := fs.WalkDir(pageFiles, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		text, err := fs.ReadFile(pageFiles, name)
		if err != nil {
			return err
		}
		content := strings.ReplaceAll(shown.ReplaceAllString(string(text), ""), "http://www.w3.org/2000/svg", "")
		if found := foreign.FindString(content); found != "" && !strings.HasSuffix(name, "wsresilience.js") {
			t.Errorf("%s loads something from elsewhere: %s", name, found)
		}
		if found := inline.FindString(content); found != "" && strings.HasSuffix(name, ".html") {
			t.Errorf("%s has something inline: %s", name, found)
		}
		for _, match := range modules.FindAllStringSubmatch(content, -1) {
			if _, err := fs.Stat(pageFiles, "page/"+match[1]); err != nil && !strings.HasSuffix(name, "wsresilience.js") {
				t.Errorf("%s refers to %s: %v", name, match[1], err)
			}
		}
		return nil
	})
	if err != nil || seen < 10 {
		t.Fatalf("%d files, %v", seen, err)
	}
}

// Without the flag another port will do, and with it none.
func TestPagePortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := newTallies(newTally(options{rate: 1, listen: l.Addr().String(), listenGiven: true}))
	if p, err := servePage(w, &fleet{watched: w}); err == nil {
		_ = p.close()
		t.Error("it was asked for this port, and took another one")
	}
	if def, err := net.Listen("tcp", pageAddress); err == nil {
		defer def.Close()
	} // else somebody has it, which is as good
	w.options.listen, w.options.listenGiven = pageAddress, false
	p, err := servePage(w, &fleet{watched: w})
	if err != nil {
		t.Fatal(err)
	}
	if status, _, _ := request(t, "GET", p.url); status != http.StatusOK || strings.Contains(p.url, pageAddress) {
		t.Errorf("%s: %d", p.url, status)
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}
