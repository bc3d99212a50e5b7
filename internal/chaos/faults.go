package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/program"
)

// away is how long a partition lasts: several leases.
const away = 30 * time.Second

// cutEvery is the pause between two cuts while something else is broken.
const cutEvery = 5 * time.Second

// cutShare of the connections dies at each.
const cutShare = 0.2

// cutting cuts connections in every way in turn for a while.
func (s *testbed) cutting(ctx context.Context, d time.Duration) error {
	ways := []faultlink.Kind{faultlink.RST, faultlink.DropClient, faultlink.FIN, faultlink.Mute}
	for end, i := time.Now().Add(d), 0; time.Now().Before(end); i++ {
		s.sessions.fault()
		n := s.balancer.Cut(ways[i%len(ways)], cutShare, "")
		s.say("cut %d connections", n)
		if err := proc.Sleep(ctx, min(cutEvery, time.Until(end))); err != nil {
			return err
		}
	}
	return nil
}

func cuts(ctx context.Context, s *testbed) error {
	const rounds = 4
	return s.cutting(ctx, rounds*cutEvery)
}

func kill9(ctx context.Context, s *testbed) error {
	p := s.present()[0]
	s.sessions.fault()
	s.kill(p)
	s.say("killed %s", p.Name)
	if err := proc.Sleep(ctx, 10*time.Second); err != nil {
		return err
	}
	s.sessions.fault()
	if err := p.StartSidecar(ctx); err != nil {
		return err
	}
	s.say("started %s again", p.Name)
	return proc.Sleep(ctx, cutEvery)
}

// zombie leaves its balancer no time to notice: what is under way in the
// stopped sidecar's sockets is what it would write when it wakes.
func zombie(ctx context.Context, s *testbed) error {
	p := s.present()[0]
	s.sessions.fault()
	if err := p.Pause(); err != nil {
		return err
	}
	s.say("stopped %s", p.Name)
	if err := proc.Sleep(ctx, 3*s.lease); err != nil {
		return err
	}
	up, over := s.sessions.connected()
	s.say("waking %s: %d are connected, %d over", p.Name, up, over)
	if err := p.Resume(); err != nil {
		return err
	}
	return proc.Sleep(ctx, 2*s.lease)
}

func natsLeader(ctx context.Context, s *testbed) error {
	n, err := s.nats.Leader(ctx, s.js, "WSR_LOG_0")
	if err != nil {
		return err
	}
	n.Kill()
	s.say("killed %s", n.Name())
	if err := s.cutting(ctx, 3*cutEvery); err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	s.say("started %s again", n.Name())
	return s.until(ctx, natsWait, "all replicas are current", func() bool { return lab.Current(ctx, s.js) })
}

func natsRoll(ctx context.Context, s *testbed) error {
	for _, n := range s.nats.Nodes {
		// The embedded library has no lame duck mode by signal; SIGTERM ends
		// the process at once, which is worse than what an operator does.
		_ = n.Terminate(proc.Grace)
		s.say("stopped %s", n.Name())
		if err := s.cutting(ctx, cutEvery); err != nil {
			return err
		}
		if err := n.Start(); err != nil {
			return err
		}
		if err := s.until(ctx, natsWait, "all replicas are current", func() bool { return lab.Current(ctx, s.js) }); err != nil {
			return err
		}
		s.say("%s is back", n.Name())
		if err := s.cutting(ctx, cutEvery); err != nil {
			return err
		}
	}
	return nil
}

func natsAway(ctx context.Context, s *testbed) error {
	p := s.present()[0]
	p.CutNATS()
	s.say("%s is cut from NATS", p.Name)
	err := s.cutting(ctx, away)
	p.HealNATS()
	s.say("%s may reach NATS again", p.Name)
	if err != nil {
		return err
	}
	return s.cutting(ctx, 2*cutEvery)
}

// podMemory is the limit of a sidecar's container.
const podMemory = 512 << 20

// natsHangs stops the servers: they take connections and bytes, and answer
// nothing. Whoever has a session keeps it, within the memory of a pod.
func natsHangs(ctx context.Context, s *testbed) error {
	for _, n := range s.nats.Nodes {
		if err := n.Pause(); err != nil {
			return err
		}
	}
	s.say("NATS hangs")
	err := s.cutting(ctx, s.runner.o.hang)
	for _, n := range s.nats.Nodes {
		err = errors.Join(err, n.Resume())
	}
	if err != nil {
		return err
	}
	s.say("it goes on")
	for _, p := range s.present() {
		if got := lab.PeakMemory(p.Pid()); got > podMemory {
			s.fault("%s had %d MiB", p.Name, got>>20)
		}
	}
	if err := s.until(ctx, natsWait, "all replicas are current", func() bool { return lab.Current(ctx, s.js) }); err != nil {
		return err
	}
	return s.cutting(ctx, 2*cutEvery)
}

// releases rolls the fleet to a build that has one more version of each format, and
// back (docs/COMPATIBILITY.md).
func releases(ctx context.Context, s *testbed) error {
	next := filepath.Join(s.dir, "next")
	if err := program.Build(ctx, lab.SidecarName, next, "-ldflags=-X github.com/wsresilience/wsresilience/internal/formats.ahead=1"); err != nil {
		return err
	}
	for _, binary := range []string{next, s.runner.sidecar} {
		s.binary = binary
		for _, p := range s.present() {
			s.sessions.fault()
			if err := s.replace(ctx, p); err != nil {
				return err
			}
			if err := s.cutting(ctx, cutEvery); err != nil {
				return err
			}
		}
		s.say("all are of the release in %s", binary)
	}
	return nil
}

func peersAway(ctx context.Context, s *testbed) error {
	for _, p := range s.present() {
		p.CutPeers()
	}
	s.say("no sidecar reaches another")
	err := s.cutting(ctx, away)
	for _, p := range s.present() {
		p.HealPeers()
	}
	s.say("they reach each other again")
	if err != nil {
		return err
	}
	return s.cutting(ctx, 2*cutEvery)
}

// island leaves clients a pod that can ask nobody who owns what. Its sessions
// are adopted by the other one when the cut outlasts the lease, and clients come
// back to it with what that one gave them.
func island(ctx context.Context, s *testbed) error {
	p := s.present()[0]
	for _, d := range []time.Duration{s.lease / 2, max(away, 2*s.lease)} {
		s.sessions.fault()
		p.CutNATS()
		for _, other := range s.present() {
			other.CutPeers() // with two pods these are all ways between them
		}
		s.say("%s is cut from NATS and its peer for %v", p.Name, d)
		err := s.cutting(ctx, d)
		p.HealNATS()
		for _, other := range s.present() {
			other.HealPeers()
		}
		s.say("it reaches them again")
		if err != nil {
			return err
		}
		if err := s.cutting(ctx, 2*cutEvery); err != nil {
			return err
		}
	}
	return nil
}

// queued: of each connection that dies meanwhile the stopped sidecar's socket
// keeps the attempt, half open, and later ones behind it. When it wakes it
// reads what its clients have given up long since.
func queued(ctx context.Context, s *testbed) error {
	const stopped, every = 25 * time.Second, 3 * time.Second
	p := s.present()[0]
	s.sessions.fault()
	if err := p.Pause(); err != nil {
		return err
	}
	s.say("stopped %s", p.Name)
	for end := time.Now().Add(stopped); time.Now().Before(end); {
		n := s.balancer.Cut(faultlink.DropClient, 1, p.Addr)
		s.say("%d attempts at it were given up", n)
		if err := proc.Sleep(ctx, min(every, time.Until(end))); err != nil {
			return err
		}
	}
	if err := p.Resume(); err != nil {
		return err
	}
	s.say("woke %s", p.Name)
	return s.cutting(ctx, 2*cutEvery)
}

func storm(ctx context.Context, s *testbed) error {
	s.sessions.fault()
	began := time.Now()
	n := s.balancer.Cut(faultlink.RST, 1, "")
	s.say("cut %d connections", n)
	if err := s.settled(ctx); err != nil {
		return err
	}
	s.say("all resumed within %v", time.Since(began))
	return nil
}

func appRestart(ctx context.Context, s *testbed) error {
	p := s.present()[0]
	s.sessions.fault()
	p.App().Kill()
	s.say("killed the app of %s", p.Name)
	if err := proc.Sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	if err := s.startApp(ctx, p); err != nil {
		return err
	}
	s.say("started it again")
	return proc.Sleep(ctx, 2*cutEvery)
}

// roll replaces all pods, rounds times over.
func roll(ctx context.Context, s *testbed) error {
	return s.replaceAll(ctx, s.runner.o.rounds)
}

// update replaces all pods and restarts the NATS servers, at most twice.
func update(ctx context.Context, s *testbed) error {
	for range min(2, s.runner.o.rounds) {
		if err := s.replaceAll(ctx, 1); err != nil {
			return err
		}
		for _, n := range s.nats.Nodes {
			_ = n.Terminate(proc.Grace)
			if err := n.Start(); err != nil {
				return err
			}
			if err := s.until(ctx, natsWait, "all replicas are current", func() bool { return lab.Current(ctx, s.js) }); err != nil {
				return err
			}
			s.say("restarted %s", n.Name())
		}
	}
	return nil
}

func (s *testbed) replaceAll(ctx context.Context, rounds int) error {
	for round := range rounds {
		for _, p := range s.present() {
			s.sessions.fault()
			if err := s.replace(ctx, p); err != nil {
				return err
			}
		}
		up, over := s.sessions.connected()
		s.say("round %d is over: %d connected, %d over", round+1, up, over)
	}
	return nil
}

// replace starts a new pod and takes the old one away, as a Deployment does.
func (s *testbed) replace(ctx context.Context, p *lab.Pod) error {
	if err := s.addPod(ctx); err != nil {
		return err
	}
	if err := p.Drain(ctx, 2*time.Duration(s.runner.o.drain)*time.Second); err != nil {
		s.fault("%v", err)
	}
	s.notePeak(p)
	if err := p.Terminate(proc.Grace); err != nil {
		return err
	}
	_ = p.App().Terminate(proc.Grace) // it ends by the signal
	s.retire(p)
	return nil
}
