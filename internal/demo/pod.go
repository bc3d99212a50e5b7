package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/observe"
)

const (
	// podStart bounds one attempt to start a pod, and podTries their number: a
	// port that was free may be taken a moment later.
	podStart = 15 * time.Second
	podTries = 3

	// podDrain is WSR_DRAIN_SECONDS: enough to see how it goes.
	podDrain = 3 * time.Second

	// podStop is what a drained pod gets to end by itself.
	podStop = 3 * time.Second

	// lookEvery is how often a pod is asked how it is; lookLimit is what one
	// answer may take.
	lookEvery = 100 * time.Millisecond
	lookLimit = 500 * time.Millisecond
)

// What a pod is. A pod that is dead never comes back; another takes its place.
const (
	podStarting = "starting"
	podUp       = "up"
	podDraining = "draining"
	podDead     = "dead"
)

// pod is a sidecar, and an app behind it, each a process.
type pod struct {
	// Immutable once started.
	number  int
	watched *audience
	address string // of the sidecar
	admin   string
	sidecar *child
	http    *http.Client

	mu    sync.Mutex
	state string
	app   *appProcess
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
func (p *pod) start(ctx context.Context, environ []string, apps func() int) error {
	app, err := startApp(p.watched, "127.0.0.1:0", apps())
	if err != nil {
		return err
	}
	p.setApp(app)
	for range podTries {
		if err = p.startSidecar(ctx, environ); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (p *pod) startSidecar(ctx context.Context, environ []string) error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	p.address, p.admin = ports[0], ports[1]
	environ = append([]string{
		"WSR_LISTEN=" + p.address, "WSR_ADVERTISE=" + p.address, "WSR_ADMIN_LISTEN=" + p.admin,
		"WSR_UPSTREAM=http://" + p.process().address,
	}, environ...)
	if p.sidecar, err = startChild(p.watched.options.program, []string{"run"}, environ, func(string) {}, p.complains); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, podStart)
	defer cancel()
	await(ctx, func() bool { return p.sidecar.ended() || p.ready(ctx) })
	if ctx.Err() != nil || p.sidecar.ended() {
		p.sidecar.kill()
		p.mu.Lock()
		defer p.mu.Unlock()
		return fmt.Errorf("%s did not start: %s", p.name(), p.last)
	}
	p.becomes(podUp)
	return nil
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

func (p *pod) ready(ctx context.Context) bool {
	_, err := p.ask(ctx, "/readyz")
	return err == nil
}

func (p *pod) ask(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := p.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return text, err
}

// look asks the sidecar how it is. A pod whose answer does not come is shown as
// it was.
func (p *pod) look(ctx context.Context) (podView, bool) {
	v := podView{name: p.name(), state: p.is()}
	if v.state == podStarting || v.state == podDead {
		return v, true
	}
	var s observe.DrainState
	text, err := p.ask(ctx, "/drain")
	if err != nil || json.Unmarshal(text, &s) != nil {
		return v, false
	}
	v.sessions, v.plain, v.tunnels = s.Sessions, s.Plain, s.Tunnels
	return v, true
}

// kill is what a crash of the machine is to a pod.
func (p *pod) kill() {
	p.becomes(podDead)
	if app := p.process(); app != nil {
		p.watched.kills(app.number)
		defer app.child.kill()
	}
	if p.sidecar != nil {
		p.sidecar.kill()
	}
}

// drain hands all sessions over, as a preStop hook does, and ends the pod.
func (p *pod) drain(ctx context.Context) error {
	err := p.hand(ctx)
	p.becomes(podDead)
	p.sidecar.stop(podStop)
	p.process().child.kill() // nobody is behind it any more
	return err
}

// hand asks the sidecar for a drain, and returns when it is done.
func (p *pod) hand(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.admin+"/drain", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(resp.Body) // the status says enough
		return fmt.Errorf("drain: %s: %s", resp.Status, why)
	}
	return nil
}

// restart kills the app and starts another one at its address.
func (p *pod) restart(number int) error {
	old := p.process()
	p.watched.kills(old.number)
	old.child.kill()
	app, err := startApp(p.watched, old.address, number)
	if err != nil {
		return err
	}
	p.setApp(app)
	if p.is() == podDead { // meanwhile
		app.child.kill()
	}
	return nil
}

func (p *pod) process() *appProcess {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.app
}

// runs tells whether an app, by its number, is this pod's.
func (p *pod) runs(app int) bool {
	a := p.process()
	return a != nil && a.number == app
}

func (p *pod) setApp(a *appProcess) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.app = a
}

// freePorts returns loopback addresses that nobody listens on now. The
// settings know no port 0, since a sidecar must be found.
func freePorts(n int) ([]string, error) {
	var free []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that they differ
		free = append(free, l.Addr().String())
	}
	return free, nil
}
