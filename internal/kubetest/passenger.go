package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// A passenger is an ordinary client, which connects anew when its connection
// ends.
type passenger struct {
	c *crowd

	mu   sync.Mutex
	ride *ride // nil between two connections
}

// A ride is one connection, on which messages count from 1. The passenger's
// lock guards it.
type ride struct {
	conn           *websocket.Conn
	sent, received int
}

func newPassenger(c *crowd) *passenger { return &passenger{c: c} }

func (p *passenger) restart() {}

func (p *passenger) add(t *tally) { t.Plain.Clients++ }

func (p *passenger) settled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ride == nil || p.ride.sent == p.ride.received
}

func (p *passenger) live(ctx context.Context) {
	for ctx.Err() == nil {
		conn, _, err := websocket.DefaultDialer.DialContext(ctx, p.c.url, nil)
		if err != nil {
			p.c.note(func() { p.c.plain.Refused[err.Error()]++ })
			time.Sleep(pace)
			continue
		}
		r := &ride{conn: conn}
		p.board(r)
		go p.talk(r)
		err = p.read(r)
		p.board(nil)
		conn.Close()
		p.end(r, err)
	}
}

func (p *passenger) board(r *ride) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ride = r
}

// talk says something now and then, until the ride is over.
func (p *passenger) talk(r *ride) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for range ticker.C {
		if !p.c.talking() {
			continue
		}
		p.mu.Lock()
		if p.ride != r {
			p.mu.Unlock()
			return
		}
		r.sent++
		text := strconv.Itoa(r.sent)
		p.mu.Unlock()
		p.c.note(func() { p.c.plain.Sent++ })
		if r.conn.WriteMessage(websocket.TextMessage, []byte(text)) != nil {
			return // read says why
		}
	}
}

func (p *passenger) read(r *ride) error {
	for {
		_, text, err := r.conn.ReadMessage()
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

// end counts how a ride ended. A close frame is the only end that says that
// nothing was cut.
func (p *passenger) end(r *ride, err error) {
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
