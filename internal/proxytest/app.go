package proxytest

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A RawApp answers each request with bytes of the test's choice, and reports
// what else came on the connection once it is closed.
type RawApp struct {
	net.Listener
	Rest chan string
}

// NewRawApp makes one that listens on loopback.
func NewRawApp(t *testing.T, answer func(net.Conn, *http.Request)) *RawApp {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	a := &RawApp{l, make(chan string, 16)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go a.Serve(c, answer)
		}
	}()
	return a
}

// Serve answers one connection.
func (a *RawApp) Serve(c net.Conn, answer func(net.Conn, *http.Request)) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(Patience))
	br := bufio.NewReader(c)
	r, err := http.ReadRequest(br)
	if err != nil {
		a.Rest <- "unreadable: " + err.Error()
		return
	}
	answer(c, r)
	rest, err := io.ReadAll(br)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		rest = append(rest, " and stays open"...)
	}
	a.Rest <- string(rest)
}

// URL returns its address.
func (a *RawApp) URL() string { return "http://" + a.Addr().String() }

// WantClosed fails unless the sidecar closed its connection after sending
// want beyond the request.
func (a *RawApp) WantClosed(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-a.Rest:
		if got != want {
			t.Errorf("the app got %q beyond the request, want %q", got, want)
		}
	case <-time.After(Patience):
		t.Error("the app's connection was not closed")
	}
}

// AnswerText answers with s, in which ACCEPT stands for the right accept key.
func AnswerText(s string) func(net.Conn, *http.Request) {
	return func(c net.Conn, r *http.Request) {
		_, _ = io.WriteString(c, strings.ReplaceAll(s, "ACCEPT", AcceptKey(r.Header.Get("Sec-WebSocket-Key"))))
	}
}

// A handshake, and the start of an app's answer to it.
const (
	SampleKey = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 §1.3

	UpgradeHead = "GET /chat?x=1 HTTP/1.1\r\nHost: app.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: " + SampleKey + "\r\nSec-WebSocket-Version: 13\r\n"

	Switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n"
)

// AcceptKey is Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2 item 5.4).
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Zeros reads as zeros without end.
type Zeros struct{}

// Read implements io.Reader.
func (Zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
