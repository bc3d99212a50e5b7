package load

import (
	"bufio"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits. Both are far above what loopback takes; they only
// keep a fault from hanging the run.
const (
	dialLimit  = 10 * time.Second
	closeLimit = 10 * time.Second
)

// acceptGUID is of RFC 6455 §1.3.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// loadKey is the Sec-WebSocket-Key of every load connection. RFC 6455 wants
// it random against caches, of which there are none here.
const loadKey = "dGhlIHNhbXBsZSBub25jZQ=="

func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + acceptGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// What addresses begin with that are not those of TCP without TLS.
const (
	UnixPrefix = "unix:" // the path of a Unix socket follows
	TLSPrefix  = "tls:"  // host:port follows; the certificate is not checked
)

func connect(addr string) (net.Conn, error) {
	if path, ok := strings.CutPrefix(addr, UnixPrefix); ok {
		return net.DialTimeout("unix", path, dialLimit)
	}
	if at, ok := strings.CutPrefix(addr, TLSPrefix); ok {
		return tls.DialWithDialer(&net.Dialer{Timeout: dialLimit}, "tcp", at, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // both ends are ours, and made for this run
	}
	return net.DialTimeout("tcp", addr, dialLimit)
}

// Dial connects, upgrades and, if resilient, waits for WELCOME.
func Dial(addr string, offer wire.Offer) (*Client, error) {
	conn, err := connect(addr)
	if err != nil {
		return nil, err
	}
	p, err := upgrade(conn, offer)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("load: upgrade at %s: %w", addr, err)
	}
	return p, nil
}

func upgrade(conn net.Conn, offer wire.Offer) (*Client, error) {
	began := time.Now()
	early, err := ask(conn, &offer)
	if err != nil {
		return nil, err
	}
	p, err := newClient(conn, early, offer.Resilient)
	if err != nil {
		return nil, err
	}
	p.adopt, p.Greeted = offer.Adopt, time.Since(began)
	return p, conn.SetDeadline(time.Time{})
}

// ask makes the request, judges the answer, and returns what followed it. It
// leaves dialLimit as a deadline for what the sidecar says first.
func ask(conn net.Conn, offer *wire.Offer) (early []byte, err error) {
	if err := conn.SetDeadline(time.Now().Add(dialLimit)); err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GET /echo HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n", loadKey)
	if offer.Resilient {
		fmt.Fprintf(&b, "Sec-WebSocket-Protocol: %s\r\n", strings.Join(offer.Protocols(), ", "))
	}
	b.WriteString("\r\n")
	if _, err := conn.Write([]byte(b.String())); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	if err := judge(answer, offer.Resilient); err != nil {
		return nil, err
	}
	return r.Peek(r.Buffered())
}

func judge(answer *http.Response, resilient bool) error {
	want := ""
	if resilient {
		want = wire.Subprotocol
	}
	switch got := answer.Header.Get("Sec-WebSocket-Protocol"); {
	case answer.StatusCode != http.StatusSwitchingProtocols:
		return fmt.Errorf("status %s, want 101", answer.Status)
	case answer.Header.Get("Sec-WebSocket-Accept") != acceptKey(loadKey):
		return fmt.Errorf("accept key %q does not fit", answer.Header.Get("Sec-WebSocket-Accept"))
	case got != want:
		return fmt.Errorf("subprotocol %q, want %q", got, want)
	}
	return nil
}
