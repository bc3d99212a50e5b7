// Package load is the clients of an experiment: plain ones and ones with a
// session, which do what a profile says and keep account of it. A rehearsal puts
// them on its network, and the Kubernetes test in a pod of their own.
package load

import (
	"context"
	"crypto/tls"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/rehearse/profile"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// A Spec says what clients there are.
type Spec struct {
	Target  *url.URL
	Profile *profile.Profile
	TLS     *tls.Config
	Seed    uint64

	// Dial connects a client to the target; nil: the network of this host.
	Dial func(ctx context.Context, number int) (net.Conn, error)

	// Failed is told why a client could not begin or had to end, by many goroutines;
	// nil: nobody is.
	Failed func(side tally.Side, why string)

	// Foreign runs the clients of another kind that take the place of the plain
	// ones; nil: none. It returns what sends message n of one, and must not wait.
	Foreign func(ctx context.Context, f *Foreign) (send func(n int, payload []byte), err error)
}

// A Load is the clients of a run. It is safe for concurrent use.
type Load struct {
	Spec
	Live [tally.Sides]tally.Live

	began   time.Time
	http    *http.Client
	pilots  []*pilot
	held    atomic.Bool
	loading context.Context
	stop    context.CancelFunc // ends loading
	loaders sync.WaitGroup     // what makes messages due
	tasks   sync.WaitGroup
}

// New makes a load whose time begins now; its clients come with Start.
func New(s Spec) *Load {
	if s.Dial == nil {
		s.Dial = func(ctx context.Context, _ int) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", Address(s.Target))
		}
	}
	return &Load{Spec: s, began: time.Now(), http: &http.Client{Transport: &http.Transport{TLSClientConfig: s.TLS}, Timeout: loginLimit}}
}

// Address is the "host:port" that a URL names.
func Address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "wss" || u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// Clients returns how many there are of a side.
func (l *Load) Clients(side tally.Side) int {
	return [tally.Sides]int{l.Profile.Plain, l.Profile.Resilient}[side]
}

// Now is the time since the load began.
func (l *Load) Now() time.Duration { return time.Since(l.began) }

// Start lets the clients come, over the profile's ramp. They talk until Stop is
// called, and live until ctx ends.
func (l *Load) Start(ctx context.Context) {
	l.loading, l.stop = context.WithCancel(ctx)
	all := l.Profile.Plain + l.Profile.Resilient
	for i := range all {
		p := l.newPilot(i, l.sideOf(i))
		l.pilots = append(l.pilots, p)
		delay := time.Duration(float64(l.Profile.Ramp) * float64(i) / float64(all))
		l.tasks.Go(func() {
			if proc.Sleep(ctx, delay) == nil {
				p.fly(ctx, l.loading)
			}
		})
	}
}

// sideOf says which side client i is of: they alternate in proportion, so that
// each fault and each moment meets both.
func (l *Load) sideOf(i int) tally.Side {
	all := l.Profile.Plain + l.Profile.Resilient
	if (i+1)*l.Profile.Resilient/all > i*l.Profile.Resilient/all {
		return tally.Resilient
	}
	return tally.Plain
}

// Hold keeps the clients from saying anything, or lets them go on. What would have
// been due meanwhile is not.
func (l *Load) Hold(yes bool) { l.held.Store(yes) }

// Stop ends what the clients say. What is due at that moment is with them when it
// returns.
func (l *Load) Stop() {
	l.stop()
	l.loaders.Wait()
}

// Wait returns when no client is left, after the context of Start has ended.
func (l *Load) Wait() {
	l.tasks.Wait()
	l.loaders.Wait()
	l.http.CloseIdleConnections()
}

// Accounts returns those of the clients.
func (l *Load) Accounts() []*tally.Client {
	list := make([]*tally.Client, len(l.pilots))
	for i, p := range l.pilots {
		list[i] = p.account
	}
	return list
}

const (
	// settleLook is how often it is looked whether everything has arrived.
	settleLook = 100 * time.Millisecond

	// settleQuiet is how long no plain client, all of them connected, must have
	// heard anything for the rest to be lost.
	settleQuiet = 2 * time.Second
)

// Settle waits, after Stop or Hold, until everybody is connected and every answer
// there, or ctx ends; it reports whether they are. What a plain client has lost
// nobody sends again, so for those it is enough that nothing comes any more. tell
// is called now and then with how many wait.
func (l *Load) Settle(ctx context.Context, tell func(waiting [tally.Sides]int)) bool {
	answered, since := int64(-1), time.Now()
	for ctx.Err() == nil {
		var waiting [tally.Sides]int
		for _, p := range l.pilots {
			if p.account.Waiting() {
				waiting[p.account.Side]++
			}
		}
		plain := &l.Live[tally.Plain]
		if n := plain.Answered.Load(); n != answered || plain.Up.Load() < int64(l.Profile.Plain) {
			answered, since = n, time.Now()
		}
		if waiting[tally.Resilient] == 0 && (waiting[tally.Plain] == 0 || time.Since(since) > settleQuiet) {
			return true
		}
		tell(waiting)
		_ = proc.Sleep(ctx, settleLook)
	}
	return false
}

// Random returns the source of one use, the same in each run with this seed.
func Random(seed uint64, use string, number int) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(use + strconv.Itoa(number))) // never fails
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

func (l *Load) random(use string, number int) *rand.Rand { return Random(l.Seed, use, number) }

func (l *Load) messageType() client.MessageType {
	if l.Profile.Binary {
		return client.MessageBinary
	}
	return client.MessageText
}

// failed tells why a client could not begin or had to end, unless the run is over.
func (l *Load) failed(ctx context.Context, side tally.Side, err error) {
	if ctx.Err() == nil && err != nil && l.Failed != nil {
		l.Failed(side, Reason(err))
	}
}
