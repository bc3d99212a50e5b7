// Package rehearse puts a load with faults on the user's own app, with plain and
// resilient clients side by side, and reports what became of it. It is the
// sidecar's command of that name.
package rehearse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/rehearse/load"
	"github.com/wsresilience/wsresilience/internal/rehearse/plan"
	"github.com/wsresilience/wsresilience/internal/rehearse/profile"
	"github.com/wsresilience/wsresilience/internal/rehearse/report"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// A Spec is what a rehearsal is made of.
type Spec struct {
	Target     *url.URL
	Title      string
	Command    string // for the report
	Profile    *profile.Profile
	Faults     []plan.Fault
	Objectives []tally.Objective
	Seed       uint64
	Baseline   time.Duration // before the first fault
	After      time.Duration // after the last one
	Settle     time.Duration // that what is under way may take at the end
	Metrics    []string      // URLs of metrics in Prometheus's text form
	Traces     string        // address to take spans at, by OTLP over HTTP; "": none
	TLS        *tls.Config
	Notes      []string // for the report

	// Actions are what a plan's "do NAME" calls.
	Actions map[string]func(context.Context) (string, error)

	// Foreign runs the clients of another kind that take the place of the plain
	// ones; nil: none. It returns what sends message n of one, and must not wait.
	Foreign func(ctx context.Context, f *load.Foreign) (send func(n int, payload []byte), err error)

	// Say takes a line about what happens, and Watch where the run is; both may be
	// nil.
	Say   func(at time.Duration, text string)
	Watch func(Progress)
}

// Progress is where a run is.
type Progress struct {
	At, End time.Duration
	Phase   string
	Sides   []SideProgress
}

// SideProgress is what a side's clients have come to so far.
type SideProgress struct {
	Side                      tally.Side
	Clients                   int
	Up, Due, Answered, Losses int64
}

// run is a rehearsal that runs.
type run struct {
	Spec
	network *network
	load    *load.Load
	way     time.Duration // to connect to the target; 0: not known

	mu     sync.Mutex
	faults []report.Fault
	why    map[string]int // why clients failed, and how often
}

// clients are what the load is made of.
func (r *run) clients() load.Spec {
	return load.Spec{Target: r.Target, Profile: r.Profile, TLS: r.TLS, Seed: r.Seed, Dial: r.network.dial, Failed: r.failed, Foreign: r.Foreign}
}

// random returns the source of one use, the same in each run with this seed.
func (r *run) random(use string, number int) *rand.Rand { return load.Random(r.Seed, use, number) }

func (r *run) say(format string, args ...any) {
	if r.Say != nil {
		r.Say(r.load.Now(), fmt.Sprintf(format, args...))
	}
}

// maxReasons is how many different reasons a report keeps.
const maxReasons = 20

// failed notes why a client could not begin or had to end.
func (r *run) failed(side tally.Side, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text := side.String() + ": " + why; r.why[text] > 0 || len(r.why) < maxReasons {
		r.why[text]++
	}
}

// Run rehearses. The error says that nothing could be measured; what was
// measured and found wanting is in the report. When ctx ends, the run does, and
// the report is of what there was.
func Run(ctx context.Context, s Spec) (*report.Run, error) {
	r := &run{Spec: s, why: map[string]int{}}
	clients := s.Profile.Plain + s.Profile.Resilient
	if err := checkDescriptors(clients); err != nil {
		return nil, err
	}
	for i := range s.Faults {
		if f := &s.Faults[i]; f.Kind == plan.Do && s.Actions[f.Action] == nil {
			return nil, fmt.Errorf("rehearse: %q: there is no %q here; a command of your own is: hook -- COMMAND", f.Text, f.Action)
		}
	}
	var err error
	if r.network, err = newNetwork(load.Address(s.Target), clients+int(tally.Sides), plan.NeedsPackets(s.Faults), r.random); err != nil {
		return nil, err
	}
	defer r.network.close()
	if err := load.Try(ctx, r.clients()); err != nil {
		if ctx.Err() != nil {
			err = errors.New("rehearse: interrupted before it began")
		}
		return nil, err
	}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: s.TLS}, Timeout: metricsWait}
	defer web.CloseIdleConnections()
	if err := checkMetrics(ctx, web, s.Metrics); err != nil {
		return nil, err
	}
	traces, err := listenForTraces(ctx, s.Traces)
	if err != nil {
		return nil, err
	}
	defer traces.close()
	r.way = way(ctx, load.Address(s.Target))
	before := scrapeAll(ctx, web, s.Metrics)
	out := r.rehearse(ctx)
	if ctx.Err() != nil {
		out.Interrupted = true
		out.Notes = append(slices.Clone(out.Notes), fmt.Sprintf("The run was interrupted after %s: this is of the time before.", clock(out.End)))
	}
	told := traces.slowest()
	if s.Traces != "" && told == nil {
		out.Notes = append(slices.Clone(out.Notes), "No spans came to "+s.Traces+": is OTEL_EXPORTER_OTLP_ENDPOINT of sidecars and apps http:// and an address of this machine with that port, and OTEL_EXPORTER_OTLP_PROTOCOL not grpc?")
	}
	out.Spans = slices.Concat(told, slowest(before, scrapeAll(context.WithoutCancel(ctx), web, s.Metrics)))
	return out, nil
}
