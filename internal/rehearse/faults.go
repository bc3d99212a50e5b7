package rehearse

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/rehearse/plan"
	"github.com/wsresilience/wsresilience/internal/rehearse/report"
)

// breakThings does what the plan says, from calm on, and returns when all of it
// is over.
func (r *run) breakThings(ctx context.Context, calm time.Duration) {
	r.mu.Lock()
	r.faults = make([]report.Fault, len(r.Faults))
	r.mu.Unlock()
	var all sync.WaitGroup
	for i := range r.Faults {
		all.Go(func() {
			f := &r.Faults[i]
			if proc.Sleep(ctx, calm+f.At-r.load.Now()) == nil {
				r.breakOne(ctx, i, f)
			}
		})
	}
	all.Wait()
	r.faults = slices.DeleteFunc(r.faults, func(f report.Fault) bool { return f.Text == "" }) // an interrupted run
}

// breakOne does one fault and waits until it is over.
func (r *run) breakOne(ctx context.Context, i int, f *plan.Fault) {
	did := report.Fault{At: r.load.Now(), Text: f.Text, For: f.For}
	r.say("%s", f.Text)
	hit, heal, err := r.perform(ctx, f, r.random("fault", i), &did)
	did.Hit = hit
	if err != nil {
		did.Failure = err.Error()
		r.say("%s: %v", f.Text, err)
	}
	if heal != nil {
		_ = proc.Sleep(ctx, f.For)
		heal()
	}
	r.mu.Lock()
	r.faults[i] = did
	r.mu.Unlock()
}

// perform begins a fault. It returns how many connections it touched, and what
// ends it; nil if it does not last.
func (r *run) perform(ctx context.Context, f *plan.Fault, random *rand.Rand, did *report.Fault) (hit int, heal func(), err error) {
	n := r.network
	switch f.Kind {
	case plan.Cut:
		return cutAll(n.connsOf(n.choose(f.Share, random)), f.How), nil, nil
	case plan.Storm:
		return cutAll(n.link.Conns(), faultlink.RST), nil, nil
	case plan.Silence:
		hit, heal = n.silence(f, random)
	case plan.Offline:
		hit, heal = n.offline(n.choose(f.Share, random))
	case plan.Slow:
		hit, heal = n.slow(n.choose(f.Share, random), int64(f.Rate))
	case plan.Delay, plan.Loss:
		hit, heal = n.delay(f)
	case plan.Hook:
		return 0, nil, hook(ctx, f, did)
	case plan.Do:
		return 0, nil, r.act(ctx, f, did)
	}
	return hit, heal, nil
}

func cutAll(conns []*faultlink.Conn, how faultlink.Kind) int {
	for _, c := range conns {
		c.Cut(how)
	}
	return len(conns)
}

// silence stops every byte. With a share it is for connections that are there;
// their clients' next ones pass.
func (n *network) silence(f *plan.Fault, random *rand.Rand) (int, func()) {
	if f.Share == 1 {
		hit := len(n.link.Conns())
		n.link.Silence()
		return hit, n.link.Heal
	}
	conns := n.connsOf(n.choose(f.Share, random))
	for _, c := range conns {
		c.Silence()
	}
	return len(conns), func() {
		for _, c := range conns {
			c.Heal()
		}
	}
}

// offline takes the network from clients: they notice at once, the server does
// not.
func (n *network) offline(clients []int) (int, func()) {
	for _, i := range clients {
		n.hosts[i].offline.Add(1)
	}
	return cutAll(n.connsOf(clients), faultlink.DropClient), func() {
		for _, i := range clients {
			n.hosts[i].offline.Add(-1)
		}
	}
}

func (n *network) slow(clients []int, rate int64) (int, func()) {
	for _, i := range clients {
		n.hosts[i].slow.Store(rate)
	}
	return len(n.connsOf(clients)), func() {
		for _, i := range clients {
			n.hosts[i].slow.Store(0)
		}
	}
}

// maxOutput is how much of a hook's output the report keeps.
const maxOutput = 2000

// hook runs a command of the user.
func hook(ctx context.Context, f *plan.Fault, did *report.Fault) error {
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	began := time.Now()
	cmd := exec.CommandContext(ctx, f.Command[0], f.Command[1:]...)
	cmd.WaitDelay = time.Second // what it started may hold its output open
	out, err := cmd.CombinedOutput()
	did.Took, did.For = time.Since(began), time.Since(began)
	out = bytes.TrimSpace(out)
	did.Output = string(out[max(0, len(out)-maxOutput):])
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("not done within timeout=%v", f.Timeout)
	}
	return err
}

// act does what the program around the rehearsal offers.
func (r *run) act(ctx context.Context, f *plan.Fault, did *report.Fault) (err error) {
	act := r.Actions[f.Action]
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	began := time.Now()
	did.Output, err = act(ctx)
	did.Took, did.For = time.Since(began), time.Since(began)
	return err
}
