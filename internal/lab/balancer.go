package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
)

// podDial bounds the balancer's dial to a pod.
const podDial = 3 * time.Second

// errNoPod is why a connection is reset that comes while no pod is ready.
var errNoPod = errors.New("lab: no pod is ready")

// A Balancer is what stands before the pods: it picks one for each connection,
// and joins the two over a link that can be broken. It is safe for concurrent
// use.
type Balancer struct {
	links             []*faultlink.Link
	pick              func() []string
	accepted, refused atomic.Int64
}

// NewBalancer listens on every host, since one address of clients has only so
// many ports. pick names the pods to try for a connection, one after the other.
func NewBalancer(pick func() []string, hosts ...string) (*Balancer, error) {
	b := &Balancer{pick: pick}
	for _, host := range hosts {
		link, err := faultlink.Listen(host+":0", b.dial, rand.Float64)
		if err != nil {
			b.Close()
			return nil, err
		}
		b.links = append(b.links, link)
	}
	return b, nil
}

func (b *Balancer) dial(ctx context.Context) (*net.TCPConn, error) {
	b.accepted.Add(1)
	ctx, cancel := context.WithTimeout(ctx, podDial)
	defer cancel()
	err := errNoPod
	for _, addr := range b.pick() {
		var d net.Dialer
		var c net.Conn
		if c, err = d.DialContext(ctx, "tcp", addr); err == nil {
			return c.(*net.TCPConn), nil
		}
	}
	b.refused.Add(1)
	return nil, err
}

// Addr is where session i connects.
func (b *Balancer) Addr(i int) string { return b.Link(i).Addr() }

// Link is the network between session i and the balancer.
func (b *Balancer) Link(i int) *faultlink.Link { return b.links[i%len(b.links)] }

// Cut kills a share of the live connections, chosen by chance, and returns how
// many. addr limits it to those of one pod, if it is not empty.
func (b *Balancer) Cut(how faultlink.Kind, share float64, addr string) (n int) {
	for _, link := range b.links {
		for _, c := range link.Conns() {
			to := c.Target()
			if to == nil || addr != "" && to.String() != addr || rand.Float64() >= share {
				continue
			}
			c.Cut(how)
			n++
		}
	}
	return n
}

// Close resets what is left.
func (b *Balancer) Close() {
	for _, link := range b.links {
		link.Close()
	}
}

// String describes the balancer for a log.
func (b *Balancer) String() string {
	conns := 0
	for _, link := range b.links {
		conns += len(link.Conns())
	}
	return fmt.Sprintf("%d connections, %d accepted, %d refused", conns, b.accepted.Load(), b.refused.Load())
}

// Endpoints are the pods that a balancer knows of, and whether they are ready.
// The zero value is ready, and safe for concurrent use.
type Endpoints struct {
	mu     sync.Mutex
	ready  map[string]bool // by address
	pinned string
}

// Set notes whether a pod is ready.
func (e *Endpoints) Set(addr string, ready bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ready == nil {
		e.ready = map[string]bool{}
	}
	e.ready[addr] = ready
}

// Remove forgets a pod.
func (e *Endpoints) Remove(addr string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.ready, addr)
}

// Pin sends all new connections to one pod; "" lets chance decide again.
func (e *Endpoints) Pin(addr string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pinned = addr
}

// Random picks one ready pod. Like a plain balancer's, the choice is not
// followed by another one when that pod refuses.
func (e *Endpoints) Random() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pinned != "" {
		return []string{e.pinned}
	}
	var ready []string
	for addr, ok := range e.ready {
		if ok {
			ready = append(ready, addr)
		}
	}
	if len(ready) == 0 {
		return nil
	}
	return []string{ready[rand.IntN(len(ready))]}
}
