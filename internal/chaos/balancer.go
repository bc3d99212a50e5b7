package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A cut is a way in which a client's connection dies.
type cut int

const (
	cutRST  cut = iota // both ends are reset
	cutFIN             // both ends are closed in good order
	cutHalf            // the client is reset, the sidecar hears nothing: a phone that changed its network
	cutMute            // neither hears anything more, and nothing passes
)

// dialWait bounds the balancer's dial to a pod.
const dialWait = 3 * time.Second

// balancer is what stands before the pods: it picks a ready one for each
// connection, and joins the two. Like a plain one it does not try another pod when
// the chosen one refuses.
type balancer struct {
	listeners []net.Listener
	tasks     sync.WaitGroup

	mu     sync.Mutex
	pods   map[string]bool // address: ready
	pinned string          // all new connections go there, if it is not empty
	conns  map[*joined]struct{}
	closed bool

	accepted, refused atomic.Int64
}

// newBalancer listens on every host, since one client address has only so
// many ports.
func newBalancer(hosts []string) (*balancer, error) {
	b := &balancer{pods: map[string]bool{}, conns: map[*joined]struct{}{}}
	for _, host := range hosts {
		ln, err := net.Listen("tcp", host+":0")
		if err != nil {
			b.close()
			return nil, err
		}
		b.listeners = append(b.listeners, ln)
		b.tasks.Go(func() { b.serve(ln) })
	}
	return b, nil
}

// addr is where session key connects.
func (b *balancer) addr(key int) string { return b.listeners[key%len(b.listeners)].Addr().String() }

func (b *balancer) set(addr string, ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pods[addr] = ready
}

func (b *balancer) remove(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pods, addr)
}

// pin sends all new connections to one pod; empty lets chance decide again.
func (b *balancer) pin(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pinned = addr
}

func (b *balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pinned != "" {
		return b.pinned
	}
	var ready []string
	for addr, ok := range b.pods {
		if ok {
			ready = append(ready, addr)
		}
	}
	if len(ready) == 0 {
		return ""
	}
	return ready[rand.IntN(len(ready))]
}

func (b *balancer) serve(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		b.accepted.Add(1)
		b.tasks.Go(func() { b.carry(c.(*net.TCPConn)) })
	}
}

func (b *balancer) carry(client *net.TCPConn) {
	addr := b.pick()
	if addr == "" {
		b.refused.Add(1)
		reset(client)
		return
	}
	pod, err := net.DialTimeout("tcp", addr, dialWait)
	if err != nil {
		b.refused.Add(1)
		reset(client)
		return
	}
	s := &joined{client: client, pod: pod.(*net.TCPConn), addr: addr, over: make(chan struct{})}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		s.end(cutRST)
		return
	}
	b.conns[s] = struct{}{}
	b.mu.Unlock()
	var pumps sync.WaitGroup
	pumps.Go(func() { s.pump(s.pod, s.client) })
	s.pump(s.client, s.pod)
	pumps.Wait()
	s.end(cutFIN)
	b.mu.Lock()
	delete(b.conns, s)
	b.mu.Unlock()
}

// cut kills a share of the live connections, chosen by chance, and returns
// how many. addr limits it to those of one pod, if it is not empty.
func (b *balancer) cut(how cut, share float64, addr string) int {
	b.mu.Lock()
	var doomed []*joined
	for s := range b.conns {
		if (addr == "" || s.addr == addr) && rand.Float64() < share && !s.dead() {
			doomed = append(doomed, s)
		}
	}
	b.mu.Unlock()
	for _, s := range doomed {
		s.end(how)
	}
	return len(doomed)
}

func (b *balancer) close() {
	for _, ln := range b.listeners {
		_ = ln.Close()
	}
	b.mu.Lock()
	b.closed = true
	for s := range b.conns {
		s.end(cutRST)
		s.free()
	}
	b.mu.Unlock()
	b.tasks.Wait()
}

// joined is one connection through the balancer.
type joined struct {
	client, pod *net.TCPConn
	addr        string

	mu    sync.Mutex
	ended bool
	over  chan struct{} // closed by free
	freed bool
}

func (s *joined) dead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// end kills the connection once.
func (s *joined) end(how cut) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	switch how {
	case cutRST:
		reset(s.client)
		reset(s.pod)
	case cutFIN:
		_ = s.client.Close()
		_ = s.pod.Close()
	case cutHalf:
		reset(s.client)
		s.mute()
	case cutMute:
		s.mute()
	}
}

// mute stops both pumps and leaves open what is open. A deadline in the past
// does it without a byte in between being lost.
func (s *joined) mute() {
	past := time.Unix(1, 0)
	_ = s.client.SetReadDeadline(past)
	_ = s.pod.SetReadDeadline(past)
}

// free closes what a mute connection still holds.
func (s *joined) free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.freed {
		s.freed = true
		close(s.over)
	}
}

// muteHold is how long a mute connection is held at most: longer than either
// side waits for a sign of life.
const muteHold = time.Minute

// pumpBytes is the buffer of one direction. io.Copy would splice instead, with
// two more files for each direction, and files are what runs out first.
const pumpBytes = 2 << 10

// pump copies one direction until it ends.
func (s *joined) pump(to, from *net.TCPConn) {
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, pumpBytes))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		select {
		case <-s.over:
		case <-time.After(muteHold):
		}
		reset(from)
		reset(to)
		return
	}
	if err != nil {
		reset(to)
		reset(from)
		return
	}
	_ = to.CloseWrite()
}

// reset closes a socket with RST.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// String describes a balancer for the log.
func (b *balancer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprintf("%d connections, %d accepted, %d refused, pods %v", len(b.conns), b.accepted.Load(), b.refused.Load(), b.pods)
}
