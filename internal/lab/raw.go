package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/wire"
)

// handshakeLimit bounds that of a raw client.
const handshakeLimit = 60 * time.Second

// A Raw is one raw connection that speaks wsr.v1 by hand: it acknowledges
// nothing by itself, so that the sidecar does not learn which tokens it has read.
type Raw struct {
	key  uint32
	conn *websocket.Conn

	mu       sync.Mutex
	answered chan struct{} // closed at WELCOME, RESET or the end
	welcome  *wire.WelcomeMessage
	refused  string // why there was no WELCOME
	tags     []ledger.Tag
	over     bool
	code     int
}

// DialRaw makes the handshake over an open socket, with the app that is behind
// it for session key, and starts to read. One that is refused has no
// connection.
func DialRaw(ctx context.Context, tcp net.Conn, key uint32, every time.Duration, offer wire.Offer) *Raw {
	r := &Raw{key: key, answered: make(chan struct{})}
	d := websocket.Dialer{
		Subprotocols:     offer.Protocols(),
		NetDialContext:   func(context.Context, string, string) (net.Conn, error) { return tcp, nil },
		HandshakeTimeout: handshakeLimit,
	}
	conn, answer, err := d.DialContext(ctx, StreamURL(appHost, key, every), nil) //nolint:bodyclose // need not be closed, it says
	if err != nil {
		r.refused, r.over = err.Error(), true
		if answer != nil {
			r.refused = answer.Status
		}
		close(r.answered)
		return r
	}
	r.conn = conn
	go r.read()
	return r
}

// appHost is the Host of raw connections, whichever way they come: a token is
// bound to it.
const appHost = "app.test"

// StreamURL is that of an app's stream for session key.
func StreamURL(addr string, key uint32, every time.Duration) string {
	return fmt.Sprintf("ws://%s/?k=%d&every=%d", addr, key, every.Microseconds())
}

// AnswerURL is where an app answers each message of session key after so long.
func AnswerURL(addr string, key uint32, after time.Duration) string {
	return fmt.Sprintf("ws://%s/answer/%d?k=%d", addr, after.Milliseconds(), key)
}

func (r *Raw) read() {
	for {
		typ, p, err := r.conn.ReadMessage()
		r.mu.Lock()
		if err != nil {
			r.over, r.code = true, websocket.CloseAbnormalClosure
			if ce, ok := errors.AsType[*websocket.CloseError](err); ok {
				r.code = ce.Code
			}
			r.answerLocked()
			r.mu.Unlock()
			return
		}
		r.takeLocked(typ, p)
		r.mu.Unlock()
	}
}

func (r *Raw) takeLocked(typ int, p []byte) {
	t, ours := wire.TypeOf(p)
	if typ != websocket.BinaryMessage || !ours {
		if t, ok := ledger.ParseTag(p); ok {
			r.tags = append(r.tags, t)
		}
		return
	}
	switch t {
	case wire.Welcome:
		r.welcome, _ = wire.ParseWelcome(p)
		r.answerLocked()
	case wire.Reset:
		reason, _, _ := wire.ParseReset(p)
		r.refused = "RESET " + reason.String()
		r.answerLocked()
	}
}

func (r *Raw) answerLocked() {
	select {
	case <-r.answered:
	default:
		close(r.answered)
	}
}

// Connected reports whether the handshake succeeded.
func (r *Raw) Connected() bool { return r.conn != nil }

// Send sends the session's messages from..to.
func (r *Raw) Send(from, to uint32) error {
	for n := from; n <= to; n++ {
		if err := r.conn.WriteMessage(websocket.TextMessage, ledger.Tag{Stream: r.key, N: n}.Append(nil)); err != nil {
			return err
		}
	}
	return nil
}

// Control sends a control message.
func (r *Raw) Control(p []byte) error { return r.conn.WriteMessage(websocket.BinaryMessage, p) }

// Heard returns what came so far, whether the connection has the session, and
// what became of it in a word.
func (r *Raw) Heard() (tags []ledger.Tag, alive bool, verdict string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.welcome == nil && r.refused != "":
		verdict = r.refused
	case r.over:
		verdict = fmt.Sprint("closed ", r.code)
	default:
		verdict = "alive"
	}
	return append([]ledger.Tag(nil), r.tags...), !r.over && r.welcome != nil, verdict
}

// Welcome waits for WELCOME. The error says why there was none.
func (r *Raw) Welcome(ctx context.Context) (*wire.WelcomeMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	select {
	case <-r.answered:
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.welcome == nil {
		return nil, fmt.Errorf("lab: no session: %s", r.refused)
	}
	return r.welcome, nil
}

// Close drops the connection.
func (r *Raw) Close() {
	if r.conn != nil {
		_ = r.conn.Close()
	}
}
