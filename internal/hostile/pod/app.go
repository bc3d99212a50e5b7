package pod

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// appAttacks are what an app tries with clients that are its accomplices. The
// path says what it does.
var appAttacks = []attack{
	{"floods", func(ctx context.Context, t *target) { t.crowd(ctx, 100, 0, accomplice("/flood", false)) }},
	{"floods a client that reads", func(ctx context.Context, t *target) { t.crowd(ctx, 2, 0, accomplice("/stream", true)) }},
	{"reads nothing", func(ctx context.Context, t *target) { t.crowd(ctx, 100, 0, withoutReader) }},
	{"closes at once", func(ctx context.Context, t *target) { t.crowd(ctx, 4, 50*time.Millisecond, accomplice("/close", true)) }},
	{"messages without an end", func(ctx context.Context, t *target) { t.crowd(ctx, 200, 0, accomplice("/part", true)) }},
	{"answers that are none", func(ctx context.Context, t *target) { t.crowd(ctx, 4, 50*time.Millisecond, accomplice("/junk", true)) }},
	{"giant heads", func(ctx context.Context, t *target) { t.crowd(ctx, 4, 50*time.Millisecond, accomplice("/head", true)) }},
	{"handshakes without an answer", func(ctx context.Context, t *target) { t.crowd(ctx, 1000, time.Second, accomplice("/mute", true)) }},
}

// accomplice is a client of the app that reads, or does not.
func accomplice(path string, reads bool) func(ctx context.Context, t *target) {
	return func(ctx context.Context, t *target) {
		c, br := t.open(ctx, path, "wsr, wsr.v1", "")
		if c == nil {
			return
		}
		defer reset(c)
		if reads {
			go func() { _, _ = br.WriteTo(discard{}) }()
		}
		rest(ctx, holds)
	}
}

// withoutReader says much to an app that reads nothing.
func withoutReader(ctx context.Context, t *target) {
	c, _ := t.open(ctx, "/deaf", "x", "")
	if c == nil {
		return
	}
	defer reset(c)
	for ctx.Err() == nil {
		if _, err := c.Write(megabyte); err != nil {
			return
		}
	}
}

// serveApp is the app: an honest one at /echo, and whatever else is asked for.
func serveApp(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/echo") {
		serveEcho(w, r)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * holds))
	switch r.URL.Path {
	case "/junk":
		_, _ = io.WriteString(conn, "SSH-2.0-app\r\n\r\n")
		return
	case "/head":
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20))
		return
	case "/mute":
		waitEnd(conn)
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
		upgrade.AcceptKey(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
	misbehave(conn, r.URL.Path)
}

func misbehave(conn net.Conn, path string) {
	switch path {
	case "/close":
	case "/deaf":
		time.Sleep(holds)
	case "/part":
		part := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, make([]byte, 1<<20))
		_, _ = conn.Write(part[:len(part)-1])
		waitEnd(conn)
	default: // /flood, /stream
		go waitEnd(conn)
		message := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, make([]byte, 16<<10))
		for {
			if _, err := conn.Write(message); err != nil {
				return
			}
			if path == "/stream" {
				time.Sleep(2 * time.Millisecond)
			}
		}
	}
}

// waitEnd reads until the other end has gone.
func waitEnd(conn net.Conn) { _, _ = bufio.NewReaderSize(conn, 512).WriteTo(discard{}) }

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

func serveEcho(w http.ResponseWriter, r *http.Request) {
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	for {
		typ, p, err := c.ReadMessage()
		if err != nil || c.WriteMessage(typ, p) != nil {
			return
		}
	}
}
