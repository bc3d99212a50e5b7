package main

import (
	"errors"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/wire"
)

// A crowd is the clients of one turn: on one thread, or slow, with a goroutine
// each, so that the load itself takes most of the machine and every answer comes
// late.
type crowd struct {
	loop *load.Loop
	slow load.Clients
}

// gather opens the connections of a turn, with a round trip behind each.
func (c *workload) gather(addr string, offer wire.Offer) (*crowd, error) {
	if c.slow {
		f, err := load.DialAll(addr, c.conns, offer)
		return &crowd{slow: f}, err
	}
	s, err := load.DialLoop(addr, c.conns, offer)
	return &crowd{loop: s}, err
}

func (s *crowd) trips(n int, payload []byte) error {
	if s.loop == nil {
		return s.slow.Trips(n, payload)
	}
	return s.loop.Trips(n, payload)
}

func (s *crowd) leave() error {
	if s.loop == nil {
		return s.slow.Close()
	}
	return s.loop.Leave()
}

// halfPeriod is that of the kernel's own quota of processor time, as Kubernetes sets
// it, halved.
const halfPeriod = 50 * time.Millisecond

// halve gives the processes of a proxy half of the time: they are stopped for the
// other half, as a quota stops them. The returned function ends it.
func (p *instance) halve() (through func() error, err error) {
	pids, err := family(p.Pid())
	if err != nil {
		return nil, err
	}
	signal := func(s syscall.Signal) (err error) {
		for _, pid := range pids {
			err = errors.Join(err, syscall.Kill(pid, s))
		}
		return err
	}
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		tick := time.NewTicker(halfPeriod / 2)
		defer tick.Stop()
		for stopped := false; ; stopped = !stopped {
			s := syscall.SIGSTOP
			if stopped {
				s = syscall.SIGCONT
			}
			select {
			case <-end:
				ended <- errors.Join(err, signal(syscall.SIGCONT))
				return
			case <-tick.C:
				err = errors.Join(err, signal(s))
			}
		}
	}()
	return func() error { close(end); return <-ended }, nil
}
