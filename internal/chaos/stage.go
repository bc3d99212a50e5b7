package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// podCount is how many sidecars there are, each with an app.
const podCount = 3

// A stage is the setting of one scenario: a NATS cluster, pods, a balancer
// before them, and sessions.
type stage struct {
	lab    *lab
	dir    string
	began  time.Time
	key    string // WSR_TOKEN_KEYS of all
	linked bool   // sidecars reach each other by links

	nodes    []*node
	js       jetstream.JetStream
	balancer *balancer
	people   *population
	closers  []func()
	tasks    sync.WaitGroup

	mu      sync.Mutex // guards what follows: the readiness poll looks too
	pods    []*pod
	records []string // of all apps that ever ran
	peaks   []int64  // memory of sidecars that are gone
	faults  []string // what a scenario found by itself
	notes   []string

	extra flow // inbound, of sessions that are not the population's
}

// fault and note are for what a scenario finds by itself.
func (s *stage) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

func (s *stage) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
	s.say(format, args...)
}

func newStage(ctx context.Context, l *lab, sc *scenario) (*stage, error) {
	s := &stage{lab: l, began: time.Now(), linked: sc.linked, dir: filepath.Join(l.dir, sc.name)}
	key := make([]byte, 32)
	rand.Read(key)
	s.key = base64.StdEncoding.EncodeToString(key)
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return s, err
	}
	s.say("%s: %s", sc.name, sc.about)
	if err := s.startCluster(ctx); err != nil {
		return s, err
	}
	var err error
	if s.balancer, err = newBalancer([]string{l.host(), l.host(), l.host(), l.host()}); err != nil {
		return s, err
	}
	for range podCount {
		if err := s.addPod(ctx); err != nil {
			return s, err
		}
	}
	watching, cancel := context.WithCancel(ctx)
	s.closers = append(s.closers, cancel)
	s.tasks.Go(func() { s.watchReadiness(watching) })
	return s, s.until(ctx, natsWait, "the journal is there", func() bool { return s.current(ctx) })
}

// perform opens the sessions, plays, and brings everything to an end that can
// be judged.
func (s *stage) perform(ctx context.Context, sc *scenario) error {
	size := sc.size(s.lab.o)
	var err error
	if s.people, err = s.populate(ctx, size); err != nil {
		return err
	}
	s.say("%d sessions are open", size.sessions)
	if err := wait(ctx, warmUp); err != nil {
		return err
	}
	if err := sc.run(ctx, s); err != nil {
		s.fault("%v", err) // the sessions are judged all the same
	}
	if err := s.people.settled(ctx, s); err != nil {
		s.fault("%v", err)
	}
	s.say("all is settled: %v", s.balancer)
	if err := wait(ctx, warmUp); err != nil {
		return err
	}
	return s.finish(ctx)
}

// warmUp is how long messages flow before the first fault and after the last.
const warmUp = 3 * time.Second

// quiet is how long no message must have come for the rest to be lost.
const quiet = 2 * time.Second

// finish stops the apps, lets everything arrive that can, and closes all
// sessions.
func (s *stage) finish(ctx context.Context) error {
	for _, p := range s.present() {
		_, _ = fmt.Fprintln(p.app.stdin, stopWord) // one that is gone needs none
	}
	s.people.stop(ctx)
	if err := s.until(ctx, natsWait, "nothing comes any more", s.people.silent); err != nil {
		return err
	}
	s.people.close()
	return wait(ctx, quiet)
}

// present returns the pods as they are now.
func (s *stage) present() []*pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*pod(nil), s.pods...)
}

// until waits for something that processes do.
func (s *stage) until(ctx context.Context, limit time.Duration, what string, done func() bool) error {
	const look = 50 * time.Millisecond
	for deadline := time.Now().Add(limit); !done(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("chaos: waited %v until %s", limit, what)
		}
		if err := wait(ctx, look); err != nil {
			return err
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// say tells the spectator what happens.
func (s *stage) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%7.2fs %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// weigh adds the peak memory of every sidecar there was.
func (s *stage) weigh(r *result) {
	for _, p := range s.present() {
		s.peaks = append(s.peaks, peakMemory(p.sidecar.pid()))
	}
	for _, bytes := range s.peaks {
		r.PeakMiB = max(r.PeakMiB, float64(bytes)/(1<<20))
	}
}

func (s *stage) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
	if s.people != nil {
		s.people.abandon()
	}
	s.tasks.Wait()
	for _, p := range s.present() {
		p.close()
	}
	for _, n := range s.nodes {
		if n.process != nil {
			n.process.kill()
		}
	}
	if s.balancer != nil {
		s.balancer.close()
	}
}
