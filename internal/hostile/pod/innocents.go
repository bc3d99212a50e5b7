package pod

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/client"
)

// innocents are sessions that want nothing but their echoes.
type innocents struct {
	url     string
	options *client.Options

	cancel context.CancelFunc
	over   sync.WaitGroup

	mu     sync.Mutex
	times  []time.Duration // since measured was called
	faults []string
}

const (
	// sayEvery is how often an innocent says something.
	sayEvery = 100 * time.Millisecond

	// echoLimit is when an echo that has not come is a fault.
	echoLimit = 30 * time.Second
)

// newInnocents begins n of them, who dial url and a number.
func newInnocents(ctx context.Context, url string, options *client.Options, n int) *innocents {
	in := &innocents{url: url, options: options}
	ctx, in.cancel = context.WithCancel(ctx)
	for i := range n {
		in.over.Go(func() { in.live(ctx, i) })
	}
	return in
}

// innocents are those of the sidecar.
func (s *stage) innocents(ctx context.Context, n int) *innocents {
	if s.authority == nil {
		return newInnocents(ctx, "ws://"+s.sidecar.Addr+"/echo/", nil, n)
	}
	options := &client.Options{TLSConfig: &tls.Config{RootCAs: s.authority.Pool()}}
	return newInnocents(ctx, "wss://"+s.sidecar.Addr+"/echo/", options, n)
}

// bystanders talk to the same app at the same time on the same machine, and not by
// the sidecar: what they wait is not its doing.
func (s *stage) bystanders(ctx context.Context, n int) *innocents {
	return newInnocents(ctx, "ws://"+s.relay.Addr+"/echo/", nil, n)
}

// live is the life of one of them.
func (in *innocents) live(ctx context.Context, i int) {
	c, _, err := client.Dial(ctx, in.url+strconv.Itoa(i), in.options) //nolint:bodyclose // need not be closed
	if err != nil {
		in.fault(ctx, "an innocent was not taken: %v", err)
		return
	}
	defer func() { _ = c.CloseNow() }()
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		said := fmt.Sprintf("innocent %d says %d", i, n)
		began := time.Now()
		heard, err := echo(ctx, c, said)
		if err != nil || heard != said {
			in.fault(ctx, "innocent %d said %q and heard %q: %v", i, said, heard, err)
			return
		}
		in.mu.Lock()
		in.times = append(in.times, time.Since(began))
		in.mu.Unlock()
	}
}

func echo(ctx context.Context, c *client.Conn, said string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, echoLimit)
	defer cancel()
	if err := c.Write(ctx, client.MessageText, []byte(said)); err != nil {
		return "", err
	}
	_, heard, err := c.Read(ctx)
	return string(heard), err
}

// fault notes what went wrong, unless it is the end of all.
func (in *innocents) fault(ctx context.Context, format string, args ...any) {
	if ctx.Err() != nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.faults = append(in.faults, fmt.Sprintf(format, args...))
}

// stop ends them, and returns what went wrong.
func (in *innocents) stop() []string {
	in.cancel()
	in.over.Wait()
	return in.faults
}

// latency is what innocents wait for an echo.
type latency struct{ median, high time.Duration }

func (l latency) String() string {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("%.1f and %.1f", ms(l.median), ms(l.high))
}

// measured returns the latency since it was called last.
func (in *innocents) measured() latency {
	in.mu.Lock()
	defer in.mu.Unlock()
	times := in.times
	in.times = nil
	if len(times) == 0 {
		return latency{}
	}
	slices.Sort(times)
	return latency{times[len(times)/2], times[len(times)*99/100]}
}
