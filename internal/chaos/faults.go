package main

import (
	"context"
	"time"
)

// away is how long a partition lasts: several leases.
const away = 30 * time.Second

// cutEvery is the pause between two cuts while something else is broken.
const cutEvery = 5 * time.Second

// cutShare of the connections dies at each.
const cutShare = 0.2

// cutting cuts connections in every way in turn for a while.
func (s *stage) cutting(ctx context.Context, d time.Duration) error {
	ways := []cut{cutRST, cutHalf, cutFIN, cutMute}
	for end, i := time.Now().Add(d), 0; time.Now().Before(end); i++ {
		s.people.fault()
		n := s.balancer.cut(ways[i%len(ways)], cutShare, "")
		s.say("cut %d connections", n)
		if err := wait(ctx, min(cutEvery, time.Until(end))); err != nil {
			return err
		}
	}
	return nil
}

func cuts(ctx context.Context, s *stage) error {
	const rounds = 4
	return s.cutting(ctx, rounds*cutEvery)
}

func kill9(ctx context.Context, s *stage) error {
	p := s.present()[0]
	s.people.fault()
	p.kill()
	s.say("killed %s", p.name)
	if err := wait(ctx, 10*time.Second); err != nil {
		return err
	}
	s.people.fault()
	if err := p.startSidecar(ctx); err != nil {
		return err
	}
	s.say("started %s again", p.name)
	return wait(ctx, cutEvery)
}

// zombie leaves its balancer no time to notice: what is under way in the
// stopped sidecar's sockets is what it would write when it wakes.
func zombie(ctx context.Context, s *stage) error {
	p := s.present()[0]
	s.people.fault()
	if err := p.freeze(); err != nil {
		return err
	}
	s.say("stopped %s", p.name)
	if err := wait(ctx, 3*s.lab.o.lease); err != nil {
		return err
	}
	up, over := s.people.connected()
	s.say("waking %s: %d are connected, %d over", p.name, up, over)
	if err := p.thaw(); err != nil {
		return err
	}
	return wait(ctx, 2*s.lab.o.lease)
}

func natsLeader(ctx context.Context, s *stage) error {
	n, err := s.leader(ctx)
	if err != nil {
		return err
	}
	n.process.kill()
	s.say("killed %s", n.Name)
	if err := s.cutting(ctx, 3*cutEvery); err != nil {
		return err
	}
	if err := s.lab.startNode(n); err != nil {
		return err
	}
	s.say("started %s again", n.Name)
	return s.until(ctx, natsWait, "all replicas are current", func() bool { return s.current(ctx) })
}

func natsRoll(ctx context.Context, s *stage) error {
	for _, n := range s.nodes {
		// The embedded library has no lame duck mode by signal; SIGTERM ends
		// the process at once, which is worse than what an operator does.
		_ = n.process.terminate()
		s.say("stopped %s", n.Name)
		if err := s.cutting(ctx, cutEvery); err != nil {
			return err
		}
		if err := s.lab.startNode(n); err != nil {
			return err
		}
		if err := s.until(ctx, natsWait, "all replicas are current", func() bool { return s.current(ctx) }); err != nil {
			return err
		}
		s.say("%s is back", n.Name)
		if err := s.cutting(ctx, cutEvery); err != nil {
			return err
		}
	}
	return nil
}

func natsAway(ctx context.Context, s *stage) error {
	p := s.present()[0]
	for _, link := range p.nats {
		link.Silence()
	}
	s.say("%s is cut from NATS", p.name)
	err := s.cutting(ctx, away)
	for _, link := range p.nats {
		link.Heal()
	}
	s.say("%s may reach NATS again", p.name)
	if err != nil {
		return err
	}
	return s.cutting(ctx, 2*cutEvery)
}

func peersAway(ctx context.Context, s *stage) error {
	for _, p := range s.present() {
		p.peer.Silence()
	}
	s.say("no sidecar reaches another")
	err := s.cutting(ctx, away)
	for _, p := range s.present() {
		p.peer.Heal()
	}
	s.say("they reach each other again")
	if err != nil {
		return err
	}
	return s.cutting(ctx, 2*cutEvery)
}

func storm(ctx context.Context, s *stage) error {
	s.people.fault()
	began := time.Now()
	n := s.balancer.cut(cutRST, 1, "")
	s.say("cut %d connections", n)
	if err := s.people.settled(ctx, s); err != nil {
		return err
	}
	s.say("all resumed within %v", time.Since(began))
	return nil
}

func appRestart(ctx context.Context, s *stage) error {
	p := s.present()[0]
	s.people.fault()
	p.app.kill()
	s.say("killed the app of %s", p.name)
	if err := wait(ctx, 3*time.Second); err != nil {
		return err
	}
	if err := p.startApp(ctx); err != nil {
		return err
	}
	s.say("started it again")
	return wait(ctx, 2*cutEvery)
}

// roll replaces all pods, rounds times over.
func roll(ctx context.Context, s *stage) error {
	for round := range s.lab.o.rounds {
		for _, p := range s.present() {
			s.people.fault()
			if err := s.replace(ctx, p); err != nil {
				return err
			}
		}
		up, over := s.people.connected()
		s.say("round %d is over: %d connected, %d over", round+1, up, over)
	}
	return nil
}

// replace starts a new pod and takes the old one away, as a Deployment does.
func (s *stage) replace(ctx context.Context, p *pod) error {
	if err := s.addPod(ctx); err != nil {
		return err
	}
	if err := p.drain(); err != nil {
		s.fault("%v", err)
	}
	s.mu.Lock()
	s.peaks = append(s.peaks, peakMemory(p.sidecar.pid()))
	s.mu.Unlock()
	if err := p.sidecar.terminate(); err != nil {
		return err
	}
	_ = p.app.terminate() // it ends by the signal
	p.retire()
	return nil
}
