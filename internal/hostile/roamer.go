package main

import (
	"context"
	"net"
	"sync"
)

// A roamer dials one sidecar or the other.
type roamer struct {
	stage *stage

	mu   sync.Mutex
	at   int
	conn net.Conn
}

func (r *roamer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	r.mu.Lock()
	addr := r.stage.sidecars[r.at%len(r.stage.sidecars)].Addr
	r.mu.Unlock()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn = c
	return c, nil
}

// move breaks the connection; the next one goes to the other sidecar.
func (r *roamer) move() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at++
	if r.conn != nil {
		r.conn.Close()
	}
}
