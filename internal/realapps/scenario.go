package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

const (
	// steadyFor is how long events flow before a restart.
	steadyFor = 500 * time.Millisecond

	// downFor is how long the app is gone at each restart.
	downFor = time.Second

	// shortPing is the pace of pings in "away", in milliseconds. The apps give
	// up after twice or three times that (graphql-ws, and the others).
	shortPing = 1000

	// ghosts is how many clients die one after the other in "ghost", and
	// haunting how long each successor is watched: longer than a sidecar takes
	// to dial an app again.
	ghosts   = 4
	haunting = 2 * time.Second

	// awayFor is well beyond.
	awayFor = 6 * time.Second
)

// A scenario is what happens to an app and its client, with the pings that it needs.
type scenario struct {
	apps []string
	ping int // milliseconds; 0: the libraries' defaults
	run  func(*testbed) error
}

// remembered are the apps of which the sidecar restores what their clients said.
var remembered = []string{"graphql", "socketio", "mqtt"}

var scenarios = map[string]scenario{
	"restarts": {apps: remembered, run: (*testbed).runRestarts},
	"away":     {apps: remembered, ping: shortPing, run: (*testbed).runAway},
	"ghost":    {apps: []string{"mqtt", "single"}, run: (*testbed).runGhost},
}

// runRestarts: see the package's comment.
func (s *testbed) runRestarts() error {
	return steps(
		s.subscribe("kept"), s.subscribe("dropped"), s.request,
		s.unsubscribe("dropped"), s.counts(0),

		s.restart(crash, nil), s.counts(0), s.request,
		s.subscribe("late"), s.cut(faultlink.RST), s.flows("late"),

		// The network is cut while the app is away, and a request waits for both.
		s.restart(crash, s.cut(faultlink.FIN)), s.counts(1),
		s.unsubscribe("late"), s.counts(0),

		s.restart(crash, s.request), s.counts(0),
		s.subscribe("late"), s.cut(faultlink.DropClient), s.cut(faultlink.DropTarget), s.request,

		s.restart(orderly, nil), s.counts(1), s.flows("late"), s.request,
		s.restart(crash, nil), s.counts(1), s.flows("late"), s.request,
	)
}

// runAway: the client is out of reach twice, once in silence and once with
// the network down, and the app must not hear of it.
func (s *testbed) runAway() error {
	return steps(
		s.subscribe("kept"), s.request,
		func() error {
			s.link.Silence()
			err := proc.Sleep(s.runner.ctx, awayFor)
			s.link.Heal()
			return err
		},
		s.flows("kept"), s.request,
		func() error {
			err := s.link.Down(true)
			s.link.Cut(faultlink.DropClient)
			return errors.Join(err, proc.Sleep(s.runner.ctx, awayFor), s.link.Down(false))
		},
		s.flows("kept"), s.request, s.counts(0),
		func() error {
			if gone, _ := s.app.trouble(); len(gone) > 0 {
				return fmt.Errorf("the app dropped a client that was away: %q", gone)
			}
			return nil
		},
	)
}

// runGhost: a client dies without a close and its successor logs in as the same,
// again and again. The app ends the ghost's connection; what it does not do is
// end the successor's, so neither must the sidecar make it do so by dialling for
// the ghost. One ghost in two leaves a connection that the sidecar still takes
// for alive, the others one that it has seen end.
func (s *testbed) runGhost() error {
	begin := func() error {
		if s.name == "mqtt" {
			s.client.tell("subscribe", map[string]any{"topic": "kept"})
		}
		return steps(s.flows("kept"), s.request)
	}
	if err := begin(); err != nil {
		return err
	}
	for i := range ghosts {
		how := faultlink.DropClient
		if i%2 == 1 {
			how = faultlink.RST
		}
		if err := s.die(how); err != nil {
			return err
		}
		if err := steps(s.succeed, begin, func() error { return proc.Sleep(s.runner.ctx, haunting) }, s.flows("kept"), s.request); err != nil {
			return fmt.Errorf("ghost %d (%v): %w", i+1, how, err)
		}
		if noticed, failed := s.report.trouble(); len(noticed)+len(failed) > 0 {
			return fmt.Errorf("ghost %d (%v): the one that lives noticed %q, %q", i+1, how, noticed, failed)
		}
		if adopted := s.bridge.adopted.Load(); adopted > 0 {
			return fmt.Errorf("ghost %d (%v): the one that lives was adopted %d times", i+1, how, adopted)
		}
	}
	return nil
}

// steps does one after the other, until one fails.
func steps(list ...func() error) error {
	for i, step := range list {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// flows is a step that waits for an event of a topic that is still to be
// published.
func (s *testbed) flows(topic string) func() error {
	return func() error {
		next := s.app.upcoming()
		begin := time.Now()
		var at time.Time
		err := s.runner.until("an event of "+topic+" arrives", func() (ok bool) {
			at, ok = s.report.reached(topic, next)
			return ok
		})
		s.wait = max(s.wait, at.Sub(begin))
		return err
	}
}

func (s *testbed) subscribe(topic string) func() error {
	return func() error {
		s.client.tell("subscribe", map[string]any{"topic": topic})
		return s.flows(topic)()
	}
}

func (s *testbed) unsubscribe(topic string) func() error {
	return func() error {
		s.client.tell("unsubscribe", map[string]any{"topic": topic})
		return nil
	}
}

// request asks something over the same socket, and wants one answer. While
// the app is down it does not wait: the answer is wanted at the end.
func (s *testbed) request() error {
	s.requests++
	text := fmt.Sprintf("request-%d", s.requests)
	s.client.tell("request", map[string]any{"text": text})
	if s.app.isDown() {
		return nil
	}
	return s.runner.until(text+" is answered", func() bool { return s.report.answered(text) > 0 })
}

// counts is a step that wants one subscriber of the topic that is kept, none
// of the dropped one and so many of the late one, by the app's own count.
func (s *testbed) counts(late int) func() error {
	return func() error {
		return s.app.wantSubscribers(map[string]int{"kept": 1, "dropped": 0, "late": late})
	}
}

// cut is a step that kills the connection between the bridge and the sidecar.
func (s *testbed) cut(kind faultlink.Kind) func() error {
	return func() error {
		s.link.Cut(kind)
		if s.app.isDown() {
			return nil
		}
		return s.flows("kept")()
	}
}

// restart is a step that ends the app in one way and starts it again, and
// does something while it is down.
func (s *testbed) restart(how ending, meanwhile func() error) func() error {
	return func() error {
		if err := proc.Sleep(s.runner.ctx, steadyFor); err != nil {
			return err
		}
		if s.restarts == 0 {
			s.before = s.report.tally("kept", s.app.births()).events
		}
		s.restarts++
		s.bridge.trace("RESTART %d: %s", s.restarts, how)
		s.app.stop(how)
		if meanwhile != nil {
			if err := meanwhile(); err != nil {
				return err
			}
		}
		if err := proc.Sleep(s.runner.ctx, downFor); err != nil {
			return err
		}
		if err := s.app.start(); err != nil {
			return err
		}
		if err := s.flows("kept")(); err != nil {
			return fmt.Errorf("restart %d (%s): %w", s.restarts, how, err)
		}
		return nil
	}
}
