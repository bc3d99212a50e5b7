package pod

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/wire"
)

// Sizes are those of a storm.
type Sizes struct {
	HalfOpen int           // handshakes that stop in the middle
	Detached int           // sessions whose clients are away, and come back all at once
	Hang     time.Duration // of NATS meanwhile
}

// halfOpenShare is what one process holds of a storm's handshakes, since a process
// may have some 20,000 files.
const halfOpenShare = 10_000

// shares are what the processes of an attack have each; one of them has the
// sessions.
func (s Sizes) shares() []Sizes {
	list := []Sizes{{Detached: s.Detached, HalfOpen: min(s.HalfOpen, halfOpenShare)}}
	for left := s.HalfOpen - halfOpenShare; left > 0; left -= halfOpenShare {
		list = append(list, Sizes{HalfOpen: min(left, halfOpenShare)})
	}
	return list
}

// Files is how many files one process has open at most.
func (s Sizes) Files() int {
	return max(min(s.HalfOpen, halfOpenShare)+stormHands, s.Detached+maxWaiting) + 2000
}

// maxWaiting is how many handshakes that stop a sidecar keeps.
const maxWaiting = 4096

const (
	// stormHands is how many sessions are resumed at a time.
	stormHands = 500

	// stormFloods are sessions whose windows are full: an app that says all it can
	// to clients that do not read.
	stormFloods = 200

	// stormBegins is the longest time until all sessions are there, and stormEnds
	// what the storm lasts on when NATS is back.
	stormBegins = 3 * time.Minute
	stormEnds   = 30 * time.Second

	// stormTTL is how long a session waits for its client.
	stormTTL = 2 * time.Minute
)

// stormAttacks are all there at once.
var stormAttacks = []attack{
	{"handshakes that stop", func(ctx context.Context, t *target) { t.crowd(ctx, t.sizes.HalfOpen, 0, halfOpen) }},
	{"sessions that come back at once", resumeStorm},
	{"full windows", fullWindows},
}

// Storm is a run in which NATS hangs while windows are full, handshakes stop in the
// middle, and sessions whose clients are away come back all at once.
func Storm(ctx context.Context, o Options, sizes Sizes) (faults []string, err error) {
	o.Attackers, o.Sizes = []string{"storm"}, sizes
	o.Lasts = stormBegins + sizes.Hang + stormEnds
	o.Calm, o.TTL, o.Scale, o.Innocents = 10*time.Second, stormTTL, 100, 50
	o.meanwhile = func(ctx context.Context, s *stage) error {
		began := time.Now()
		err := proc.Until(ctx, stormBegins, time.Second, func() bool {
			l, err := s.look(ctx)
			return err == nil && l.sessions >= sizes.Detached*9/10
		})
		if err != nil {
			return fmt.Errorf("pod: the sessions of the storm are not there: %w", err)
		}
		fmt.Fprintf(o.Out, "storm: the sessions are there after %v; NATS hangs for %v\n", time.Since(began).Round(time.Second), sizes.Hang)
		if err := s.pauseNATS(true); err != nil {
			return err
		}
		err = proc.Sleep(ctx, sizes.Hang)
		if back := s.pauseNATS(false); err == nil {
			err = back
		}
		if err == nil {
			err = proc.Sleep(ctx, stormEnds)
		}
		return err
	}
	return Run(ctx, o)
}

// pauseNATS stops the servers, or lets them go on: meanwhile they take connections
// and bytes, and answer nothing.
func (s *stage) pauseNATS(on bool) error {
	for _, n := range s.nats.Nodes {
		act := n.Resume
		if on {
			act = n.Pause
		}
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}

func fullWindows(ctx context.Context, t *target) {
	if t.sizes.Detached > 0 { // else another process has them
		t.crowd(ctx, stormFloods, 0, accomplice("/flood", false))
	}
}

// A stray is a session whose client is away.
type stray struct{ token string }

// resumeStorm makes sessions, and then brings them back, all of them again and
// again.
func resumeStorm(ctx context.Context, t *target) {
	if t.sizes.Detached == 0 {
		return
	}
	strays := make([]stray, t.sizes.Detached)
	var resumed, lost atomic.Int64
	for first := true; ctx.Err() == nil; first = false {
		var hands sync.WaitGroup
		var next atomic.Int64
		for range min(stormHands, len(strays)) {
			hands.Go(func() {
				for i := next.Add(1) - 1; i < int64(len(strays)) && ctx.Err() == nil; i = next.Add(1) - 1 {
					switch back := strays[i].comesBack(ctx, t); {
					case back:
						resumed.Add(1)
					case !first:
						lost.Add(1)
					}
				}
			})
		}
		hands.Wait()
	}
	fmt.Printf("storm: %d handshakes of sessions, %d came to nothing\n", resumed.Load(), lost.Load())
}

// comesBack resumes the session, or begins one, shows that its client lives, and
// breaks the connection.
func (s *stray) comesBack(ctx context.Context, t *target) bool {
	offer := "wsr, wsr.v1"
	if s.token != "" {
		offer += ", wsr.resume." + s.token + ".0.1"
	}
	c, br := t.open(ctx, "/echo/stray", offer, "")
	if c == nil {
		return false
	}
	defer c.Close() // and no reset, which would take back what was said
	welcome, err := readWelcome(br)
	if err != nil {
		return false
	}
	s.token = welcome.Token
	ack := wire.AppendAck(nil, 0)
	_, err = c.Write(frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true}, ack))
	return err == nil
}

// readWelcome reads the first message of a connection.
func readWelcome(br *bufio.Reader) (*wire.WelcomeMessage, error) {
	h, err := ws.ReadHeader(br)
	if err != nil {
		return nil, err
	}
	msg := make([]byte, min(h.Length, 64<<10))
	if _, err := io.ReadFull(br, msg); err != nil {
		return nil, err
	}
	return wire.ParseWelcome(msg)
}
