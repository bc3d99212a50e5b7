package load

import (
	"bufio"
	"fmt"
	"net"
	"sync"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/wsresilience/wsresilience/internal/frame"
)

// floodChunk is written at once by a flood: many messages, as an app has them
// that is faster than its network.
const floodChunk = 32 << 10

// An app is the upstream of the comparison: one thread that serves all
// connections. It returns binary messages, and a text message is an order:
//
//	flood n size   n messages on this connection
//	fan size       one message on every connection
type app struct {
	poll *poller

	mu      sync.Mutex // guards conns, which are added while others are served
	conns   map[int]*appConn
	nothing []byte // what floods and fans are made of
}

// An appConn is one connection of the app.
type appConn struct {
	*socket
	messages frame.Messages
	in       []byte
	have     int
}

// ServeApp serves until the listener breaks.
func ServeApp(ln net.Listener) error {
	poll, err := newPoller()
	if err != nil {
		return err
	}
	a := &app{poll: poll, conns: make(map[int]*appConn), nothing: make([]byte, MaxMessage)}
	over := make(chan error, 1)
	go func() { over <- a.serve() }()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		select {
		case err := <-over:
			return err
		default:
		}
		go func() { _ = a.admit(conn) }() // whoever fails in it has a client that reports it
	}
}

// admit answers the upgrade.
func (a *app) admit(conn net.Conn) error {
	r := bufio.NewReader(conn)
	if err := acceptUpgrade(conn, r); err != nil {
		conn.Close()
		return err
	}
	early, _ := r.Peek(r.Buffered())
	s, err := detach(conn)
	if err != nil {
		return err
	}
	g := &appConn{socket: s, in: make([]byte, max(readBytes, 2*len(early)))}
	g.messages = frame.Messages{Rules: frame.Rules{Masked: true}, Max: MaxMessage, Buffers: new(frame.Buffers)}
	g.have = copy(g.in, early)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conns[s.fd] = g
	return a.poll.Add(s.fd, s.fd)
}

func (a *app) serve() error {
	var out []byte
	for {
		ready, err := a.poll.wait(-1)
		if err != nil {
			return err
		}
		for _, e := range ready {
			a.mu.Lock()
			g := a.conns[int(e.Fd)]
			a.mu.Unlock()
			if out, err = a.answer(g, out[:0]); err == nil && len(out) > 0 {
				_, err = g.Write(out)
			}
			if err != nil && err != errAgain {
				a.mu.Lock()
				delete(a.conns, g.fd)
				_ = g.Close() // under mu: the number may be taken again at once
				a.mu.Unlock()
			}
		}
	}
}

// answer reads once and appends what is to be written.
func (a *app) answer(g *appConn, out []byte) ([]byte, error) {
	n, err := g.Read(g.in[g.have:])
	if err != nil {
		return out, err
	}
	g.have += n
	used := 0
	for {
		m, n, ok, err := g.messages.Next(g.in[used:g.have])
		used += n
		if err != nil {
			return out, err
		}
		if !ok {
			g.have = copy(g.in, g.in[used:g.have])
			if g.have == len(g.in) {
				g.in = append(g.in, make([]byte, max(g.have, 1))...)
			}
			return out, nil
		}
		if m.OpCode == ws.OpText {
			err = a.handle(g, &m)
		} else {
			out = appendEcho(out, &m)
		}
		if err != nil {
			return out, err
		}
	}
}

func (a *app) handle(g *appConn, m *frame.Message) error {
	order := append([]byte(nil), m.Payload()...)
	frame.Mask(order, m.Mask, 0)
	var n, size int
	if _, err := fmt.Sscanf(string(order), "flood %d %d", &n, &size); err == nil && size <= MaxMessage {
		go a.flood(g, n, size)
		return nil
	}
	if _, err := fmt.Sscanf(string(order), "fan %d", &size); err != nil || size > MaxMessage {
		return fmt.Errorf("load: order %q: unknown", order)
	}
	one := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, a.nothing[:size])
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, other := range a.conns {
		// One write, which does not wait: a connection without room is lost to
		// this order and must not hold up the others. A broken one is
		// noticed where it is read.
		_, _ = unix.Write(other.fd, one)
	}
	return nil
}

// flood writes on a thread of its own, since it waits for room.
func (a *app) flood(g *appConn, n, size int) {
	one := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, a.nothing[:size])
	var chunk []byte
	for i := range n {
		chunk = append(chunk, one...)
		if len(chunk) < floodChunk && i < n-1 {
			continue
		}
		if _, err := g.Write(chunk); err != nil {
			return
		}
		chunk = chunk[:0]
	}
}
