package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// A plainClient is an ordinary client, which connects anew when its connection
// ends. It is a stock library's, and not lab.Plain: messages are numbered on each
// connection, so that none may wait for the next one.
type plainClient struct {
	c *clients

	mu   sync.Mutex
	conn *plainConn // nil between two connections
}

// A plainConn is one connection, on which messages count from 1. The client's
// lock guards it.
type plainConn struct {
	ws             *websocket.Conn
	sent, received int
}

func newPlain(c *clients) *plainClient { return &plainClient{c: c} }

func (p *plainClient) restart() {}

func (p *plainClient) add(t *tally) { t.Plain.Clients++ }

func (p *plainClient) settled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn == nil || p.conn.sent == p.conn.received
}

func (p *plainClient) live(ctx context.Context) {
	for ctx.Err() == nil {
		conn, _, err := websocket.DefaultDialer.DialContext(ctx, p.c.url, nil) //nolint:bodyclose // need not be closed, it says
		if err != nil {
			p.c.note(func() { p.c.plain.Refused[err.Error()]++ })
			time.Sleep(pace)
			continue
		}
		r := &plainConn{ws: conn}
		p.attach(r)
		go p.talk(r)
		err = p.read(r)
		p.attach(nil)
		_ = conn.Close() // what it was for is over
		p.end(r, err)
	}
}

func (p *plainClient) attach(r *plainConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = r
}

// talk says something now and then, until its connection is over.
func (p *plainClient) talk(r *plainConn) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for range ticker.C {
		if !p.c.talking() {
			continue
		}
		p.mu.Lock()
		if p.conn != r {
			p.mu.Unlock()
			return
		}
		r.sent++
		text := strconv.Itoa(r.sent)
		p.mu.Unlock()
		p.c.note(func() { p.c.plain.Sent++ })
		if r.ws.WriteMessage(websocket.TextMessage, []byte(text)) != nil {
			return // read says why
		}
	}
}

func (p *plainClient) read(r *plainConn) error {
	for {
		_, text, err := r.ws.ReadMessage()
		if err != nil {
			return err
		}
		p.mu.Lock()
		r.received++
		right := string(text) == strconv.Itoa(r.received)
		p.mu.Unlock()
		p.c.note(func() {
			p.c.plain.Received++
			if !right {
				p.c.plain.Wrong++
			}
		})
	}
}

// end counts how a connection ended. A close frame is the only end that says
// that nothing was cut.
func (p *plainClient) end(r *plainConn, err error) {
	p.mu.Lock()
	unanswered := r.sent - r.received
	p.mu.Unlock()
	p.c.note(func() {
		t := &p.c.plain
		t.Unanswered += unanswered
		t.EndedAt = append(t.EndedAt, time.Now().UTC())
		var closed *websocket.CloseError
		if errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
			t.Ends[strconv.Itoa(closed.Code)]++
			return
		}
		t.Cut = append(t.Cut, err.Error())
	})
}
