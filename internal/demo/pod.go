package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/observe"
)

const (
	// podTries is how often a pod is started: a port that was free may be taken
	// a moment later.
	podTries = 3

	// podDrain is WSR_DRAIN_SECONDS: enough to see how it goes. drainLimit
	// bounds the answer to it.
	podDrain   = 3 * time.Second
	drainLimit = 4 * podDrain

	// podStop is what a drained pod gets to end by itself.
	podStop = 3 * time.Second

	// lookEvery is how often a pod is asked how it is.
	lookEvery = 100 * time.Millisecond
)

// What a pod is. A pod that is dead never comes back; another takes its place.
const (
	podStarting = "starting"
	podUp       = "up"
	podDraining = "draining"
	podDead     = "dead"
)

// pod is one of the lab's, and how it stands.
type pod struct {
	*lab.Pod // its addresses do not change once it is up
	number   int
	watched  *tallies

	mu    sync.Mutex
	state string
	last  string // of what the sidecar complained about
}

func (p *pod) name() string { return fmt.Sprintf("pod %d", p.number) }

func (p *pod) is() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// becomes changes the state, unless the pod is dead.
func (p *pod) becomes(state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != podDead {
		p.state = state
	}
}

// start returns when the pod is ready.
func (p *pod) start(ctx context.Context, apps func() int) error {
	if err := p.startApp(ctx, "", apps()); err != nil {
		return err
	}
	for try := range podTries {
		if try > 0 {
			fresh, err := lab.NewSidecar("")
			if err != nil {
				return err
			}
			p.Addr, p.Admin = fresh.Addr, fresh.Admin
		}
		if p.StartSidecar(ctx) == nil {
			p.becomes(podUp)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%s did not start: %s", p.name(), p.last)
}

// startApp starts the app at an address, "" for any.
func (p *pod) startApp(ctx context.Context, addr string, number int) error {
	return p.StartApp(ctx, lab.AppSpec{Addr: addr, Number: number, LocalOrigins: true}, p.watched.report)
}

// complains makes a line of the sidecar's log part of the story.
func (p *pod) complains(line string) {
	if _, text, ok := strings.Cut(line, "msg="); ok {
		line = text
	}
	p.mu.Lock()
	p.last = line
	p.mu.Unlock()
	p.watched.say("%s: %s", p.name(), line)
}

// look asks the sidecar how it is. A pod whose answer does not come is shown as
// it was.
func (p *pod) look(ctx context.Context) (podView, bool) {
	v := podView{name: p.name(), state: p.is()}
	if v.state == podStarting || v.state == podDead {
		return v, true
	}
	var s observe.DrainState
	text, err := p.Get(ctx, "/drain")
	if err != nil || json.Unmarshal(text, &s) != nil {
		return v, false
	}
	v.sessions, v.plain, v.tunnels = s.Sessions, s.Plain, s.Tunnels
	return v, true
}

// kill is what a crash of the machine is to a pod.
func (p *pod) kill() {
	p.becomes(podDead)
	if app := p.App(); app != nil {
		p.watched.kills(app.Number)
	}
	p.Close()
}

// drain hands all sessions over, as a preStop hook does, and ends the pod.
func (p *pod) drain(ctx context.Context) error {
	err := p.Drain(ctx, drainLimit)
	p.becomes(podDead)
	_ = p.Terminate(podStop) // it is seen by what it did not do
	p.Close()                // the app has no client any more
	return err
}

// restart kills the app and starts another one at its address.
func (p *pod) restart(ctx context.Context, number int) error {
	old := p.App()
	p.watched.kills(old.Number)
	old.Kill()
	if err := p.startApp(ctx, old.Addr, number); err != nil {
		return err
	}
	if p.is() == podDead { // meanwhile
		p.App().Kill()
	}
	return nil
}

// runs reports whether an app, by its number, is this pod's.
func (p *pod) runs(app int) bool {
	a := p.App()
	return a != nil && a.Number == app
}

// newPod gives a pod its addresses and settings.
func newPod(number int, w *tallies, starter *proc.Starter, settings []string) (*pod, error) {
	of, err := lab.NewPod(starter, "")
	if err != nil {
		return nil, err
	}
	p := &pod{Pod: of, number: number, watched: w, state: podStarting}
	p.Program, p.Settings, p.Errors = w.options.sidecar, settings, proc.Lines(p.complains)
	return p, nil
}
