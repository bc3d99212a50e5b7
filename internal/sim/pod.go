package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/admission"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/redial"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// What every simulated sidecar is set to: small, so that limits are met.
const (
	sessionTTL  = 40 * time.Second
	leaseTTL    = 6 * time.Second
	patience    = 800 * time.Millisecond // with an app that owes an answer
	appRetry    = 15 * time.Second
	persistWait = 50 * time.Millisecond
)

// A pod is one process of a sidecar, and the app beside it. One that is started again
// at its address is another pod.
type pod struct {
	f     *fleet
	place int
	name  string // instance@address

	alive    bool
	silent   bool // it died with its machine
	paused   bool
	pausedAt time.Time
	deferred []func() // what happens when it goes on
	stalls   int      // of the process, that others may have taken for its death
	tasks    map[*task]struct{}

	unheard    bool         // what it sends to the journal is lost
	unanswered bool         // what the journal answers it is lost
	cutFrom    map[int]bool // places to which nothing of it gets

	skew     time.Duration // of its clock
	cfg      *session.Config
	store    *store.SealedStore
	policy   admission.Policy
	random   *rand.Rand
	sessions map[wire.SessionID]*driver
	created  int
	adopting map[wire.SessionID][]func() // who waits for whoever adopts it here
	contacts map[string]*admission.Contact
	moved    []*end

	draining, refusing bool
	app                *app
	sockets            redial.Sockets
	renewed            time.Time // its lease, as far as others know
	released           bool
}

func address(place int) string { return fmt.Sprintf("10.0.0.%d:15801", place+1) }

// newPod starts a sidecar, and its app.
func (f *fleet) newPod(place int) *pod {
	f.instances++
	p := &pod{
		f: f, place: place, name: fmt.Sprintf("%08d@%s", f.instances, address(place)), alive: true,
		tasks: map[*task]struct{}{}, cutFrom: map[int]bool{}, sessions: map[wire.SessionID]*driver{}, adopting: map[wire.SessionID][]func(){},
		contacts: map[string]*admission.Contact{}, random: rand.New(rand.NewPCG(f.seed, uint64(1000+f.instances))),
		skew: time.Duration(f.random.IntN(7)-3) * f.plan.Skew, renewed: f.now,
	}
	p.store = store.NewSealedStore(&way{f.journal, p}, f.ring)
	p.store.PauseBy(pause)
	p.policy = admission.Policy{Self: p.name, Journal: true, SessionTTL: sessionTTL, LeaseTTL: leaseTTL}
	p.cfg = &session.Config{
		WindowMessages: 24, WindowBytes: 4 << 10, MaxMessage: 2 << 10, TTL: sessionTTL, TTLGoingAway: sessionTTL / 2,
		PersistAfter: persistWait, HandOverQuiet: 100 * time.Millisecond, Journal: true, JournalLimits: p.store.Limits(), Owner: p.name,
		Heartbeat: &heartbeat.Config{Base: 2 * time.Second, Min: time.Second}, Pool: seqwindow.NewPool(64 << 20),
		Buffers: new(frame.Buffers), AppBuffers: new(frame.Buffers), Random: p.random.Uint32, Token: p.token,
	}
	p.app = newApp(p)
	f.pods[place] = p
	f.byName[p.name] = p
	p.renew()
	return p
}

func (p *pod) token(t wire.Token) string {
	t.Owner, t.Issued, t.Expires = p.name, p.now(), p.now().Add(7*24*time.Hour)
	return wire.SealToken(p.f.ring, &t)
}

// now is what the clock of the process says.
func (p *pod) now() time.Time { return p.f.now.Add(p.skew) }

// run has the process do something, when it runs.
func (p *pod) run(what func()) {
	switch {
	case !p.alive:
	case p.paused:
		p.defers(what)
	default:
		what()
	}
}

func (p *pod) defers(what func()) { p.deferred = append(p.deferred, what) }

func (p *pod) soon(what func())                   { p.after(0, what) }
func (p *pod) after(d time.Duration, what func()) { p.f.after(d, func() { p.run(what) }) }

// pause stops the process for d.
func (p *pod) pause(d time.Duration) {
	if !p.alive || p.paused {
		return
	}
	p.paused, p.pausedAt = true, p.f.now
	p.f.after(d, func() {
		if !p.alive {
			return
		}
		p.paused = false
		if p.f.now.Sub(p.pausedAt) > leaseTTL/2 {
			p.stalls++
			p.f.reach("pod: it stalls for longer than its lease is safe")
		}
		list := p.deferred
		p.deferred = nil
		for _, what := range list {
			p.run(what)
		}
	})
}

// dies ends the process. Where its whole machine is gone, nobody is told.
func (p *pod) dies(silently bool) {
	if !p.alive {
		return
	}
	p.alive, p.silent, p.deferred = false, silently, nil
	for t := range p.tasks {
		t.stop()
	}
	for _, d := range p.all() {
		d.dies(silently)
	}
	for _, e := range p.moved {
		e.ends(silently)
	}
	p.app.dies(silently)
	for _, c := range p.f.clients {
		for _, l := range c.links {
			if slices.Contains(l.end.via, p) {
				l.end.cut(silently)
			}
		}
	}
}

// ends is the end of a process that had this end of a socket, or passed it on.
func (e *end) ends(silently bool) {
	e.deaf, e.over = true, true
	if silently {
		e.peer.deaf = true
		return
	}
	e.peer.f.after(e.latency, func() { e.peer.atHost(func() { e.peer.lose(true) }) })
}

// cut ends a connection in the middle. Silently, neither end learns it.
func (e *end) cut(silently bool) {
	if silently {
		e.deaf, e.peer.deaf = true, true
		return
	}
	e.breaks(true)
}

// all returns the sessions, in an order that the seed decides.
func (p *pod) all() []*driver {
	list := make([]*driver, 0, len(p.sessions))
	for _, d := range p.sessions {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *driver) int { return cmp.Compare(a.born, b.born) })
	return list
}

// renew renews the lease.
func (p *pod) renew() {
	if !p.alive || p.released {
		return
	}
	p.run(func() {
		if !p.unheard && !p.f.now.Before(p.f.journal.electing) {
			p.renewed = p.f.now
		}
	})
	p.f.after(leaseTTL/3, p.renew)
}

// lease is what this process knows of another's.
func (p *pod) lease(owner string) store.LeaseState {
	o := p.f.byName[owner]
	switch {
	case p.unheard || p.unanswered || p.f.now.Before(p.f.journal.electing):
		return store.LeaseUnknown
	case o == nil:
		return store.LeaseGone
	case o.released:
		return store.LeaseReleased
	case p.f.now.Sub(o.renewed) < leaseTTL:
		return store.LeaseLive
	}
	return store.LeaseGone
}

// reaches reports whether what this process sends gets to a place, and back.
func (p *pod) reaches(place int) bool {
	return !p.cutFrom[place] && !p.f.pods[place].cutFrom[p.place]
}

func (p *pod) contact(owner string) *admission.Contact {
	if p.contacts[owner] == nil {
		p.contacts[owner] = new(admission.Contact)
	}
	return p.contacts[owner]
}
