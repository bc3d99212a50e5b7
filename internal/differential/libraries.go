package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	gorilla "github.com/gorilla/websocket"
)

// A teller notes what a client of this process gets.
type teller struct{ strings.Builder }

func (t *teller) tell(what ...any) {
	for i, w := range what {
		if b, ok := w.([]byte); ok && len(b) > 100 {
			what[i] = fmt.Sprintf("%d bytes, %.20q", len(b), b)
		} else if ok {
			what[i] = fmt.Sprintf("%q", b)
		}
	}
	fmt.Fprintln(t, what...)
}

// sent are the messages of clients in Go.
var sent = [][]byte{[]byte("hello"), {}, []byte("grüße"), bytes.Repeat([]byte("y"), 70_000), bytes.Repeat([]byte{1}, 1_000_000)}

func gorillaClient(ctx context.Context, _, addr string) (string, error) {
	var t teller
	for _, compress := range []bool{false, true} {
		d := gorilla.Dialer{EnableCompression: compress, Subprotocols: []string{"chat"}}
		c, resp, err := d.DialContext(ctx, "ws://"+addr+"/ws", http.Header{"X-Odd": {"1"}}) //nolint:bodyclose // need not be closed, it says
		if err != nil {
			return "", err
		}
		t.tell(resp.Status, fields(resp.Header), c.Subprotocol())
		c.SetPongHandler(func(s string) error { t.tell("pong", s); return nil })
		c.SetPingHandler(func(s string) error { t.tell("ping", s); return nil })
		_ = c.WriteControl(gorilla.PingMessage, []byte("ping of ours"), time.Now().Add(time.Second))
		for _, p := range sent {
			err = c.WriteMessage(gorilla.BinaryMessage, p)
			kind, got, rerr := c.ReadMessage()
			t.tell(err, kind, got, rerr)
		}
		_ = c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(1001, "bye"))
		_, _, err = c.ReadMessage()
		t.tell(err)
		_ = c.Close()
	}
	_, resp, err := gorilla.DefaultDialer.DialContext(ctx, "ws://"+addr+"/none", nil)
	if resp == nil {
		return "", err
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	t.tell(err, resp.Status, fields(resp.Header), body)
	return t.String(), nil
}

func fields(h http.Header) http.Header {
	h = h.Clone()
	for _, name := range []string{"Date", "Sec-Websocket-Accept"} {
		h.Del(name)
	}
	return h
}

func coderClient(ctx context.Context, _, addr string) (string, error) {
	var t teller
	for _, mode := range []websocket.CompressionMode{websocket.CompressionDisabled, websocket.CompressionContextTakeover, websocket.CompressionNoContextTakeover} {
		c, resp, err := websocket.Dial(ctx, "ws://"+addr+"/ws", &websocket.DialOptions{CompressionMode: mode, Subprotocols: []string{"chat"}}) //nolint:bodyclose // need not be closed, it says
		if err != nil {
			return "", err
		}
		c.SetReadLimit(-1)
		t.tell(resp.Status, fields(resp.Header), c.Subprotocol())
		for _, p := range sent {
			err = c.Write(ctx, websocket.MessageBinary, p)
			kind, got, rerr := c.Read(ctx)
			t.tell(err, kind, got, rerr)
		}
		t.tell(c.Close(websocket.StatusNormalClosure, "bye"))
	}
	return t.String(), nil
}

// gobwasClient reads frames, and tells of each.
func gobwasClient(ctx context.Context, _, addr string) (string, error) {
	var t teller
	d := ws.Dialer{Protocols: []string{"chat"}, Header: ws.HandshakeHeaderString("X-odd: 1\r\n"), NetDial: (&net.Dialer{}).DialContext}
	conn, br, hs, err := d.Dial(ctx, "ws://"+addr+"/ws")
	if err != nil {
		return "", err
	}
	defer conn.Close()
	t.tell(hs.Protocol, hs.Extensions, br == nil)
	for _, p := range sent {
		if err := wsutil.WriteClientMessage(conn, ws.OpText, p); err != nil {
			return "", err
		}
	}
	_ = ws.WriteFrame(conn, ws.MaskFrame(ws.NewPingFrame([]byte("ping of ours"))))
	_ = ws.WriteFrame(conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye"))))
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		f, err := ws.ReadFrame(conn) //nolint:staticcheck // the server is ours
		t.tell(f.Header.Fin, f.Header.Rsv, f.Header.OpCode, f.Header.Masked, f.Payload, err)
		if err != nil {
			return t.String(), nil
		}
	}
}
