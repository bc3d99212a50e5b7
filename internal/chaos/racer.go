package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/wire"
)

// A racer is one raw connection that speaks wsr.v1 by hand: it acknowledges
// nothing by itself, so that it shows nobody which tokens it has read.
type racer struct {
	key  uint32
	conn *websocket.Conn

	mu      sync.Mutex
	greeted chan struct{} // closed at WELCOME, RESET or the end
	welcome *wire.WelcomeMessage
	refused string // why there was no WELCOME
	tags    []tag
	over    bool
	code    int
}

// enter makes the handshake over an open socket and starts to read.
func enter(ctx context.Context, tcp net.Conn, key uint32, offer wire.Offer) *racer {
	r := &racer{key: key, greeted: make(chan struct{})}
	d := websocket.Dialer{
		Subprotocols:     offer.Protocols(),
		NetDialContext:   func(context.Context, string, string) (net.Conn, error) { return tcp, nil },
		HandshakeTimeout: natsWait,
	}
	url := fmt.Sprintf("ws://%s/?k=%d&every=%d", tcp.RemoteAddr(), key, raceEvery.Microseconds())
	conn, answer, err := d.DialContext(ctx, url, nil)
	if err != nil {
		r.refused, r.over = err.Error(), true
		if answer != nil {
			r.refused = answer.Status
		}
		close(r.greeted)
		return r
	}
	r.conn = conn
	go r.read()
	return r
}

func (r *racer) read() {
	for {
		typ, p, err := r.conn.ReadMessage()
		r.mu.Lock()
		if err != nil {
			r.over, r.code = true, websocket.CloseAbnormalClosure
			if ce, ok := errors.AsType[*websocket.CloseError](err); ok {
				r.code = ce.Code
			}
			r.greet()
			r.mu.Unlock()
			return
		}
		r.take(typ, p)
		r.mu.Unlock()
	}
}

// take sorts a message. The caller holds mu.
func (r *racer) take(typ int, p []byte) {
	t, ours := wire.TypeOf(p)
	if typ != websocket.BinaryMessage || !ours {
		if t, ok := parseTag(p); ok {
			r.tags = append(r.tags, t)
		}
		return
	}
	switch t {
	case wire.Welcome:
		r.welcome, _ = wire.ParseWelcome(p)
		r.greet()
	case wire.Reset:
		reason, _ := wire.ParseReset(p)
		r.refused = "RESET " + reason.String()
		r.greet()
	}
}

func (r *racer) greet() {
	select {
	case <-r.greeted:
	default:
		close(r.greeted)
	}
}

// say sends inbound messages from..to.
func (r *racer) say(from, to uint32) error {
	for n := from; n <= to; n++ {
		if err := r.conn.WriteMessage(websocket.TextMessage, tag{r.key, n}.append(nil)); err != nil {
			return err
		}
	}
	return nil
}

// control sends a control message.
func (r *racer) control(p []byte) error { return r.conn.WriteMessage(websocket.BinaryMessage, p) }

// heard returns what came so far.
func (r *racer) heard() (tags []tag, alive bool, verdict string) {
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
	return append([]tag(nil), r.tags...), !r.over && r.welcome != nil, verdict
}

// waitGreeted waits for WELCOME and returns it, nil if there was none.
func (r *racer) waitGreeted(ctx context.Context) *wire.WelcomeMessage {
	select {
	case <-r.greeted:
	case <-ctx.Done():
	case <-time.After(natsWait):
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.welcome
}

func (r *racer) close() {
	if r.conn != nil {
		_ = r.conn.Close()
	}
}
