package demo

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// replaceAfter is how long a pod is missed before another one is started.
const replaceAfter = time.Second

// fleet is the demo's pods: so many of them, each replaced when it ends.
type fleet struct {
	// Immutable.
	watched  *tallies
	starter  *proc.Starter
	settings []string        // of all sidecars
	life     context.Context // ends with the demo
	end      context.CancelFunc
	work     sync.WaitGroup

	mu      sync.Mutex
	pods    [replicas]*pod
	turn    int // of the pod that the next connection goes to
	started int // pods, ever
	apps    int // and apps
	busy    bool
	resting bool // nothing is to be done with any pod any more
}

// newFleet starts the pods. They are ready when it returns.
func newFleet(ctx context.Context, w *tallies, starter *proc.Starter, journal *lab.NATS) (*fleet, error) {
	f := &fleet{watched: w, starter: starter, settings: append(journal.Settings(), podSettings()...)}
	f.life, f.end = context.WithCancel(context.Background())
	var starting sync.WaitGroup
	var errs [replicas]error
	for slot := range replicas {
		p, err := f.place(slot)
		if errs[slot] = err; err == nil {
			starting.Go(func() { errs[slot] = p.start(ctx, f.appNumber) })
		}
	}
	starting.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, errors.Join(err, f.close())
	}
	for slot := range replicas {
		f.work.Go(func() { f.watch(slot) })
	}
	return f, nil
}

// podSettings are those that all sidecars share. Heartbeats are quick, so that one can
// watch how a half-open connection is found, and a lease is as short as it may
// be.
func podSettings() []string {
	return []string{
		"WSR_TOKEN_KEYS=" + base64.StdEncoding.EncodeToString(keyring.Generate()),
		"WSR_ADOPT=auto", "WSR_LEASE_TTL=2s", fmt.Sprintf("WSR_DRAIN_SECONDS=%d", podDrain/time.Second),
		"WSR_LOG_LEVEL=error", "WSR_LOG_FORMAT=text",
		"WSR_HEARTBEAT_BASE=300ms", "WSR_HEARTBEAT_MIN=250ms", "WSR_HEARTBEAT_MAX=1s",
	}
}

// place puts a new pod into a slot.
func (f *fleet) place(slot int) (*pod, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started++
	p, err := newPod(f.started, f.watched, f.starter, f.settings)
	if err == nil {
		f.pods[slot] = p
	}
	return p, err
}

func (f *fleet) appNumber() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.apps++
	return f.apps
}

// all returns the pods as they are now.
func (f *fleet) all() [replicas]*pod {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pods
}

// ready lists where new connections may go. A pod that drains is ready for as
// long as it says so.
func (f *fleet) ready() (addresses []string) {
	for _, p := range f.all() {
		switch p.is() {
		case podUp:
			addresses = append(addresses, p.Addr)
		case podDraining:
			if p.Ready(f.life) {
				addresses = append(addresses, p.Addr)
			}
		}
	}
	return addresses
}

// inTurn lists the same, from another one on each time, so that a client that
// comes back meets another pod.
func (f *fleet) inTurn() []string {
	addresses := f.ready()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	if len(addresses) == 0 {
		return nil
	}
	first := f.turn % len(addresses)
	return append(addresses[first:], addresses[:first]...)
}

// nearest lists the same, and first the pod that has the session of a tally's
// resilient client.
func (f *fleet) nearest(t *tally) []string {
	addresses, holder := f.ready(), t.holder(resilient)
	for _, p := range f.all() {
		if i := slices.Index(addresses, p.Addr); i > 0 && p.runs(holder) {
			addresses[0], addresses[i] = addresses[i], addresses[0]
		}
	}
	return addresses
}

// podOf names the pod that an app runs in, "" if there is none.
func (f *fleet) podOf(app int) string {
	for _, p := range f.all() {
		if p.runs(app) && p.is() != podDead {
			return p.name()
		}
	}
	return ""
}

// watch shows what becomes of a slot.
func (f *fleet) watch(slot int) {
	for f.life.Err() == nil {
		if v, ok := f.all()[slot].look(f.life); ok {
			f.watched.terminal.watch(slot, v)
		}
		_ = proc.Sleep(f.life, lookEvery)
	}
}

// send lets the app that has a user's socket send a message.
func (f *fleet) send(t *tally, u user) {
	sock, ok := t.socket(u)
	if !ok {
		return
	}
	for _, p := range f.all() {
		if p.runs(lab.AppOf(sock)) {
			p.App().Send(sock) // it may be dead, which its records tell
		}
	}
}

// take picks the pod that has the session of a tally's resilient client, or else
// the first, for something to be done with it. There is none while something
// else is under way.
func (f *fleet) take(t *tally) (slot int, p *pod) {
	holder := t.holder(resilient)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy || f.resting || f.life.Err() != nil {
		return 0, nil
	}
	for i, q := range f.pods {
		if q.is() != podUp {
			return 0, nil
		}
		if q.runs(holder) {
			slot = i
		}
	}
	f.busy = true
	return slot, f.pods[slot]
}

// during does something with the pod that has the session, in the background.
// It returns false if that has to wait.
func (f *fleet) during(t *tally, act func(slot int, p *pod) error) bool {
	slot, p := f.take(t)
	if p == nil {
		return false
	}
	f.work.Go(func() {
		err := act(slot, p)
		f.mu.Lock()
		f.busy = false
		f.mu.Unlock()
		if err != nil && f.life.Err() == nil {
			f.watched.say("%s: %v", p.name(), err)
		}
	})
	return true
}

func (f *fleet) kill(t *tally) bool {
	return f.during(t, func(slot int, p *pod) error {
		f.watched.fault(killFault, "%s: killed, sidecar and app (kill -9)", p.name())
		p.kill()
		return f.replace(slot)
	})
}

func (f *fleet) drain(t *tally) bool {
	return f.during(t, func(slot int, p *pod) error {
		f.watched.fault(drainFault, "%s: drains, at most %s", p.name(), podDrain)
		p.becomes(podDraining)
		return errors.Join(p.drain(f.life), f.replace(slot))
	})
}

func (f *fleet) restart(t *tally) bool {
	return f.during(t, func(_ int, p *pod) error {
		f.watched.fault(restartFault, "%s: its app is killed and starts again", p.name())
		return p.restart(f.life, f.appNumber())
	})
}

// replace starts another pod in a slot.
func (f *fleet) replace(slot int) error {
	if proc.Sleep(f.life, replaceAfter) != nil {
		return nil //nolint:nilerr // the demo ends, and nothing is missing
	}
	p, err := f.place(slot)
	if err != nil {
		return err
	}
	if err := p.start(f.life, f.appNumber); err != nil {
		return err
	}
	f.watched.say("%s: ready", p.name())
	return nil
}

// idle reports whether nothing is done with any pod.
func (f *fleet) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.busy
}

// rest lets the pods be as they are from now on.
func (f *fleet) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resting = true
}

// close ends all pods at once.
func (f *fleet) close() error {
	f.end()
	f.work.Wait()
	for _, p := range f.all() {
		if p != nil {
			p.kill()
		}
	}
	return nil
}
