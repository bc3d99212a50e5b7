package demo

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"

	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// testbed is everything that takes part: clients, network, balancer, pods, and
// the journal that the pods share.
type testbed struct {
	link         *faultlink.Link
	fleet        *fleet
	stopProducer context.CancelFunc // no new messages from anybody
	ended        context.Context    // ends with the resilient client's session

	closers []func() error // in the order of opening
}

// newTestbed opens a testbed and starts the clients, or leaves nothing behind.
func newTestbed(ctx context.Context, w *tallies) (*testbed, error) {
	s := &testbed{}
	if err := s.open(ctx, w); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *testbed) open(ctx context.Context, w *tallies) error {
	folder, err := os.MkdirTemp("", "wsresilience-demo-")
	if err != nil {
		return err
	}
	s.later(func() error { return os.RemoveAll(folder) })
	starter := new(proc.Starter)
	journal, err := lab.StartNATS(ctx, starter, 1, folder, nil)
	if err != nil {
		return err
	}
	s.later(func() error { journal.Close(); return nil })
	if s.fleet, err = newFleet(ctx, w, starter, journal); err != nil {
		return err
	}
	s.later(s.fleet.close)
	b, err := lab.NewBalancer(s.fleet.inTurn, loopback)
	if err != nil {
		return err
	}
	s.later(func() error { b.Close(); return nil })
	s.link = b.Link(0)
	s.link.SetLatency(linkLatency, linkJitter)

	var producer context.Context
	producer, s.stopProducer = context.WithCancel(context.Background())
	if err := s.openClients(ctx, producer, w.terminal); err != nil {
		return err
	}
	s.feed(producer, w.terminal)
	return s.openPage(w)
}

// openPage serves the page, unless it is not wanted.
func (s *testbed) openPage(w *tallies) error {
	if w.options.listen == "" {
		return nil
	}
	p, err := servePage(w, s.fleet)
	if err != nil {
		return err
	}
	s.later(p.close)
	w.terminal.hasPage(p.url)
	return nil
}

// feed makes the apps send to each user, wherever that one's socket is.
func (s *testbed) feed(producer context.Context, t *tally) {
	var feeds sync.WaitGroup
	for u := range users {
		feeds.Go(func() { lab.Pace(producer, t.options.rate, func() { s.fleet.send(t, u) }) })
	}
	s.later(func() error { feeds.Wait(); return nil })
}

// openClients connects both clients through the link.
func (s *testbed) openClients(ctx, producer context.Context, t *tally) error {
	address := func(u user) string { return lab.StreamURL(s.link.Addr(), t.key(u), 0) }
	r, err := newResilientClient(ctx, address(resilient), t)
	if err != nil {
		return err
	}
	var over context.CancelFunc
	s.ended, over = context.WithCancel(context.Background())
	var sending sync.WaitGroup
	sending.Go(func() { r.produce(producer) })
	ended := make(chan error, 1)
	go func() {
		r.Wait()
		ended <- <-r.ended
		over()
	}()
	s.later(func() error {
		err := r.Close(1000, "the demo is over")
		earlier := <-ended
		s.stopProducer()
		sending.Wait()
		if earlier != nil {
			return earlier
		}
		return err
	})

	p := newPlainClient(address(plain), t)
	connected, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.Run(connected) })
	running.Go(func() { t.produce(producer, plain, p.Send) })
	s.later(func() error {
		s.stopProducer()
		stop()
		running.Wait()
		return nil
	})
	return nil
}

func (s *testbed) later(closer func() error) { s.closers = append(s.closers, closer) }

// close takes the testbed apart, what was opened last first.
func (s *testbed) close() error {
	if s.stopProducer != nil {
		s.stopProducer()
	}
	var errs []error
	for _, closer := range slices.Backward(s.closers) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}
