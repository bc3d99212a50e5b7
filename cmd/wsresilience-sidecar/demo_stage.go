package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/observe"
)

// stage is everything that takes part: clients, link, sidecar, app.
type stage struct {
	link         *faultlink.Link
	stopProducer context.CancelFunc // no new messages from anybody
	ended        context.Context    // ends with the resilient client's session

	closers []func() error // in the order of opening
}

// newStage opens a stage and starts the clients, or leaves nothing behind.
func newStage(ctx context.Context, t *tally) (*stage, error) {
	s := &stage{}
	if err := s.open(ctx, t); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) open(ctx context.Context, t *tally) error {
	folder, err := os.MkdirTemp("", "wsresilience-demo-")
	if err != nil {
		return err
	}
	s.later(func() error { return os.RemoveAll(folder) })

	var producer context.Context
	producer, s.stopProducer = context.WithCancel(context.Background())
	app, err := newDemoApp(producer, t)
	if err != nil {
		return err
	}
	s.later(app.close)

	address, err := s.openSidecar(ctx, t, app.listener.Addr().String(), folder)
	if err != nil {
		return err
	}
	s.link, err = faultlink.New("127.0.0.1:0", address, rand.Float64)
	if err != nil {
		return err
	}
	s.later(func() error { s.link.Close(); return nil })
	s.link.SetLatency(linkLatency, linkJitter)
	return s.openClients(ctx, producer, t)
}

// openSidecar runs a sidecar as the run command does, and returns its
// address. What it has to complain about becomes part of the story.
func (s *stage) openSidecar(ctx context.Context, t *tally, app, folder string) (string, error) {
	environ, err := demoEnviron(app, folder)
	if err != nil {
		return "", err
	}
	cfg, err := config.Load(environ)
	if err != nil {
		return "", err
	}
	log := slog.New(slog.NewTextHandler(storyWriter{t}, &slog.HandlerOptions{Level: cfg.LogLevel}))
	sidecar, err := newSidecar(ctx, cfg, log, observe.New())
	if err != nil {
		return "", err
	}
	running, stop := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sidecar.run(running) }()
	s.later(func() error {
		stop(errInterrupted)
		return <-ended
	})
	return sidecar.listener.Addr().String(), nil
}

// demoEnviron are the sidecar's settings. Heartbeats are quick, so that one
// can watch how a half-open connection is found.
func demoEnviron(app, folder string) ([]string, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	return []string{
		"WSR_LISTEN=" + ports[0], "WSR_ADMIN_LISTEN=" + ports[1], "WSR_UPSTREAM=http://" + app,
		"WSR_DATA_DIR=" + folder, "WSR_LOG_LEVEL=error",
		"WSR_HEARTBEAT_BASE=300ms", "WSR_HEARTBEAT_MIN=250ms", "WSR_HEARTBEAT_MAX=1s",
	}, nil
}

// freePorts returns loopback addresses that nobody listens on now. The
// settings know no port 0, since a sidecar must be found.
func freePorts(n int) ([]string, error) {
	var free []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that they differ
		free = append(free, l.Addr().String())
	}
	return free, nil
}

// openClients connects both clients through the link.
func (s *stage) openClients(ctx, producer context.Context, t *tally) error {
	address := func(u user) string { return fmt.Sprintf("ws://%s/?user=%s", s.link.Addr(), u) }
	r, err := newResilientClient(ctx, address(resilient), t)
	if err != nil {
		return err
	}
	var over context.CancelFunc
	s.ended, over = context.WithCancel(context.Background())
	why := make(chan error, 1)
	go func() {
		why <- r.run(producer)
		over()
	}()
	s.later(func() error {
		err := r.conn.Close(1000, "the demo is over")
		if earlier := <-why; earlier != nil {
			return earlier
		}
		return err
	})

	p := newPlainClient(address(plain), t)
	connected, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.run(connected, producer) })
	s.later(func() error { stop(); running.Wait(); return nil })
	return nil
}

func (s *stage) later(closer func() error) { s.closers = append(s.closers, closer) }

// close takes the stage apart, what was opened last first.
func (s *stage) close() error {
	if s.stopProducer != nil {
		s.stopProducer()
	}
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}

// storyWriter makes a note of each log line.
type storyWriter struct{ tally *tally }

func (w storyWriter) Write(line []byte) (int, error) {
	_, text, _ := strings.Cut(strings.TrimSpace(string(line)), "msg=")
	w.tally.say("sidecar: " + text)
	return len(line), nil
}
