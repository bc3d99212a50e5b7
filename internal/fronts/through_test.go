//go:build nginx

package fronts

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
)

// The configuration of the page, as it stands.

func TestMessagesPass(t *testing.T) {
	t.Parallel()
	n := front(t, new(app), usual)
	ctx := timed(t)
	v, c := dialResilient(t, n.addr), mustPlain(t, n.addr, "/")
	for _, size := range []int{0, 125, 65536, messageLimit} {
		p := strings.Repeat("x", size)
		if err := v.echo(ctx, p); err != nil {
			t.Fatalf("resilient, %d bytes: %v", size, err)
		}
		if err := c.Write(ctx, websocket.MessageText, []byte(p)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != p {
			t.Fatalf("plain: %d bytes came back as %d, %v", size, len(got), err)
		}
	}
}

func TestRefusalsAndClosesPass(t *testing.T) {
	t.Parallel()
	n := front(t, new(app), usual)
	for _, c := range []struct {
		path   string
		status int
		retry  string
	}{{"/denied", http.StatusUnauthorized, ""}, {"/busy", http.StatusServiceUnavailable, "7"}} {
		_, resp, err := plain(t, n.addr, c.path)
		if err == nil || resp == nil || resp.StatusCode != c.status || resp.Header.Get("Retry-After") != c.retry {
			t.Errorf("plain, %s: %v, %v", c.path, resp, err)
		}
		_, resp, err = client.Dial(timed(t), "ws://"+n.addr+c.path, nil)
		if err == nil || resp == nil || resp.StatusCode != c.status || resp.Header.Get("Retry-After") != c.retry {
			t.Errorf("resilient, %s: %v, %v", c.path, resp, err)
		}
	}
	if _, _, err := mustPlain(t, n.addr, "/bye").Read(timed(t)); websocket.CloseStatus(err) != 4001 {
		t.Errorf("plain: %v, want the app's 4001", err)
	}
	c, _, err := client.Dial(timed(t), "ws://"+n.addr+"/bye", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if _, _, err := c.Read(timed(t)); client.CloseStatus(err) != 4001 {
		t.Errorf("resilient: %v, want the app's 4001", err)
	}
}

// The app sees whom it would see without nginx and the sidecar.
func TestForwardedHeaders(t *testing.T) {
	t.Parallel()
	a := &app{seen: make(chan http.Header, 1)}
	n := front(t, a, usual)
	mustPlain(t, n.addr, "/seen")
	h := <-a.seen
	if got, want := h.Get("X-Forwarded-For"), "127.0.0.1, 127.0.0.1"; got != want {
		t.Errorf("X-Forwarded-For is %q, want client and nginx, %q", got, want)
	}
	if got := h.Get("X-Forwarded-Proto"); got != "http" {
		t.Errorf("X-Forwarded-Proto is %q", got)
	}
	if got, want := h.Get("Origin"), "http://"+n.addr; got != want {
		t.Errorf("Origin is %q, want %q", got, want)
	}
}

// A resume's token passes, and is as long as the page says.
func TestResumePasses(t *testing.T) {
	t.Parallel()
	a := new(app)
	n := front(t, a, usual)
	ctx := timed(t)
	v := dialResilient(t, n.addr)
	if err := v.echo(ctx, "before"); err != nil {
		t.Fatal(err)
	}
	c, _ := v.newest()
	_ = c.Close()
	v.wantResumed(ctx, t)
	if err := v.echo(ctx, "after"); err != nil {
		t.Fatal(err)
	}
	if n := a.sockets.Load(); n != 1 {
		t.Errorf("the app saw %d sockets, want one", n)
	}
	c, _ = v.newest()
	size := len(offer(t, c.request))
	if said := fmt.Sprintf("%d bytes", size); !strings.Contains(page(t), said) {
		t.Errorf("the line of a resume has %s, and %s does not say so", said, pagePath)
	}
}

// offer returns the line with the subprotocols.
func offer(t *testing.T, request []byte) string {
	t.Helper()
	for line := range bytes.Lines(request) {
		if name, _, _ := strings.Cut(string(line), ":"); textproto.CanonicalMIMEHeaderKey(name) == "Sec-Websocket-Protocol" {
			return strings.TrimRight(string(line), "\r\n")
		}
	}
	t.Fatal("no subprotocols were offered")
	return ""
}

// Heartbeats keep nginx from cutting idle connections. The clock is a client
// behind a sidecar that sends none: when it was cut twice, the others have been
// idle for longer than the timeout. What nginx did stands in its log; that a
// busy machine may have missed a heartbeat is none of its doing.
func TestIdleOutlivesTheReadTimeout(t *testing.T) {
	t.Parallel()
	const timedOut = "upstream timed out"
	short := edit{"proxy_read_timeout 75s;", "proxy_read_timeout 2s;"}
	n, without := front(t, new(app), quick, short), front(t, new(app), silence, short)
	ctx := timed(t)
	dialResilient(t, n.addr)
	mustPlain(t, n.addr, "/").CloseRead(ctx) // a plain client answers pings while it reads
	for range 2 {
		wantCut(ctx, t, mustPlain(t, without.addr, "/"))
	}
	if log := without.logged(t); strings.Count(log, timedOut) != 2 {
		t.Errorf("nginx did not log the two cuts:\n%s", log)
	}
	if log := n.logged(t); strings.Contains(log, timedOut) {
		t.Errorf("nginx cut a connection that had heartbeats")
	}
}

// wantCut waits until c breaks without a close frame.
func wantCut(ctx context.Context, t *testing.T, c *websocket.Conn) {
	t.Helper()
	_, _, err := c.Read(ctx)
	if ctx.Err() != nil {
		t.Fatal("the connection was not cut")
	}
	if err == nil || websocket.CloseStatus(err) != -1 {
		t.Fatalf("read: %v, want a cut without a close frame", err)
	}
}
