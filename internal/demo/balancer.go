package demo

import (
	"io"
	"net"
	"sync"
	"time"
)

// balancerDial bounds a dial to a pod, which is on this machine.
const balancerDial = time.Second

// balancer is what stands before the pods: each connection goes to the next
// one that is ready, so that a client that comes back meets another pod, unless
// it is sticky.
type balancer struct {
	listener net.Listener
	ready    func() []string // addresses
	sticky   bool            // always the first of them that answers
	tasks    sync.WaitGroup

	mu     sync.Mutex
	next   int
	conns  map[net.Conn]struct{}
	closed bool
}

func newBalancer(ready func() []string, sticky bool) (*balancer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &balancer{listener: l, ready: ready, sticky: sticky, conns: map[net.Conn]struct{}{}}
	b.tasks.Go(b.accept)
	return b, nil
}

func (b *balancer) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return // it was closed
		}
		b.tasks.Go(func() { b.serve(c) })
	}
}

// serve joins a connection with a pod, and each end's end with the other's.
func (b *balancer) serve(client net.Conn) {
	defer b.forget(client)
	pod := b.dial()
	if pod == nil || !b.keep(client) || !b.keep(pod) {
		_ = client.Close()
		if pod != nil {
			_ = pod.Close()
		}
		return
	}
	defer b.forget(pod)
	var back sync.WaitGroup
	back.Go(func() { pass(client, pod) })
	pass(pod, client)
	back.Wait()
}

// pass copies one way. Its end is passed on as it is: FIN for FIN, and RST for
// all else.
func pass(to, from net.Conn) {
	if _, err := io.Copy(to, from); err == nil {
		_ = to.(*net.TCPConn).CloseWrite()
		return
	}
	for _, c := range []net.Conn{to, from} {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// dial connects to the next pod that is ready, or one after it.
func (b *balancer) dial() net.Conn {
	addresses := b.ready()
	b.mu.Lock()
	first := b.next
	if !b.sticky {
		b.next++
	}
	b.mu.Unlock()
	for i := range addresses {
		if c, err := net.DialTimeout("tcp", addresses[(first+i)%len(addresses)], balancerDial); err == nil {
			return c
		}
	}
	return nil
}

func (b *balancer) keep(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.conns[c] = struct{}{}
	return true
}

func (b *balancer) forget(c net.Conn) {
	_ = c.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
}

// close ends all connections and waits for them.
func (b *balancer) close() error {
	err := b.listener.Close()
	b.mu.Lock()
	b.closed = true
	for c := range b.conns {
		_ = c.Close()
	}
	b.mu.Unlock()
	b.tasks.Wait()
	return err
}
