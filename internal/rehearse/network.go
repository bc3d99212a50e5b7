package rehearse

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/losslink"
	"github.com/wsresilience/wsresilience/internal/rehearse/load"
	"github.com/wsresilience/wsresilience/internal/rehearse/plan"
)

// A network is what lies between the clients and the URL: a link that can be
// broken, for all of them or for some.
type network struct {
	link  *faultlink.Link
	path  *losslink.Link                              // to the link; nil: this host's own network
	reach func(ctx context.Context) (net.Conn, error) // the way of clients to the link
	hosts []host                                      // of the clients, by their number
}

// A host is what a client runs on.
type host struct {
	offline atomic.Int32 // how many faults take its network away
	slow    atomic.Int64 // bytes a second that it reads; 0: as they come

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// A conn is a client's socket.
type conn struct {
	net.Conn
	host *host
	once sync.Once
}

// slowPace is how often a slow host reads.
const slowPace = 100 * time.Millisecond

// Read is slow on a slow host, so that the sender feels it.
func (c *conn) Read(p []byte) (int, error) {
	if rate := c.host.slow.Load(); rate > 0 && len(p) > 0 {
		time.Sleep(slowPace)
		p = p[:min(len(p), max(1, int(rate)*int(slowPace/time.Millisecond)/1000))]
	}
	return c.Conn.Read(p)
}

// CloseWrite ends what this side sends.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(*net.TCPConn); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *conn) Close() error {
	c.once.Do(func() {
		c.host.mu.Lock()
		delete(c.host.conns, c)
		c.host.mu.Unlock()
	})
	return c.Conn.Close()
}

// newNetwork opens a link to target for so many clients. With packets the clients
// are on a host of their own, and reach the link over a path that can lose them.
func newNetwork(target string, clients int, packets bool, random func(use string, number int) *rand.Rand) (*network, error) {
	n := &network{hosts: make([]host, clients)}
	jitter := random("link", 0).Float64
	if !packets {
		link, err := faultlink.New("127.0.0.1:0", target, jitter)
		n.link = link
		n.reach = func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", link.Addr())
		}
		return n, err
	}
	var err error
	if n.path, err = losslink.New(random("path", 0).Float64); err != nil {
		return nil, err
	}
	ln, err := n.path.Listen()
	if err != nil {
		n.path.Close()
		return nil, err
	}
	n.link = faultlink.On(ln, n.path.Listen, func(ctx context.Context) (*net.TCPConn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", target)
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), nil
	}, jitter)
	n.reach = n.path.Dial
	return n, nil
}

// delay makes the way longer, until the function that it returns is called.
func (n *network) delay(f *plan.Fault) (hit int, heal func()) {
	if n.path != nil {
		n.path.Set(losslink.Weather{Loss: f.Percent / 100, Latency: f.Latency, Jitter: f.Jitter})
		return len(n.link.Conns()), func() { n.path.Set(losslink.Weather{}) }
	}
	n.link.SetLatency(f.Latency, f.Jitter)
	return len(n.link.Conns()), func() { n.link.SetLatency(0, 0) }
}

// dial connects client i.
func (n *network) dial(ctx context.Context, i int) (net.Conn, error) {
	h := &n.hosts[i]
	if h.offline.Load() > 0 {
		return nil, load.ErrOffline
	}
	c, err := n.reach(ctx)
	if err != nil {
		return nil, err
	}
	own := &conn{Conn: c, host: h}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns == nil {
		h.conns = map[*conn]struct{}{}
	}
	h.conns[own] = struct{}{}
	return own, nil
}

// choose draws a share of the clients.
func (n *network) choose(share float64, random *rand.Rand) []int {
	order := random.Perm(len(n.hosts))
	return order[:int(float64(len(order))*share+0.5)]
}

// connsOf returns the live connections of some clients.
func (n *network) connsOf(clients []int) []*faultlink.Conn {
	byAddr := map[string]*faultlink.Conn{}
	for _, c := range n.link.Conns() {
		byAddr[c.Client().String()] = c
	}
	var list []*faultlink.Conn
	for _, i := range clients {
		h := &n.hosts[i]
		h.mu.Lock()
		for c := range h.conns {
			if on := byAddr[c.LocalAddr().String()]; on != nil {
				list = append(list, on)
			}
		}
		h.mu.Unlock()
	}
	return list
}

func (n *network) close() {
	n.link.Close()
	if n.path != nil {
		n.path.Close()
	}
}
