// Package load is both ends of what the benchmarks send through a proxy: clients
// that cost as little as they can, since they share the processors with what is
// measured, an app that does, and plain forwarders to compare with.
package load

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// dialWidth is how many connections are opened at the same time: below any
// listen backlog.
const dialWidth = 16

// TurnLimit ends a turn of load that hangs. One takes seconds.
const TurnLimit = 5 * time.Minute

// Clients are many.
type Clients []*Client

// DialAll opens n connections, each with one round trip behind it.
func DialAll(addr string, n int, offer wire.Offer) (Clients, error) {
	return Open(n, func() (*Client, error) { return DialWarm(addr, offer) })
}

// DialWarm opens a connection and makes one round trip on it.
func DialWarm(addr string, offer wire.Offer) (*Client, error) {
	p, err := Dial(addr, offer)
	if err != nil {
		return nil, err
	}
	return p, p.RoundTrip([]byte("hello"))
}

// Open has n dialled, dialWidth at a time.
func Open(n int, join func() (*Client, error)) (Clients, error) {
	f := make(Clients, n)
	var next atomic.Int64
	err := Each(dialWidth, func(int) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return nil
			}
			var err error
			if f[i], err = join(); err != nil {
				return err
			}
		}
	})
	if err != nil {
		f.Cut()
		return nil, err
	}
	return f, nil
}

// Trips makes a number of round trips, spread over the clients so that all of
// them end together.
func (f Clients) Trips(total int, payload []byte) error {
	var tickets atomic.Int64
	return Each(len(f), func(i int) error {
		for tickets.Add(1) <= int64(total) {
			if err := f[i].RoundTrip(payload); err != nil {
				return err
			}
		}
		return nil
	})
}

// Each calls call with every client, so many at a time, and joins their errors as
// the function Each does.
func (f Clients) Each(width int, call func(*Client) error) error {
	next := make(chan *Client, len(f))
	for _, c := range f {
		next <- c
	}
	close(next)
	return Each(width, func(int) error {
		for c := range next {
			if err := call(c); err != nil {
				return err
			}
		}
		return nil
	})
}

// Close ends all sessions.
func (f Clients) Close() error {
	return Each(len(f), func(i int) error { return f[i].Close() })
}

// Cut closes the connections and leaves sessions to the sidecar. Peers that
// were never dialled are nil.
func (f Clients) Cut() {
	for _, p := range f {
		if p != nil {
			p.conn.Close()
		}
	}
}

// Each runs n calls at the same time and joins their errors; the first is
// enough to read.
func Each(n int, call func(i int) error) error {
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	for i := range n {
		wg.Go(func() {
			if err := call(i); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	wg.Wait()
	return first
}
