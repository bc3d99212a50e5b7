package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

var errBare = errors.New("kubetest: there is no sidecar")

// A passenger is an ordinary client, which connects anew when its connection
// ends, and counts from 1 on each.
type passenger struct {
	c *crowd

	mu       sync.Mutex
	sent     int // on this connection
	received int
}

func newPassenger(c *crowd) *passenger { return &passenger{c: c} }

func (p *passenger) restart() {}

func (p *passenger) add(t *tally) { t.Plain.Clients++ }

func (p *passenger) settled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent == p.received
}

func (p *passenger) live(ctx context.Context) {
	for ctx.Err() == nil {
		conn, _, err := websocket.DefaultDialer.DialContext(ctx, p.c.url, nil)
		if err != nil {
			p.c.note(func() { p.c.plain.Refused[err.Error()]++ })
			time.Sleep(pace)
			continue
		}
		ended := make(chan struct{})
		go p.talk(conn, ended)
		err = p.read(conn)
		close(ended)
		conn.Close()
		p.end(err)
	}
}

func (p *passenger) talk(conn *websocket.Conn, ended <-chan struct{}) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
		}
		if !p.c.talking() {
			continue
		}
		p.mu.Lock()
		p.sent++
		text := strconv.Itoa(p.sent)
		p.mu.Unlock()
		if conn.WriteMessage(websocket.TextMessage, []byte(text)) != nil {
			return // read says why
		}
		p.c.note(func() { p.c.plain.Sent++ })
	}
}

func (p *passenger) read(conn *websocket.Conn) error {
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.received++
		right := string(text) == strconv.Itoa(p.received)
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
func (p *passenger) end(err error) {
	p.mu.Lock()
	unanswered := p.sent - p.received
	p.sent, p.received = 0, 0
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
