package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/wire"
)

// A fleet is everything of one history.
type fleet struct {
	clock
	seed      uint64
	plan      *Plan
	random    *rand.Rand
	ring      *keyring.Ring
	journal   *journal
	pods      map[int]*pod // by place: who is there now, or was last
	byName    map[string]*pod
	clients   []*program
	instances int
	ending    bool // faults are over, and everything has to come to rest

	broken  *Broken
	reached map[string]int

	sessions, records, resumes, resets int
}

// A Broken is a promise that a history has broken.
type Broken struct {
	Promise string // an invariant, or what else is promised
	What    string
	Client  int // -1: none
	At      time.Duration
}

func (b *Broken) Error() string {
	return fmt.Sprintf("%s: client %d, after %v: %s", b.Promise, b.Client, b.At.Round(time.Millisecond), b.What)
}

// stopped is what a history panics with that need not go on.
type stopped struct{}

// broke notes a broken promise, the first one only, and ends the history.
func (f *fleet) broke(c *program, promise, what string) {
	if f.broken == nil {
		n := -1
		if c != nil {
			n = c.n
		}
		f.broken = &Broken{promise, what, n, f.now.Sub(began)}
	}
	panic(stopped{})
}

// fail notes what the simulated code panicked with.
func (f *fleet) fail(why any) {
	if _, ok := why.(stopped); ok {
		return
	}
	if f.broken == nil {
		f.broken = &Broken{"no panic", fmt.Sprintf("%v\n%s", why, debug.Stack()), -1, f.now.Sub(began)}
	}
}

// reach notes that a rare path was taken.
func (f *fleet) reach(what string) {
	f.reached[what]++
	f.note("%s", what)
	if what == f.plan.mustNotReach {
		f.broke(nil, "must not happen", what)
	}
}

// note says what happens, to who asked for it.
func (f *fleet) note(format string, args ...any) {
	if f.plan.Trace != nil {
		f.plan.Trace(fmt.Sprintf("%10.3fs  %s", f.now.Sub(began).Seconds(), fmt.Sprintf(format, args...)))
	}
}

func (f *fleet) newSession() (id wire.SessionID) {
	binary.BigEndian.PutUint64(id[:], f.seed)
	binary.BigEndian.PutUint32(id[12:], uint32(f.sessions))
	return id
}

// balance is the sidecar to which a load balancer sends a client's next connection; nil:
// there is none.
func (f *fleet) balance(c *program) *pod {
	var ready, others []*pod
	for place := range len(f.pods) {
		switch p := f.pods[place]; {
		case p.alive && !p.refusing && !p.paused:
			ready = append(ready, p)
		default:
			others = append(others, p)
		}
	}
	if len(others) > 0 && (len(ready) == 0 || c.random.IntN(6) == 0) { // it has not noticed yet
		return others[c.random.IntN(len(others))]
	}
	if len(ready) == 0 {
		return nil
	}
	return ready[c.random.IntN(len(ready))]
}

// testRing are the keys of every fleet.
var testRing = func() *keyring.Ring {
	r, err := keyring.New([][]byte{bytes.Repeat([]byte{7}, keyring.KeySize)})
	if err != nil {
		panic(err)
	}
	return r
}()

// A Result is what became of a history.
type Result struct {
	Broken  *Broken // nil: every promise was kept
	Reached map[string]int

	Sessions, Messages, Faults int
	Records, Resumes, Resets   int
	Time                       time.Duration // that passed in it

	Taken   bool   // the step of StepPlan was
	Outcome string // what the first client noticed
}

// Run plays a history.
func Run(plan *Plan) (result Result) {
	f := &fleet{
		clock: clock{now: began}, seed: plan.Seed, plan: plan, random: rand.New(rand.NewPCG(plan.Seed, 1)), ring: testRing,
		pods: map[int]*pod{}, byName: map[string]*pod{}, reached: map[string]int{},
	}
	f.journal = newJournal(f)
	defer func() {
		for _, p := range f.byName {
			p.alive = false
			for t := range p.tasks {
				t.stop()
			}
		}
		if r := recover(); r != nil {
			f.fail(r)
		}
		result = f.result()
	}()
	for place := range plan.Pods {
		f.newPod(place)
	}
	for n := range plan.Clients {
		f.clients = append(f.clients, newProgram(f, n))
	}
	for _, fault := range plan.Faults {
		f.at(began.Add(fault.At), func() { f.inflict(&fault) })
	}
	f.runs(plan.Length)
	f.heals()
	return result
}

// runs lets time pass as long as no promise is broken.
func (f *fleet) runs(d time.Duration) {
	end := f.now.Add(d)
	for f.broken == nil && f.now.Before(end) {
		next := f.now.Add(time.Second)
		if next.After(end) {
			next = end
		}
		if !f.runUntil(next) {
			f.broke(nil, "progress", "time stands still: something is due for ever")
		}
	}
	if f.broken != nil {
		panic(stopped{})
	}
}

func (f *fleet) result() Result {
	r := Result{
		Broken: f.broken, Reached: f.reached, Sessions: len(f.clients), Faults: len(f.plan.Faults),
		Records: f.records, Resumes: f.resumes, Resets: f.resets, Time: f.now.Sub(began),
	}
	if t := f.plan.trigger; t != nil {
		r.Taken = t.taken
	}
	if len(f.clients) > 0 && f.clients[0].talk != nil {
		r.Outcome = f.clients[0].talk.outcome()
	}
	for _, c := range f.clients {
		if c.talk != nil {
			r.Messages += int(c.talk.handed) + int(c.talk.got)
		}
	}
	return r
}
