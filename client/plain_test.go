package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/wire"
)

func coderEcho(protocols ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, &coder.AcceptOptions{Subprotocols: protocols})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		for {
			typ, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if string(b) == "close me" {
				c.Close(3001, "as you wish")
				return
			}
			if c.Write(r.Context(), typ, b) != nil {
				return
			}
		}
	}
}

func gorillaEcho(protocols ...string) http.HandlerFunc {
	u := websocket.Upgrader{Subprotocols: protocols}
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := u.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			typ, b, err := c.ReadMessage()
			if err != nil {
				return
			}
			if string(b) == "close me" {
				c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(3001, "as you wish"), time.Now().Add(time.Second))
				_, _, _ = c.ReadMessage()
				return
			}
			if c.WriteMessage(typ, b) != nil {
				return
			}
		}
	}
}

// refusing answers 400 to subprotocols that it does not know, as some do.
func refusing(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Sec-WebSocket-Protocol"), "wsr") {
			http.Error(w, "unknown subprotocol", http.StatusBadRequest)
			return
		}
		next(w, r)
	}
}

// echoing is a server that echoes the first subprotocol it is offered.
func echoing(w http.ResponseWriter, r *http.Request) {
	first, _, _ := strings.Cut(r.Header.Get("Sec-WebSocket-Protocol"), ",")
	coderEcho(first)(w, r)
}

// Servers that we did not write, and that never heard of us (PROTOCOL §2.3).
func TestNoSidecar(t *testing.T) {
	for _, tc := range []struct {
		name   string
		server http.HandlerFunc
		offer  []string
		want   string
	}{
		{"coder", coderEcho(), nil, ""},
		{"coder, chat", coderEcho("chat"), []string{"chat"}, "chat"},
		{"coder, chat is not offered", coderEcho("chat"), nil, ""},
		{"gorilla", gorillaEcho(), nil, ""},
		{"gorilla, chat", gorillaEcho("chat"), []string{"v2", "chat"}, "chat"},
		{"echoes the decoy", echoing, nil, ""},
		{"echoes the app's", echoing, []string{"chat"}, "chat"},
		{"refuses ours", refusing(gorillaEcho("chat")), []string{"chat"}, "chat"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := httptest.NewServer(tc.server)
			defer s.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			for _, end := range []func(*testing.T, context.Context, *Conn){closeHere, closeThere} {
				c, resp, err := Dial(ctx, s.URL, &Options{Subprotocols: tc.offer})
				if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
					t.Fatal(err)
				}
				if c.Resilient() || c.Subprotocol() != tc.want {
					t.Fatalf("resilient %v, subprotocol %q", c.Resilient(), c.Subprotocol())
				}
				echo(t, ctx, c)
				end(t, ctx, c)
			}
		})
	}
}

func echo(t *testing.T, ctx context.Context, c *Conn) {
	t.Helper()
	for _, m := range []string{"", "hello", wire.Magic + "\x01", strings.Repeat("long", 200_000)} {
		if err := c.Write(ctx, MessageBinary, []byte(m)); err != nil {
			t.Fatal(err)
		}
		typ, b, err := c.Read(ctx)
		if err != nil || typ != MessageBinary || string(b) != m {
			t.Fatalf("%v %.20q %v, want %.20q", typ, b, err, m)
		}
	}
}

func closeHere(t *testing.T, ctx context.Context, c *Conn) {
	t.Helper()
	if err := c.Close(1000, "done"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(ctx); CloseStatus(err) != 1000 || !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

func closeThere(t *testing.T, ctx context.Context, c *Conn) {
	t.Helper()
	defer c.CloseNow()
	if err := c.WriteAcked(ctx, MessageText, []byte("close me")); err != nil {
		t.Fatal(err)
	}
	_, _, err := c.Read(ctx)
	ce, ok := errors.AsType[*CloseError](err)
	if !ok || ce.Code != 3001 || ce.Reason != "as you wish" || !ce.Remote {
		t.Fatal(err)
	}
	if err := c.Write(ctx, MessageText, nil); CloseStatus(err) != 3001 {
		t.Fatal(err)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(coderEcho())
	defer s.Close()
	if _, _, err := Dial(t.Context(), s.URL, nil); err == nil {
		t.Fatal("an unknown authority was trusted")
	}
	c, _, err := Dial(t.Context(), s.URL, &Options{TLSConfig: s.Client().Transport.(*http.Transport).TLSClientConfig})
	if err != nil {
		t.Fatal(err)
	}
	echo(t, t.Context(), c)
	closeHere(t, t.Context(), c)
}

// A server may select wsr.v1 by accident and never say WELCOME.
func TestSelectedByAccident(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		ch := s.dial(s.options())
		p := s.accept(wire.Subprotocol)
		p.text("data")
		c := (<-ch).c
		wantRead(t, c, "data")
		p.conn.Close()
		if _, _, err := c.Read(t.Context()); CloseStatus(err) != 1006 || !errors.Is(err, io.ErrUnexpectedEOF) || c.Resilient() {
			t.Fatal(err)
		}
	})
}

// A WELCOME that is late does not make a connection a plain one, on which the
// program would get it, with the token, as a message: it is tried again.
func TestWelcomeLateAtFirst(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		ch := s.dial(s.options())
		start := time.Now()
		for range maxUnwelcomed - 1 {
			s.accept(wire.Subprotocol)
		}
		p := s.accept(wire.Subprotocol)
		if d := time.Since(start); d < 3*maxWelcomeWait || d > 3*maxWelcomeWait+2*maxFinalWrite {
			t.Errorf("the last dial came after %v", d)
		}
		p.welcome(wire.StatusNew, 0, 1)
		c := (<-ch).c
		if !c.Resilient() {
			t.Error("an ordinary WebSocket")
		}
		c.CloseNow()

		ch = s.dial(s.options())
		for range maxUnwelcomed {
			s.accept(wire.Subprotocol)
		}
		if r := <-ch; !errors.Is(r.err, errNoWelcome) {
			t.Fatal(r.err)
		}
	})
}

// Where WELCOME always takes longer than it may, it is waited for: by Dial, and by
// a resume. The program never gets it as a message.
func TestWelcomeAlwaysLate(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		const late = maxWelcomeWait + 2*maxFinalWrite
		served := make(chan *peer, 8)
		ended := make(chan struct{})
		serve := func(n int, status wire.Status) {
			for range n {
				p := s.accept(wire.Subprotocol)
				go func() {
					time.Sleep(late)
					if _, err := p.conn.Write(frameOf(ws.OpBinary, wire.AppendWelcome(nil, welcome(status, 0, 1)))); err == nil {
						served <- p
					}
					ended <- struct{}{}
				}()
			}
			for range n {
				<-ended
			}
		}
		ch := s.dial(s.options())
		serve(2, wire.StatusNew)
		d := <-ch
		if d.err != nil || !d.c.Resilient() {
			t.Fatal(d.err)
		}
		defer d.c.CloseNow()
		(<-served).conn.Close()
		serve(2, wire.StatusResumed)
		p := <-served
		p.want("ACK 0")
		p.text("data")
		wantRead(t, d.c, "data")
		p.conn.Close()
	})
}

// An answer of 400 may have other reasons than our subprotocols, and so may one
// that selects what was not offered. Each dial has a header of its own.
func TestRefusedOnce(t *testing.T) {
	for _, tc := range []struct {
		refusals int    // of the first dials
		always   bool   // all that offer ours are refused
		offers   string // of all dials
	}{
		{1, false, "ours ours"},
		{2, false, "ours ours none ours"}, // the third was accepted because it came later
		{2, true, "ours ours none ours"},
	} {
		for _, foreign := range []string{"", "soap"} {
			var offers, tickets []string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				offer := "ours"
				if r.Header.Get("Sec-WebSocket-Protocol") == "" {
					offer = "none"
				}
				offers, tickets = append(offers, offer), append(tickets, r.Header.Get("X-Ticket"))
				if len(offers) <= tc.refusals || tc.always && offer == "ours" {
					refuseSubprotocol(t, w, r, foreign)
					return
				}
				coderEcho()(w, r)
			}))
			defer s.Close()
			issued := 0
			c, _, err := Dial(t.Context(), s.URL, &Options{Header: func(context.Context) (http.Header, error) {
				issued++
				return http.Header{"X-Ticket": {strconv.Itoa(issued)}}, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			echo(t, t.Context(), c)
			if got := strings.Join(offers, " "); got != tc.offers {
				t.Errorf("%+v, %q: offers %q", tc, foreign, got)
			}
			if got := strings.Join(tickets, " "); !strings.HasPrefix("1 2 3 4", got) { //nolint:gocritic // some of the first
				t.Errorf("tickets %q", got)
			}
			c.Close(1000, "")
		}
	}
}

// refuseSubprotocol answers 400, or 101 with a subprotocol that was not offered.
func refuseSubprotocol(t *testing.T, w http.ResponseWriter, r *http.Request, foreign string) {
	if foreign == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	p := &peer{t: t, conn: conn, key: r.Header.Get("Sec-WebSocket-Key")}
	p.upgrade(foreign)
}

func TestRefused(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Why", strings.Join([]string{r.Header.Get("X-Fresh"), r.Header.Get("X-Fixed"), r.Host, r.Header.Get("Authorization")}, " "))
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, strings.Repeat("no", 5000))
	}))
	defer s.Close()
	url := strings.Replace(s.URL, "http://", "ws://user:pw@", 1)
	_, resp, err := Dial(t.Context(), url, &Options{
		HTTPHeader: http.Header{"X-Fixed": {"fixed"}, "Host": {"other.example"}, "Upgrade": {"h2c"}},
		Header:     func(context.Context) (http.Header, error) { return http.Header{"X-Fresh": {"fresh"}}, nil },
	})
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Fatal(resp, err)
	}
	if got := resp.Header.Get("X-Why"); got != "fresh fixed other.example Basic dXNlcjpwdw==" {
		t.Errorf("the server saw %q", got)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || len(b) != maxResponseBody {
		t.Errorf("%d bytes of body, %v", len(b), err)
	}
}

func TestBadArguments(t *testing.T) {
	for _, tc := range []struct {
		url  string
		opts Options
		want string
	}{
		{"ftp://x", Options{}, "scheme"},
		{"ws://", Options{}, "no host"},
		{"ws://x/%zz?secret", Options{}, "escape"},
		{"ws://x", Options{Subprotocols: []string{"wsr.v1"}}, "belongs to wsresilience"},
	} {
		_, _, err := Dial(t.Context(), tc.url, &tc.opts)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", tc.url, err)
		}
	}
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		for _, code := range []int{-1, 0, 1004, 1005, 1006, 1015, 70000} {
			if c.Close(code, "") == nil {
				t.Errorf("close with %d", code)
			}
		}
		if c.Close(1000, strings.Repeat("x", 124)) == nil || c.Write(t.Context(), 0, nil) == nil {
			t.Error("bad reason or type")
		}
		p.conn.Close()
	})
}

// The context of Dial ends it wherever it stands, and leaves nothing behind:
// synctest fails when a goroutine stays.
func TestDialCancelled(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		for _, answer := range []bool{false, true} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			done := make(chan error, 1)
			go func() {
				_, _, err := Dial(ctx, "ws://stage", s.options())
				done <- err
			}()
			p := s.request()
			if answer {
				p.upgrade(wire.Subprotocol)
			}
			if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
			p.gone()
		}
	})
}

func TestNetConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		c, p := s.open(s.options())
		n := NetConn(t.Context(), c, MessageBinary)
		if _, err := n.Write([]byte("up")); err != nil {
			t.Fatal(err)
		}
		p.want("up")
		p.control([]byte("abcdef"))
		b := make([]byte, 4)
		for _, want := range []string{"abcd", "ef"} {
			if k, err := n.Read(b); err != nil || string(b[:k]) != want {
				t.Fatalf("%q, %v", b[:k], err)
			}
		}
		n.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := n.Read(b); !isTimeout(err) {
			t.Fatal(err)
		}
		if _, err := n.Read(b); !isTimeout(err) {
			t.Fatal(err)
		}
		n.SetReadDeadline(time.Time{})
		go func() {
			time.Sleep(time.Second)
			n.SetReadDeadline(time.Now()) // ends a Read that waits
		}()
		if _, err := n.Read(b); !isTimeout(err) {
			t.Fatal(err)
		}
		n.SetDeadline(time.Time{})
		p.text("wrong")
		if _, err := n.Read(b); err == nil {
			t.Fatal("took a text message")
		}
		p.control(wire.AppendClose(nil, 1000, ""))
		if _, err := n.Read(b); err != io.EOF {
			t.Fatal(err)
		}
		p.want("CLOSE")
		p.raw(frameOf(ws.OpClose, closing16(1000)))
		p.gone()
		n.Close()
	})
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// After Close nothing is left, also over real sockets.
func TestNothingIsLeft(t *testing.T) {
	s := httptest.NewServer(coderEcho())
	defer s.Close()
	before := runtime.NumGoroutine()
	for range 20 {
		c, _, err := Dial(t.Context(), s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Close(1000, "")
	}
	for wait := time.Millisecond; runtime.NumGoroutine() > before; wait *= 2 {
		if wait > 5*time.Second {
			b := make([]byte, 1<<16)
			t.Fatalf("goroutines stay:\n%s", b[:runtime.Stack(b, true)])
		}
		time.Sleep(wait) // the server's side of real sockets takes its time
	}
}
