package main

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// connections bounds how many connections a server has. When there are too many,
// the one that has waited longest for a request is closed: it is either unused,
// or its client does not get on. Connections with a request are bounded by that.
type connections struct {
	max int

	mu      sync.Mutex
	all     map[net.Conn]*list.Element // nil: with a request
	waiting *list.List                 // of net.Conn, longest first
}

func newConnections(limit int) *connections {
	return &connections{max: limit, all: map[net.Conn]*list.Element{}, waiting: list.New()}
}

// state is the hook of an http.Server.
func (c *connections) state(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.all[conn]; e != nil {
		c.waiting.Remove(e)
	}
	switch state {
	case http.StateNew, http.StateIdle:
		c.all[conn] = c.waiting.PushBack(conn)
	case http.StateActive:
		c.all[conn] = nil
	default:
		delete(c.all, conn)
	}
	if len(c.all) > c.max && c.waiting.Len() > 0 {
		oldest := c.waiting.Front()
		c.waiting.Remove(oldest)
		c.all[oldest.Value.(net.Conn)] = nil
		// It is removed when the server notices. Close may wait for a lock that
		// a handshake of it holds, hence the goroutine.
		go oldest.Value.(net.Conn).Close()
	}
}
