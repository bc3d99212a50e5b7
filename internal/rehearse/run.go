// Package rehearse puts a load with faults on the user's own app, with plain and
// resilient clients side by side, and reports what became of it. It is the
// sidecar's command of that name.
package rehearse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
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
	TLS        *tls.Config
	Notes      []string // for the report

	// Actions are what a plan's "do NAME" calls.
	Actions map[string]func(context.Context) (string, error)

	// Foreign runs the clients of another kind that take the place of the plain
	// ones; nil: none. It returns what sends message n of one, and must not wait.
	Foreign func(ctx context.Context, f *Foreign) (send func(n int, payload []byte), err error)

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
	target  *url.URL
	profile *profile.Profile
	network *network
	tls     *tls.Config
	http    *http.Client
	began   time.Time
	live    [tally.Sides]tally.Live
	pilots  []*pilot
	loaders sync.WaitGroup // what makes messages due

	mu     sync.Mutex
	faults []report.Fault
	why    map[string]int // why clients failed, and how often
}

// now is the time since the run began.
func (r *run) now() time.Duration { return time.Since(r.began) }

// random returns the source of one use, the same in each run with this seed.
func (r *run) random(use string, number int) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(use + strconv.Itoa(number))) // never fails
	return rand.New(rand.NewPCG(r.Seed, h.Sum64()))
}

func (r *run) messageType() client.MessageType {
	if r.profile.Binary {
		return client.MessageBinary
	}
	return client.MessageText
}

func (r *run) say(format string, args ...any) {
	if r.Say != nil {
		r.Say(r.now(), fmt.Sprintf(format, args...))
	}
}

// maxReasons is how many different reasons a report keeps.
const maxReasons = 20

// failed notes why a client could not begin or had to end, unless the run is over.
func (r *run) failed(ctx context.Context, side tally.Side, err error) {
	if ctx.Err() != nil || err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if text := side.String() + ": " + reason(err); r.why[text] > 0 || len(r.why) < maxReasons {
		r.why[text]++
	}
}

// Run rehearses. The error says that nothing could be measured; what was
// measured and found wanting is in the report. When ctx ends, the run does, and
// the report is of what there was.
func Run(ctx context.Context, s Spec) (*report.Run, error) {
	r := &run{
		Spec: s, target: s.Target, profile: s.Profile, tls: s.TLS, began: time.Now(), why: map[string]int{},
		http: &http.Client{Transport: &http.Transport{TLSClientConfig: s.TLS}, Timeout: loginLimit},
	}
	clients := s.Profile.Plain + s.Profile.Resilient
	if err := checkDescriptors(clients); err != nil {
		return nil, err
	}
	var err error
	if r.network, err = newNetwork(targetOf(s.Target), clients+int(tally.Sides), plan.NeedsPackets(s.Faults), r.random); err != nil {
		return nil, err
	}
	defer r.network.close()
	if err := r.probe(ctx); err != nil {
		if ctx.Err() != nil {
			err = errors.New("rehearse: interrupted before it began")
		}
		return nil, err
	}
	if err := checkMetrics(ctx, r.http, s.Metrics); err != nil {
		return nil, err
	}
	before := scrapeAll(ctx, r.http, s.Metrics)
	out := r.rehearse(ctx)
	if ctx.Err() != nil {
		out.Interrupted = true
		out.Notes = append(slices.Clone(out.Notes), fmt.Sprintf("The run was interrupted after %s: this is of the time before.", clock(out.End)))
	}
	out.Spans = slowest(before, scrapeAll(context.WithoutCancel(ctx), r.http, s.Metrics))
	return out, nil
}

// rehearse is the run itself: all clients come, the faults happen, and what is
// under way arrives.
func (r *run) rehearse(ctx context.Context) *report.Run {
	r.began = time.Now()
	calm := time.Duration(r.profile.Ramp) + r.Baseline
	end := calm + plan.Length(r.Faults) + r.After
	// Whoever is under way when ctx ends may arrive.
	flying, land := context.WithCancel(context.WithoutCancel(ctx))
	loading, stop := context.WithCancel(flying)
	defer land()
	defer stop()

	var tasks, faults sync.WaitGroup
	for i := range r.profile.Plain + r.profile.Resilient {
		// The sides alternate, so that each fault and each moment meets both.
		p := r.newPilot(i, r.sideOf(i))
		r.pilots = append(r.pilots, p)
		delay := time.Duration(float64(r.profile.Ramp) * float64(i) / float64(r.profile.Plain+r.profile.Resilient))
		tasks.Go(func() {
			if proc.Sleep(flying, delay) == nil {
				p.fly(flying, loading)
			}
		})
	}
	faults.Go(func() { r.breakThings(ctx, calm) })
	end = r.watch(ctx, end, &faults)
	stop()
	r.loaders.Wait() // a message that is due at the last moment is waited for too
	faults.Wait()    // they heal what they broke
	patience := r.Settle
	if ctx.Err() != nil {
		patience = min(patience, interruptedSettle)
	}
	r.settle(flying, patience)
	land()
	tasks.Wait()
	return r.result(calm, end)
}

// sideOf says which side client i is of: they alternate in proportion.
func (r *run) sideOf(i int) tally.Side {
	all := r.profile.Plain + r.profile.Resilient
	if (i+1)*r.profile.Resilient/all > i*r.profile.Resilient/all {
		return tally.Resilient
	}
	return tally.Plain
}

// fly runs a client until ctx ends; it is logged in before it says anything.
func (p *pilot) fly(ctx, loading context.Context) {
	wait := backoff.New(backoff.Policy{Base: backoffBase, Max: backoffMax}, p.run.random("login", p.account.Number).Float64)
	for err := p.login.once(ctx, p); err != nil; err = p.login.once(ctx, p) {
		p.run.failed(ctx, p.account.Side, err)
		pause, _ := wait.Next()
		if proc.Sleep(ctx, pause) != nil {
			return
		}
	}
	switch {
	case p.account.Side == tally.Resilient:
		p.flyResilient(ctx, loading)
	case p.run.Foreign != nil:
		p.flyForeign(ctx, loading)
	default:
		p.flyPlain(ctx, loading)
	}
}

// watchPace is how often it is told where the run is.
const watchPace = time.Second

// watch waits until the run is at end, and all faults have been over for a while,
// however long the user's hooks take. It returns when that was.
func (r *run) watch(ctx context.Context, end time.Duration, faults *sync.WaitGroup) time.Duration {
	over := make(chan time.Duration, 1)
	go func() {
		faults.Wait()
		over <- r.now()
	}()
	waiting := true
	for (waiting || r.now() < end) && ctx.Err() == nil {
		select {
		case last := <-over:
			waiting, end = false, max(end, last+r.After)
		default:
		}
		r.tell(end, "")
		_ = proc.Sleep(ctx, min(watchPace, max(watchPace/10, end-r.now())))
	}
	if ctx.Err() != nil {
		return r.now()
	}
	return max(end, r.now())
}

func (r *run) tell(end time.Duration, phase string) {
	if r.Watch == nil {
		return
	}
	p := Progress{At: r.now(), End: end, Phase: phase}
	for side := range tally.Sides {
		clients := [...]int{r.profile.Plain, r.profile.Resilient}[side]
		if clients == 0 {
			continue
		}
		l := &r.live[side]
		p.Sides = append(p.Sides, SideProgress{
			Side: side, Clients: clients, Up: l.Up.Load(), Due: l.Due.Load(), Answered: l.Answered.Load(), Losses: l.Losses.Load(),
		})
	}
	r.Watch(p)
}

const (
	// settleLook is how often it is looked whether everything has arrived.
	settleLook = 100 * time.Millisecond

	// interruptedSettle is how long who interrupts a run waits at most.
	interruptedSettle = 5 * time.Second

	// settleQuiet is how long no plain client, all of them connected, must have
	// heard anything for the rest to be lost.
	settleQuiet = 2 * time.Second
)

// settle waits until everybody is connected and every answer there, or for as
// long as that may take. What a plain client has lost nobody sends again, so for
// those it is enough that nothing comes any more.
func (r *run) settle(ctx context.Context, patience time.Duration) {
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answered, since := int64(-1), time.Now()
	for limit.Err() == nil {
		var waiting [tally.Sides]int
		for _, p := range r.pilots {
			if p.account.Waiting() {
				waiting[p.account.Side]++
			}
		}
		plain := &r.live[tally.Plain]
		if n := plain.Answered.Load(); n != answered || plain.Up.Load() < int64(r.profile.Plain) {
			answered, since = n, time.Now()
		}
		if waiting[tally.Resilient] == 0 && (waiting[tally.Plain] == 0 || time.Since(since) > settleQuiet) {
			return
		}
		r.tell(r.now(), fmt.Sprintf("what is under way arrives (%d plain and %d resilient clients wait)", waiting[tally.Plain], waiting[tally.Resilient]))
		_ = proc.Sleep(limit, settleLook)
	}
}

func (r *run) result(calm, end time.Duration) *report.Run {
	var clients []*tally.Client
	for _, p := range r.pilots {
		clients = append(clients, p.account)
	}
	out := &report.Run{
		Title: r.Title, Command: r.Command, Target: shown(r.target), Profile: r.profile.Name, Began: r.began, Seed: r.Seed,
		Calm: calm, End: end, Late: time.Duration(r.profile.Late), Notes: r.Notes, Faults: r.faults, Environment: environment(),
	}
	frame := tally.Frame{Calm: calm, End: end, Late: out.Late}
	for side := range tally.Sides {
		s := tally.Summarise(side, clients, frame)
		if s.Clients == 0 {
			continue
		}
		out.Sides = append(out.Sides, s)
		out.Series = append(out.Series, tally.Series(side, clients, end))
		out.Oddities = append(out.Oddities, tally.Oddities(side, clients, out.Late))
		for i := range out.Faults {
			until := end + r.Settle
			if i+1 < len(out.Faults) {
				until = out.Faults[i+1].At
			}
			out.Faults[i].Effects = append(out.Faults[i].Effects, tally.EffectOf(side, clients, out.Faults[i].At, until))
		}
	}
	if n := r.network; n.path != nil {
		carried, lost := n.path.Packets()
		out.Notes = append(slices.Clone(out.Notes), fmt.Sprintf("Of %d packets between the clients and the link %d were lost.", carried+lost, lost))
	}
	out.Reasons = r.why
	out.Verdicts = tally.Judge(r.Objectives, out.Sides)
	return out
}

// shown is a URL without what may be secret: user and query.
func shown(u *url.URL) string {
	v := *u
	v.User, v.Fragment = nil, ""
	if v.RawQuery != "" {
		v.RawQuery = "…"
	}
	return v.String()
}
