package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/proxy"
)

// An app echoes, and compares Origin and Host unless told otherwise.
type app struct {
	options websocket.AcceptOptions
	greet   string
	pause   time.Duration // before it answers, while it reads on
	closes  time.Duration // after so long without a message, with 4408
	mu      sync.Mutex
	heard   []string // messages
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &a.options)
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(2 << 20)
	ctx := context.Background()
	if a.greet != "" {
		_ = c.Write(ctx, websocket.MessageText, []byte(a.greet))
	}
	if a.closes > 0 {
		t := time.AfterFunc(a.closes, func() { _ = c.Close(4408, "login timeout") })
		defer t.Stop()
	}
	for {
		typ, p, err := c.Read(ctx)
		if err != nil {
			return
		}
		a.mu.Lock()
		a.heard = append(a.heard, string(p[:min(len(p), 40)]))
		a.mu.Unlock()
		if a.pause > 0 {
			time.AfterFunc(a.pause, func() { _ = c.Write(ctx, typ, p) })
			continue
		}
		if c.Write(ctx, typ, p) != nil {
			return
		}
	}
}

// messages are what the app has heard.
func (a *app) messages() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.heard)
}

// serve runs a handler, and returns its host and port.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// startSidecar runs one in front of an app.
func startSidecar(t *testing.T, upstream string, edits ...func(*proxy.Config)) string {
	t.Helper()
	config := sidecarConfig(t, upstream)
	for _, e := range edits {
		e(&config)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveSidecar(t, l, config)
}

func sidecarConfig(t *testing.T, upstream string) proxy.Config {
	t.Helper()
	ring, err := keyring.New([][]byte{keyring.Generate()})
	if err != nil {
		t.Fatal(err)
	}
	return proxy.Config{Upstream: "http://" + upstream, Tokens: ring, SessionTTL: time.Minute, Heartbeat: heartbeat.Config{Base: 400 * time.Millisecond, Min: 400 * time.Millisecond, Max: 400 * time.Millisecond}}
}

func serveSidecar(t *testing.T, l net.Listener, config proxy.Config) string {
	t.Helper()
	s, err := proxy.New(config)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// A middle is a proxy that is faulty in the way that its fields say. The zero
// value is sound.
type middle struct {
	request, answer func(head string) string // nil: as it is
	up, down        func(dst io.Writer, src io.Reader)
	life            time.Duration // of a connection, then it is reset
	idle            time.Duration // without a byte, then it ends
	mute            bool          // instead of ending, nothing passes any more
	wait            time.Duration // before the answer
	tls             *tls.Config
	network         string // of the listener; tcp
	address         string
}

// start runs it in front of upstream.
func (m middle) start(t *testing.T, upstream string) string {
	t.Helper()
	network, address := "tcp", "127.0.0.1:0"
	if m.address != "" {
		address = m.address
	}
	if m.network != "" {
		network = m.network
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if m.tls != nil {
		l = tls.NewListener(l, m.tls)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go m.serve(c, upstream)
		}
	}()
	return l.Addr().String()
}

func (m middle) serve(c net.Conn, upstream string) {
	defer c.Close()
	network := "tcp"
	if strings.HasPrefix(upstream, "/") {
		network = "unix"
	}
	u, err := net.Dial(network, upstream)
	if err != nil {
		fmt.Fprint(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer u.Close()
	cr, ur := bufio.NewReader(c), bufio.NewReader(u)
	if !pass(u, cr, m.request) {
		return
	}
	time.Sleep(m.wait)
	if !pass(c, ur, m.answer) {
		return
	}
	k := &keeper{idle: m.idle}
	k.touch()
	if m.idle > 0 {
		stop := k.watch(func() {
			if m.mute {
				k.mute()
				return
			}
			c.Close()
			u.Close()
		})
		defer stop()
	}
	if m.life > 0 {
		t := time.AfterFunc(m.life, func() { reset(c); u.Close() })
		defer t.Stop()
	}
	copying := func(dst io.Writer, src io.Reader) { _, _ = io.Copy(dst, src) }
	up, down := m.up, m.down
	if up == nil {
		up = copying
	}
	if down == nil {
		down = copying
	}
	done := make(chan struct{}, 2)
	go func() { up(k.writer(u), cr); done <- struct{}{} }()
	go func() { down(k.writer(c), ur); done <- struct{}{} }()
	<-done
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	c.Close()
}

// pass copies a head, edited.
func pass(dst io.Writer, src *bufio.Reader, edit func(string) string) bool {
	var head strings.Builder
	for {
		line, err := src.ReadString('\n')
		if err != nil {
			return false
		}
		head.WriteString(line)
		if line == "\r\n" {
			break
		}
	}
	text := head.String()
	if edit != nil {
		text = edit(text)
	}
	_, err := io.WriteString(dst, text)
	return err == nil && text != ""
}

// A keeper knows when bytes passed.
type keeper struct {
	idle time.Duration
	mu   sync.Mutex
	last time.Time
	dead bool
}

func (k *keeper) touch() { k.mu.Lock(); k.last = time.Now(); k.mu.Unlock() }
func (k *keeper) mute()  { k.mu.Lock(); k.dead = true; k.mu.Unlock() }

func (k *keeper) watch(fn func()) (stop func()) {
	over := make(chan struct{})
	go func() {
		for {
			k.mu.Lock()
			left := time.Until(k.last.Add(k.idle))
			k.mu.Unlock()
			if left <= 0 {
				fn()
				return
			}
			select {
			case <-over:
				return
			case <-time.After(left):
			}
		}
	}()
	return func() { close(over) }
}

func (k *keeper) writer(w io.Writer) io.Writer { return keptWriter{k, w} }

type keptWriter struct {
	k *keeper
	w io.Writer
}

func (w keptWriter) Write(p []byte) (int, error) {
	w.k.mu.Lock()
	dead := w.k.dead
	w.k.last = time.Now()
	w.k.mu.Unlock()
	if dead {
		return len(p), nil
	}
	return w.w.Write(p)
}

// Edits of heads.

func drop(name string) func(string) string {
	return func(head string) string {
		lines := strings.SplitAfter(head, "\r\n")
		return strings.Join(slices.DeleteFunc(lines, func(l string) bool {
			n, _, ok := strings.Cut(l, ":")
			return ok && strings.EqualFold(n, name)
		}), "")
	}
}

func set(name, value string) func(string) string {
	return func(head string) string {
		return strings.Replace(drop(name)(head), "\r\n", "\r\n"+name+": "+value+"\r\n", 1)
	}
}

func change(old, by string) func(string) string {
	return func(head string) string { return strings.Replace(head, old, by, 1) }
}

// Pumps.

// holding passes bytes on when so many have come.
func holding(n int) func(io.Writer, io.Reader) {
	return func(dst io.Writer, src io.Reader) {
		p := make([]byte, n)
		for {
			if _, err := io.ReadFull(src, p); err != nil {
				return
			}
			_, _ = dst.Write(p)
		}
	}
}

// late passes bytes on after d.
func late(d time.Duration) func(io.Writer, io.Reader) {
	return func(dst io.Writer, src io.Reader) {
		p := make([]byte, 64<<10)
		for {
			n, err := src.Read(p)
			if err != nil {
				return
			}
			time.Sleep(d)
			_, _ = dst.Write(p[:n])
		}
	}
}

// upTo passes so many bytes.
func upTo(n int64) func(io.Writer, io.Reader) {
	return func(dst io.Writer, src io.Reader) { _, _ = io.CopyN(dst, src, n) }
}

// corrupt flips a bit in each chunk behind the first two bytes.
func corrupt(dst io.Writer, src io.Reader) {
	p := make([]byte, 64<<10)
	for {
		n, err := src.Read(p)
		if err != nil {
			return
		}
		p[n-1] ^= 1
		_, _ = dst.Write(p[:n])
	}
}

// gateway ends WebSocket frames of clients: limit refuses longer messages with
// 1009, and pings are answered here.
func gateway(limit int64, answersPings, dropsPings bool) func(*testing.T, string) string {
	return func(t *testing.T, upstream string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					u, err := net.Dial("tcp", upstream)
					if err != nil {
						return
					}
					defer u.Close()
					cr, ur := bufio.NewReader(c), bufio.NewReader(u)
					if !pass(u, cr, nil) || !pass(c, ur, nil) {
						return
					}
					go func() { _, _ = io.Copy(c, ur); c.Close() }()
					for {
						h, err := ws.ReadHeader(cr)
						if err != nil {
							return
						}
						if limit > 0 && h.Length > limit {
							_, _ = c.Write(frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpClose}, []byte{0x03, 0xf1}))
							return
						}
						p := make([]byte, h.Length)
						if _, err := io.ReadFull(cr, p); err != nil {
							return
						}
						if h.OpCode == ws.OpPing && (answersPings || dropsPings) {
							if answersPings {
								frame.Mask(p, h.Mask, 0)
								_, _ = c.Write(frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpPong}, p))
							}
							continue
						}
						_, _ = u.Write(append(frame.AppendHeader(nil, h), p...))
					}
				}()
			}
		}()
		return l.Addr().String()
	}
}

// canned answers each request with the same text.
func canned(t *testing.T, text string) string {
	t.Helper()
	return raw(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		if _, err := http.ReadRequest(br); err == nil {
			_, _ = io.WriteString(c, text)
		}
	})
}

// raw runs fn on each connection.
func raw(t *testing.T, fn func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); fn(c) }()
		}
	}()
	return l.Addr().String()
}

// page is an HTTP answer.
func page(status int, headers, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, http.StatusText(status), headers, len(body), body)
}

// quick are options for tests.
func quick(url string) Options {
	return Options{URL: url, Quick: true, Idle: time.Second, Timeout: 3 * time.Second, UserAgent: "test"}
}

// examine runs doctor.
func examine(t *testing.T, o Options) *diagnosis.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := Examine(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func said(r *diagnosis.Report) string {
	var b strings.Builder
	WriteText(&b, r)
	return b.String()
}

// terminating is a gateway that ends WebSockets, and begins others, as those do
// that are made of a library.
func terminating(t *testing.T, upstream string) string {
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.Background()
		var offered []string
		for _, line := range r.Header["Sec-Websocket-Protocol"] {
			for p := range strings.SplitSeq(line, ",") {
				offered = append(offered, strings.TrimSpace(p))
			}
		}
		u, _, err := websocket.Dial(ctx, "ws://"+upstream+r.URL.Path, &websocket.DialOptions{Subprotocols: offered}) //nolint:bodyclose // there is none
		if err != nil {
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return
		}
		defer u.CloseNow()
		var chosen []string
		if u.Subprotocol() != "" {
			chosen = []string{u.Subprotocol()}
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: chosen})
		if err != nil {
			return
		}
		defer c.CloseNow()
		join := func(to, from *websocket.Conn) {
			from.SetReadLimit(-1)
			for {
				typ, p, err := from.Read(ctx)
				if err != nil {
					_ = to.Close(websocket.StatusInternalError, "")
					return
				}
				if to.Write(ctx, typ, p) != nil {
					return
				}
			}
		}
		go join(c, u)
		join(u, c)
	}))
}

// events serves some at /events.
func events(a http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/events" {
			a.ServeHTTP(w, r)
			return
		}
		for range 12 {
			_, _ = io.WriteString(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush() // unless somebody gathers
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// gathered holds answers back until they are whole.
func gathered(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			h.ServeHTTP(w, r)
			return
		}
		whole := httptest.NewRecorder()
		h.ServeHTTP(whole, r)
		_, _ = io.Copy(w, whole.Body)
	})
}
