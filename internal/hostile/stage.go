package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/measure"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
	"github.com/wsresilience/wsresilience/internal/program"
)

const (
	// innocents talk through the sidecars, each a word every so often, and some of
	// them come back to the other sidecar now and then.
	innocents  = 40
	talkEvery  = 50 * time.Millisecond
	movesEvery = 500 * time.Millisecond

	// patience is what one word may take before it counts as lost.
	patience = 20 * time.Second

	// maxReference bounds the time without a party.
	maxReference = 30 * time.Second

	// maxMemory is the limit of a sidecar's container, and keptMemory what may be
	// left of a party: what Go's runtime keeps of a peak for a while.
	maxMemory  = 512 << 20
	keptMemory = 48 << 20

	// maxSlower is how much longer words may take, beside slowSlack, which a busy
	// machine may need by itself.
	maxSlower = 2
	slowSlack = 100 // ms

	settleTime = 90 * time.Second
)

// A stage is two sidecars with a common journal before one app, and the innocents.
type stage struct {
	dir      string
	starter  proc.Starter
	nats     *lab.NATS
	app      *lab.App
	relay    *lab.Relay // to the app, for bystanders
	sidecars [2]*lab.Sidecar
	ports    []string // where the sidecars reach each other
	ways     []way    // to them
	tap      *tap     // on the way of the second to the first

	mu    sync.Mutex
	words []time.Duration
	apart []time.Duration // words of bystanders
	lost  []string
}

// newStage returns a stage, which is to be closed also after an error.
func newStage(ctx context.Context, dir, binary string, peerTLS bool) (_ *stage, err error) {
	s := &stage{dir: dir, starter: proc.Starter{Dir: dir}, ways: []way{plainWay}}
	var secured *certified
	if peerTLS {
		if secured, err = newCertified(dir); err != nil {
			return s, err
		}
		s.ways = secured.ways()
	}
	if binary == "" {
		binary = filepath.Join(dir, lab.SidecarName)
		if _, err := os.Stat(binary); err != nil {
			if err := program.Build(ctx, lab.SidecarName, binary); err != nil {
				return s, err
			}
		}
	}
	files, err := os.MkdirTemp(dir, "nats-")
	if err != nil {
		return s, err
	}
	if s.nats, err = lab.StartNATS(ctx, &s.starter, 1, files, nil); err != nil {
		return s, err
	}
	if s.app, err = lab.StartApp(ctx, &s.starter, lab.AppSpec{Records: os.DevNull}, nil); err != nil {
		return s, err
	}
	if s.relay, err = lab.StartRelay(ctx, &s.starter, s.app.Addr); err != nil {
		return s, err
	}
	key := base64.StdEncoding.EncodeToString(keyring.Generate())
	for i := range s.sidecars {
		c, err := lab.NewSidecar("")
		if err != nil {
			return s, err
		}
		c.Program, c.Name, c.Upstream = binary, fmt.Sprint("sidecar-", i), "http://"+s.app.Addr
		c.Settings = append(s.nats.Settings(), "WSR_TOKEN_KEYS="+key, "WSR_DRAIN_SECONDS=1", "GOMEMLIMIT=460MiB")
		port := c.Addr
		if secured != nil {
			free, err := proc.FreeAddrs(1)
			if err != nil {
				return s, err
			}
			port = free[0]
			c.Settings = append(c.Settings, secured.settings(port)...)
		}
		s.ports = append(s.ports, port)
		if i == 0 {
			if s.tap, err = newTap(port, secured); err != nil {
				return s, err
			}
			c.Settings = append(c.Settings, "WSR_ADVERTISE="+s.tap.addr())
		}
		if err := c.Start(ctx, &s.starter); err != nil {
			return s, err
		}
		s.sidecars[i] = c
	}
	return s, nil
}

func (s *stage) close() {
	for _, c := range s.sidecars {
		if c != nil {
			c.Kill()
		}
	}
	if s.tap != nil {
		s.tap.close()
	}
	if s.relay != nil {
		s.relay.Kill()
	}
	if s.app != nil {
		s.app.Kill()
	}
	if s.nats != nil {
		s.nats.Close()
	}
}

// A figure is what the innocents and the sidecars had in some time.
type figure struct {
	words  stats.Spread // in ms
	apart  stats.Spread // of bystanders
	lost   []string
	memory int64 // the most of one sidecar, bytes
}

func (f figure) String() string {
	return fmt.Sprintf("words took %v ms, %v past the sidecars; %d innocents lost something; %d MiB in the larger sidecar", f.words, f.apart, len(f.lost), f.memory>>20)
}

// measure lets the innocents talk for a time, while run runs.
func (s *stage) measure(ctx context.Context, d time.Duration, run func(context.Context) error) (figure, error) {
	s.mu.Lock()
	s.words, s.apart, s.lost = nil, nil, nil
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var work sync.WaitGroup
	for i := range innocents {
		work.Go(func() {
			if err := s.innocent(ctx, i); err != nil {
				s.mu.Lock()
				s.lost = append(s.lost, fmt.Sprintf("innocent %d: %v", i, err))
				s.mu.Unlock()
			}
		})
		work.Go(func() {
			if err := s.bystander(ctx, i); err != nil {
				s.mu.Lock()
				s.lost = append(s.lost, fmt.Sprintf("bystander %d: %v", i, err))
				s.mu.Unlock()
			}
		})
	}
	failed := make(chan error, 1)
	go func() { failed <- run(ctx) }()
	f := figure{}
	for tick := time.NewTicker(time.Second); ctx.Err() == nil; {
		m, err := s.memory()
		if err != nil {
			cancel()
			work.Wait()
			return f, err
		}
		f.memory = max(f.memory, m)
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
		}
	}
	work.Wait()
	err := <-failed
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.words, f.apart, f.lost = stats.SpreadOf(s.words), stats.SpreadOf(s.apart), slices.Clone(s.lost)
	return f, err
}

// memory is what the larger sidecar has.
func (s *stage) memory() (most int64, err error) {
	for _, c := range s.sidecars {
		if c.Ended() {
			return 0, c.Failure("it ended")
		}
		m, err := measure.Resident(c.Pid())
		if err != nil {
			return 0, err
		}
		most = max(most, m)
	}
	return most, nil
}

// settled waits until the sidecars have given back what they held, and returns what
// they have.
func (s *stage) settled(ctx context.Context, before int64) (now int64, err error) {
	err = proc.Until(ctx, settleTime, time.Second, func() bool {
		now, err = s.memory()
		return err != nil || now <= before+keptMemory
	})
	if now > 0 {
		err = nil // what is left is for harm to say
	}
	return now, err
}

// harm says what a party did to others.
func (s *stage) harm(before, during figure, after int64) (harm []string) {
	harm = append(harm, during.lost...)
	// A machine that is short of time shows in bystanders too: that is nobody's harm.
	if most := maxSlower*max(before.words.P99, during.apart.P99) + slowSlack; during.words.P99 > most {
		harm = append(harm, fmt.Sprintf("words took %.0f ms at the 99th percentile, want %.0f at most", during.words.P99, most))
	}
	if during.memory > maxMemory {
		harm = append(harm, fmt.Sprintf("a sidecar had %d MiB", during.memory>>20))
	}
	if after > before.memory+keptMemory {
		harm = append(harm, fmt.Sprintf("a sidecar keeps %d MiB, had %d before", after>>20, before.memory>>20))
	}
	return harm
}
