// Package pod attacks one real sidecar, with the memory of a pod that the injector
// makes, while others use it, and judges what they notice:
//
//	innocents ──┐
//	            ├── sidecar ── app
//	attackers ──┘
//
// An attacker tries all it can at once: as a client of the sidecar, or as its
// app. Innocent sessions echo all the time, first without it and then beside it.
// None of them may be lost or miss a message, their latency at the 99th
// percentile stays within twice of what it was, or of what bystanders have at the
// same time who reach the app by another process, the sidecar's memory stays within
// its limit, and when the attacker is gone, all is as before.
package pod

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// An attack is one thing that an attacker does, until ctx ends.
type attack struct {
	name string
	run  func(ctx context.Context, t *target)
}

// attackers are who attacks, and how.
var attackers = map[string][]attack{
	"client": clientAttacks,
	"tls":    tlsAttacks,
	"app":    appAttacks,
	"storm":  stormAttacks,
}

// Options are those of one run.
type Options struct {
	Attackers []string      // client, app, tls
	Lasts     time.Duration // of the attack
	Calm      time.Duration // before it, in which innocents are measured
	TTL       time.Duration // of detached sessions
	Fair      bool          // the machine is not shared: latency is judged
	Sidecar   string        // the binary; "": it is built
	Scale     int           // what attackers do at once, in percent of all they can
	Embedded  bool          // the journal is in the sidecar, and not beside it
	TLS       bool          // clients speak TLS with the sidecar
	Innocents int
	Sizes     Sizes // of a storm
	Out       io.Writer

	meanwhile func(ctx context.Context, s *stage) error // what happens during the attack, which ends after it; nil: nothing
}

// Turn is a run with all that an attacker can: the rest of the options.
func Turn(ctx context.Context, o Options) (faults []string, err error) {
	o.Calm, o.TTL = min(max(o.Lasts/10, 5*time.Second), time.Minute), 30*time.Second
	o.Fair, o.Scale, o.Innocents, o.Out = true, 100, 50, os.Stdout
	return Run(ctx, o)
}

// Run is one experiment. What was not as it should be are its faults.
func Run(ctx context.Context, o Options) (faults []string, err error) {
	if o.Sidecar == "" {
		b := &proc.Binary{Name: lab.SidecarName}
		defer b.Remove()
		if o.Sidecar, err = b.Path(ctx); err != nil {
			return nil, err
		}
	}
	s, err := newStage(ctx, o)
	if err != nil {
		return nil, err
	}
	defer s.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, by := s.innocents(ctx, o.Innocents), s.bystanders(ctx, o.Innocents)
	defer in.stop()
	defer by.stop()
	time.Sleep(o.Calm)
	calm, byCalm := in.measured(), by.measured()
	before, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	peak := s.watchMemory(ctx)
	if err := s.attack(ctx, o); err != nil {
		return nil, err
	}
	beside, byBeside := in.measured(), by.measured()
	after, back := s.settle(ctx, before, o.TTL)
	faults = in.stop()
	fmt.Fprintf(o.Out, "%s: %d innocents; latency in ms, median and 99th: %s alone, %s beside it; of those who pass the sidecar by: %s alone, %s beside it; memory at most %d MiB\n  before %v\n  after  %v\n",
		strings.Join(o.Attackers, "+"), o.Innocents, calm, beside, byCalm, byBeside, peak()>>20, before, after)
	if most := max(2*calm.high, 2*byBeside.high, leastLatency); o.Fair && beside.high > most {
		faults = append(faults, fmt.Sprintf("latency at the 99th percentile was %v, at most %v", beside.high, most))
	}
	if got := peak(); got > podMemory {
		faults = append(faults, fmt.Sprintf("memory was %d MiB, at most %d", got>>20, podMemory>>20))
	}
	if !back {
		faults = append(faults, "not all is as before")
	}
	return faults, nil
}

// leastLatency is a latency that nobody would call one: a machine that runs all
// parties on few processors has it at times without an attack.
const leastLatency = 50 * time.Millisecond
