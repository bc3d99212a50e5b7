package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

const (
	// podCount is how many sidecars there are, each with an app.
	podCount = 3

	// natsWait bounds how long the cluster takes to recover.
	natsWait = 60 * time.Second

	appPort = "8080"
)

// A testbed is the setting of one scenario: a NATS cluster, pods, a balancer
// before them, and sessions.
type testbed struct {
	runner *runner
	dir    string
	began  time.Time
	key    string // WSR_TOKEN_KEYS of all
	linked bool   // sidecars reach each other by links
	binary string // of the sidecars that are started next
	lease  time.Duration

	nats      *lab.NATS
	js        jetstream.JetStream
	endpoints lab.Endpoints
	balancer  *lab.Balancer
	sessions  *sessions
	closers   []func()
	tasks     sync.WaitGroup

	mu      sync.Mutex // guards what follows: the readiness poll looks too
	pods    []*lab.Pod
	records []string // of all apps that ever ran
	peaks   []int64  // memory of sidecars that are gone
	faults  []string // what a scenario found by itself
	notes   []string

	extra ledger.Count // inbound, of sessions that are not among sessions
}

// fault and note are for what a scenario finds by itself.
func (s *testbed) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

func (s *testbed) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
	s.say(format, args...)
}

// newTestbed returns a testbed, which is to be closed also after an error.
func newTestbed(ctx context.Context, b *runner, sc *scenario) (*testbed, error) {
	s := &testbed{
		runner: b, binary: b.sidecar, began: time.Now(), linked: sc.linked, lease: cmp.Or(sc.lease, b.o.lease), dir: filepath.Join(b.starter.Dir, sc.name),
		key: base64.StdEncoding.EncodeToString(keyring.Generate()),
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return s, err
	}
	s.say("%s: %s", sc.name, sc.about)
	var err error
	if s.nats, err = lab.StartNATS(ctx, &b.starter, 3, s.dir, &b.hosts); err != nil {
		return s, err
	}
	var disconnect func()
	if s.js, disconnect, err = s.nats.Connect(); err != nil {
		return s, err
	}
	s.closers = append(s.closers, disconnect)
	if s.balancer, err = lab.NewBalancer(s.endpoints.Random, b.hosts.Next(), b.hosts.Next(), b.hosts.Next(), b.hosts.Next()); err != nil {
		return s, err
	}
	for range cmp.Or(sc.pods, podCount) {
		if err := s.addPod(ctx); err != nil {
			return s, err
		}
	}
	if !sc.blind {
		watching, cancel := context.WithCancel(ctx)
		s.closers = append(s.closers, cancel)
		s.tasks.Go(func() { s.watchReadiness(watching) })
	}
	return s, s.until(ctx, natsWait, "the journal is there", func() bool { return lab.Current(ctx, s.js) })
}

// addPod starts a new pod and waits until it is ready.
func (s *testbed) addPod(ctx context.Context) error {
	host := s.runner.hosts.Next()
	p, err := lab.NewPod(&s.runner.starter, host)
	if err != nil {
		return err
	}
	p.Program, p.Name = s.binary, "pod-"+host
	p.Settings = s.runner.known(
		"WSR_TOKEN_KEYS="+s.key, "WSR_DATA_DIR="+filepath.Join(s.dir, p.Name), "WSR_ADOPT=auto",
		"WSR_LEASE_TTL="+s.lease.String(), "WSR_SESSION_TTL=2m", fmt.Sprint("WSR_DRAIN_SECONDS=", s.runner.o.drain),
		"WSR_UPSTREAM_RETRY=10s", "WSR_HEARTBEAT_BASE=1s", "WSR_HEARTBEAT_MIN=500ms", "WSR_HEARTBEAT_MAX=3s",
		"WSR_LOG_LEVEL=debug",
	)
	if s.linked {
		err = p.LinkPeers()
	}
	if err = errors.Join(err, p.LinkNATS(s.nats), s.startApp(ctx, p), p.StartSidecar(ctx)); err != nil {
		p.Close()
		return err
	}
	s.mu.Lock()
	s.pods = append(s.pods, p)
	s.mu.Unlock()
	s.endpoints.Set(p.Addr, true)
	return nil
}

// startApp starts an app that counts its sockets anew.
func (s *testbed) startApp(ctx context.Context, p *lab.Pod) error {
	host, _, err := net.SplitHostPort(p.Addr)
	if err != nil {
		return err
	}
	s.runner.apps++
	file := filepath.Join(s.dir, fmt.Sprintf("app-%d.records", s.runner.apps))
	s.mu.Lock()
	s.records = append(s.records, file)
	s.mu.Unlock()
	return p.StartApp(ctx, lab.AppSpec{Addr: net.JoinHostPort(host, appPort), Number: s.runner.apps, Records: file}, nil)
}

// watchReadiness is the endpoint controller: it updates the balancer. Like a
// kubelet it believes the third failure in a row; it asks more often, since ten
// seconds would only make the scenarios longer.
func (s *testbed) watchReadiness(ctx context.Context) {
	const pace, threshold = 250 * time.Millisecond, 3
	failed := map[*lab.Pod]int{}
	for proc.Sleep(ctx, pace) == nil {
		for _, p := range s.present() {
			if failed[p]++; p.Ready(ctx) {
				failed[p] = 0
			}
			s.mu.Lock()
			if slices.Contains(s.pods, p) { // it may have been removed meanwhile
				s.endpoints.Set(p.Addr, failed[p] < threshold)
			}
			s.mu.Unlock()
		}
	}
}

// retire takes a pod away, and ends what may still run of it.
func (s *testbed) retire(p *lab.Pod) {
	s.mu.Lock()
	s.pods = slices.DeleteFunc(s.pods, func(q *lab.Pod) bool { return p == q })
	s.endpoints.Remove(p.Addr)
	s.mu.Unlock()
	p.Close()
}

// kill is kill -9 of the sidecar alone.
func (s *testbed) kill(p *lab.Pod) {
	s.notePeak(p)
	p.Kill()
}

func (s *testbed) notePeak(p *lab.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peaks = append(s.peaks, lab.PeakMemory(p.Pid()))
}

// perform opens the sessions, runs the scenario, and brings everything to an end that can
// be judged.
func (s *testbed) perform(ctx context.Context, sc *scenario) error {
	size := sc.size(s.runner.o)
	var err error
	if s.sessions, err = s.open(ctx, size); err != nil {
		return err
	}
	s.say("%d sessions are open", size.sessions)
	if err := proc.Sleep(ctx, warmUp); err != nil {
		return err
	}
	if err := sc.run(ctx, s); err != nil {
		s.fault("%v", err) // the sessions are judged all the same
	}
	if err := s.settled(ctx); err != nil {
		s.fault("%v", err)
	}
	s.say("all is settled: %v", s.balancer)
	if err := proc.Sleep(ctx, warmUp); err != nil {
		return err
	}
	return s.finish(ctx)
}

// warmUp is how long messages flow before the first fault and after the last.
const warmUp = 3 * time.Second

// quiet is how long no message must have come for the rest to be lost: longer
// than any app takes to answer.
const quiet = 3 * time.Second

// finish stops the apps, lets everything arrive that can, and closes all
// sessions.
func (s *testbed) finish(ctx context.Context) error {
	for _, p := range s.present() {
		p.App().StopSending()
	}
	s.sessions.stop(ctx)
	if err := s.until(ctx, natsWait, "nothing comes any more", s.sessions.silent); err != nil {
		return err
	}
	s.sessions.close()
	return proc.Sleep(ctx, quiet)
}

// present returns the pods as they are now.
func (s *testbed) present() []*lab.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.pods)
}

// until waits for something that processes do.
func (s *testbed) until(ctx context.Context, limit time.Duration, what string, done func() bool) error {
	if err := proc.Until(ctx, limit, 50*time.Millisecond, done); err != nil {
		return fmt.Errorf("chaos: waited until %s: %w", what, err)
	}
	return nil
}

// say writes what happens to standard error.
func (s *testbed) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%7.2fs %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// addPeaks adds the peak memory of every sidecar there was.
func (s *testbed) addPeaks(r *result) {
	for _, p := range s.present() {
		s.notePeak(p)
	}
	for _, bytes := range s.peaks {
		r.PeakMiB = max(r.PeakMiB, float64(bytes)/(1<<20))
	}
}

func (s *testbed) close() {
	for _, closer := range slices.Backward(s.closers) {
		closer()
	}
	if s.sessions != nil {
		s.sessions.abandon()
	}
	s.tasks.Wait()
	for _, p := range s.present() {
		p.Close()
	}
	if s.nats != nil {
		s.nats.Close()
	}
	if s.balancer != nil {
		s.balancer.Close()
	}
}
