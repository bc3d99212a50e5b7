package observe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a network in memory, so that time can be virtual.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.conns) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- localConn{server}
	return client, nil
}

// localConn is a connection from this machine.
type localConn struct{ net.Conn }

func (localConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000} }

// adminServer serves a with the timeouts that the sidecar uses.
func adminServer(t *testing.T, a Admin) *http.Client {
	p := &pipes{conns: make(chan net.Conn)}
	srv := &http.Server{Handler: a.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(p) }()
	transport := &http.Transport{DialContext: p.dial}
	t.Cleanup(func() { transport.CloseIdleConnections(); _ = srv.Close() })
	return &http.Client{Transport: transport}
}

// fakeDrain takes a minute from the first call on, and loses a session a
// second.
type fakeDrain struct {
	mu    sync.Mutex
	began time.Time
	err   error
}

func (f *fakeDrain) drain(ctx context.Context) error {
	f.mu.Lock()
	if f.began.IsZero() {
		f.began = time.Now()
	}
	left := time.Until(f.began.Add(time.Minute))
	f.mu.Unlock()
	select {
	case <-time.After(left):
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fakeDrain) state() DrainState {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.began.IsZero() {
		return DrainState{Sessions: 60, Plain: 2, Tunnels: 1}
	}
	return DrainState{Draining: true, Sessions: 60 - int(time.Since(f.began).Seconds()), Plain: 2, Tunnels: 1, Since: f.began}
}

func (f *fakeDrain) admin() Admin {
	return Admin{Metrics: http.NotFoundHandler(), Drain: f.drain, DrainState: f.state}
}

func post(t *testing.T, client *http.Client, accept string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://localhost/drain", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return string(text)
}

// TestDrainOutlastsTheServersTimeouts: a drain takes a minute, and the admin
// server otherwise ten seconds at most. Whoever asks again joins.
func TestDrainOutlastsTheServersTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := adminServer(t, (&fakeDrain{}).admin())
		began := time.Now()
		var second sync.WaitGroup
		second.Go(func() {
			time.Sleep(20 * time.Second)
			resp := post(t, client, "*/*")
			if text := body(t, resp); resp.StatusCode != 200 || text != "done\n" || time.Since(began) != time.Minute {
				t.Errorf("joined: %d %q after %v, want 200 done after a minute in all", resp.StatusCode, text, time.Since(began))
			}
		})
		resp := post(t, client, "text/plain")
		if time.Since(began) != 0 {
			t.Errorf("the answer began after %v, want at once", time.Since(began))
		}
		lines := bufio.NewScanner(resp.Body)
		var n int
		var last string
		for lines.Scan() {
			last = lines.Text()
			if want := fmt.Sprintf("%d sessions, 2 plain connections and 1 tunnels are left", 60-n); n < 60 && last != want {
				t.Errorf("after %v: %q, want %q", time.Since(began), last, want)
			}
			n++
		}
		if err := lines.Err(); err != nil || last != DrainDone || time.Since(began) != time.Minute {
			t.Errorf("%d lines, the last %q after %v, error %v; want done after a minute", n, last, time.Since(began), err)
		}
		second.Wait()
	})
}

func TestDrainFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeDrain{err: errors.Join(errors.New("store: unavailable"), errors.New("3 sessions are lost"))}
		client := adminServer(t, f.admin())
		resp := post(t, client, "text/plain")
		if text := body(t, resp); !strings.HasSuffix(text, "\nfailed: store: unavailable; 3 sessions are lost\n") {
			t.Errorf("%q, want a last line that says why", text)
		}
		resp = post(t, client, "")
		if text := body(t, resp); resp.StatusCode != 500 || !strings.HasPrefix(text, "failed: store") {
			t.Errorf("%d %q, want 500 and why", resp.StatusCode, text)
		}
	})
}

// TestDrainIsNotForPages: a page in a browser of somebody who can reach the
// admin port must not stop a sidecar.
func TestDrainIsNotForPages(t *testing.T) {
	drained := 0
	h := Admin{
		Metrics: http.NotFoundHandler(), Drain: func(context.Context) error { drained++; return nil }, DrainState: func() DrainState { return DrainState{} },
	}.Handler()
	for _, tt := range []struct {
		method, name, value string
		status              int
	}{
		{"POST", "Origin", "https://evil.example", 403},
		{"POST", "Origin", "null", 403},
		{"POST", "Sec-Fetch-Site", "cross-site", 403},
		{"POST", "Sec-Fetch-Site", "same-site", 403},
		{"DELETE", "Origin", "null", 403},
		{"PUT", "", "", 405},
		{"OPTIONS", "Origin", "https://evil.example", 405},
		{"GET", "", "", 200},
		{"HEAD", "", "", 200},
	} {
		r := local(httptest.NewRequest(tt.method, "/drain", nil))
		if tt.name != "" {
			r.Header.Set(tt.name, tt.value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || drained != 0 || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s with %s: %q: status %d, drained %d times; want %d and never", tt.method, tt.name, tt.value, w.Code, drained, tt.status)
		}
	}
	r := local(httptest.NewRequest("POST", "/drain", nil))
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 200 || drained != 1 {
		t.Errorf("without a page: status %d, drained %d times, want 200 and once", w.Code, drained)
	}
}

// local makes a request one of this machine.
func local(r *http.Request) *http.Request {
	r.RemoteAddr, r.Host = "127.0.0.1:40000", "127.0.0.1:15802"
	return r
}

// TestChangesAreForThisMachine: whoever reaches the admin port over the
// network reads, and changes nothing without the token.
func TestChangesAreForThisMachine(t *testing.T) {
	const token = "0123456789abcdef"
	for _, tt := range []struct {
		name               string
		remote, local      string // addresses of the connection
		host               string
		header, value      string
		token              string // "": none is set
		read, change, undo int
	}{
		{"the node", "10.0.0.1:40000", "10.0.0.7:15802", "10.0.0.7:15802", "", "", "", 200, 403, 403},
		{"loopback", "127.0.0.1:40000", "127.0.0.1:15802", "127.0.0.1:15802", "", "", "", 200, 200, 200},
		{"loopback by name", "127.0.0.1:40000", "127.0.0.1:15802", "localhost:15802", "", "", "", 200, 200, 200},
		{"IPv6", "[::1]:40000", "[::1]:15802", "[::1]:15802", "", "", "", 200, 200, 200},
		{"mapped", "[::ffff:127.0.0.1]:40000", "[::ffff:127.0.0.1]:15802", "127.0.0.1", "", "", "", 200, 200, 200},
		{"the pod's own address", "10.0.0.7:40000", "10.0.0.7:15802", "10.0.0.7:15802", "", "", "", 200, 200, 200},
		{"a page's name that points here", "127.0.0.1:40000", "127.0.0.1:15802", "evil.example:15802", "", "", "", 421, 421, 421},
		{"the pod's address by a page's name", "10.0.0.7:40000", "10.0.0.7:15802", "evil.example", "", "", "", 200, 403, 403},
		{"a scraper, by the service's name", "10.0.0.1:40000", "10.0.0.7:15802", "app.team.svc:15802", "", "", "", 200, 403, 403},
		{"through a proxy in the pod", "127.0.0.1:40000", "127.0.0.1:15802", "10.0.0.7:15802", "X-Forwarded-For", "10.0.0.1", "", 200, 403, 403},
		{"the same, with Via", "127.0.0.1:40000", "127.0.0.1:15802", "10.0.0.7:15802", "Via", "1.1 proxy", "", 200, 403, 403},
		{"through Istio", "127.0.0.6:40000", "10.0.0.7:15802", "app.team.svc:15802", "", "", "", 200, 403, 403},
		{"it says it is loopback", "10.0.0.1:40000", "10.0.0.7:15802", "127.0.0.1", "", "", "", 200, 403, 403},
		{"no address", "pipe", "10.0.0.7:15802", "127.0.0.1", "", "", "", 200, 403, 403},
		{"the token", "10.0.0.1:40000", "10.0.0.7:15802", "10.0.0.7", "Authorization", "Bearer " + token, token, 200, 200, 200},
		{"the token in lower case", "10.0.0.1:40000", "10.0.0.7:15802", "10.0.0.7", "Authorization", "bearer " + token, token, 200, 200, 200},
		{"another", "10.0.0.1:40000", "10.0.0.7:15802", "10.0.0.7", "Authorization", "Bearer " + token + "0", token, 200, 403, 403},
		{"the token by another scheme", "10.0.0.1:40000", "10.0.0.7:15802", "10.0.0.7", "Authorization", "Basic " + token, token, 200, 403, 403},
		{"none where there is one", "10.0.0.1:40000", "10.0.0.7:15802", "10.0.0.7", "", "", token, 200, 403, 403},
		{"an empty one where there is none", "10.0.0.1:40000", "10.0.0.7:15802", "10.0.0.7", "Authorization", "Bearer ", "", 200, 403, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			drained, undone := 0, 0
			a := Admin{
				Metrics: http.NotFoundHandler(), Drain: func(context.Context) error { drained++; return nil },
				DrainState: func() DrainState { return DrainState{} }, Undrain: func() error { undone++; return nil },
				Token: func() string { return tt.token },
			}
			for method, want := range map[string]int{"GET": tt.read, "POST": tt.change, "DELETE": tt.undo} {
				to, err := net.ResolveTCPAddr("tcp", tt.local)
				if err != nil {
					t.Fatal(err)
				}
				r := httptest.NewRequest(method, "/drain", nil)
				r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, to))
				r.RemoteAddr, r.Host = tt.remote, tt.host
				if tt.header != "" {
					r.Header.Set(tt.header, tt.value)
				}
				w := httptest.NewRecorder()
				if a.Handler().ServeHTTP(w, r); w.Code != want {
					t.Errorf("%s: %d %q, want %d", method, w.Code, w.Body, want)
				}
			}
			if want := tt.change / 200 % 2; drained != want || undone != want {
				t.Errorf("drained %d times, undone %d times, want %d", drained, undone, want)
			}
		})
	}
}

// TestUndrainRefused: the answer says why.
func TestUndrainRefused(t *testing.T) {
	a := Admin{
		Metrics: http.NotFoundHandler(), Drain: func(context.Context) error { return nil },
		DrainState: func() DrainState { return DrainState{} }, Undrain: func() error { return errors.New("stopping") },
	}
	w := httptest.NewRecorder()
	if a.Handler().ServeHTTP(w, local(httptest.NewRequest("DELETE", "/drain", nil))); w.Code != 409 || w.Body.String() != "stopping\n" {
		t.Errorf("%d %q, want 409 and why", w.Code, w.Body)
	}
}

func TestDrainState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeDrain{}
		get := func() string {
			w := httptest.NewRecorder()
			f.admin().Handler().ServeHTTP(w, httptest.NewRequest("GET", "/drain", nil))
			return strings.Join(strings.Fields(w.Body.String()), "")
		}
		if got, want := get(), `{"draining":false,"sessions":60,"plain":2,"tunnels":1}`; got != want {
			t.Errorf("before: %s, want %s", got, want)
		}
		go func() { _ = f.drain(t.Context()) }()
		time.Sleep(5 * time.Second)
		if got, want := get(), `{"draining":true,"sessions":55,"plain":2,"tunnels":1,"since":"2000-01-01T00:00:00Z"}`; got != want {
			t.Errorf("during: %s, want %s", got, want)
		}
		time.Sleep(time.Minute)
	})
}
