package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Step is a moment of a session at which a fault can be put.
type Step struct {
	Name   string
	before Kind // what leads to it, two seconds after the beginning; none: it comes by itself
	needs  bool // that
}

// Steps are those of the fault table (docs/FAULTS.md), in the order of a session's life.
var Steps = []Step{
	{Name: "the client dials"},
	{Name: "a sidecar reads the handshake"},
	{Name: "the app is dialled"},
	{Name: "the app has answered"},
	{Name: "the session is made"},
	{Name: "the handshake is answered"},
	{Name: "the journal is given the claim"},
	{Name: "the client has read WELCOME"},
	{Name: "the client says a message"},
	{Name: "a message of the client arrives"},
	{Name: "the app's socket has taken a message"},
	{Name: "the client hears an acknowledgement"},
	{Name: "the app says a message"},
	{Name: "the session has a message of the app"},
	{Name: "the client reads a message"},
	{Name: "the journal is given a record"},
	{Name: "the journal has taken a record"},
	{Name: "a connection is lost", before: Cut, needs: true},
	{Name: "a sidecar reads a resume", before: Cut, needs: true},
	{Name: "the client is passed on", before: Cut, needs: true},
	{Name: "the session was found", before: Cut, needs: true},
	{Name: "the client is attached again", before: Cut, needs: true},
	{Name: "the journal is read", before: Kill, needs: true},
	{Name: "the session is claimed", before: Kill, needs: true},
	{Name: "the claim stands", before: Kill, needs: true},
	{Name: "the session is adopted", before: Kill, needs: true},
	{Name: "the client is asked to move", before: Drain, needs: true},
	{Name: "the session is handed over", before: Drain, needs: true},
	{Name: "the hand-over is in the journal", before: Drain, needs: true},
	{Name: "the client closes", before: Leaves, needs: true},
}

// StepFaults are the faults of the table.
var StepFaults = []StepFault{
	{"reset", "The client's connection is reset.", Fault{Kind: Cut, How: 0}, whole},
	{"FIN", "The client's connection ends with a FIN.", Fault{Kind: Cut, How: 1}, whole},
	{"black hole", "Nothing arrives at the client any more, and in half of the cases nothing at the sidecar, and nobody is told.", Fault{Kind: Cut, How: 2}, whole},
	{"half-open", "Nothing arrives at the sidecar any more, and nobody is told.", Fault{Kind: Cut, How: 3}, whole},
	{"kill", "The sidecar's process is killed with its app, and another one is there after 2 s.", Fault{Kind: Kill, How: 0, For: 2 * time.Second}, crash},
	{"machine", "The sidecar's machine is gone with its app, and nobody is told.", Fault{Kind: Kill, How: 1, For: 6 * time.Second}, crash},
	{"stop", "The sidecar's process and its app stand still for 4 s, longer than their lease is safe.", Fault{Kind: Pause, For: 4 * time.Second}, whole},
	{"no journal", "Nothing that the sidecar sends to the journal arrives, for 3 s.", Fault{Kind: NoJournal, How: 0, For: 3 * time.Second}, whole},
	{"drain", "The sidecar drains and stops, in 3 s, and another one is there then.", Fault{Kind: Drain, For: 3 * time.Second}, moved},
}

// A StepFault is a fault of the table, and what is promised in spite of it.
type StepFault struct {
	Name, What string
	Fault      Fault
	Promise    string
}

const (
	whole = "every message once and in order, both ways; after a sidecar's death as *kill* says"
	crash = "what was journaled once and in order; the app's last 50 ms, and what the journal could not be given, may be missing, and is told; what is unacknowledged may come to a second app"
	moved = "every message once and in order, both ways; after a sidecar's death as *kill* says"
)

// A trigger puts a fault at the nth time of a step.
type trigger struct {
	step  string
	nth   int
	fault Fault
	taken bool
}

// StepPlan is a history of one client in which a fault meets a step.
func StepPlan(step, fault int, seed uint64) *Plan {
	s, x := &Steps[step], StepFaults[fault].Fault
	p := &Plan{
		Seed: seed, Pods: 2, Clients: 1, Length: 9 * time.Second, Every: 120 * time.Millisecond, Habits: []Habit{Habit(seed % uint64(habits-1))},
		trigger: &trigger{step: s.Name, nth: 1 + int(seed/4%3), fault: x},
	}
	if s.needs {
		p.trigger.nth = 1
		f := Fault{At: 2 * time.Second, Kind: s.before, For: 3 * time.Second}
		if !s.before.ofClient() {
			for place := range p.Pods { // wherever the session is: the other one comes a little later
				f.Who = place
				f.At += time.Duration(place) * 9 * time.Second
				p.Faults = append(p.Faults, f)
			}
			p.Length = 16 * time.Second
		} else {
			p.Faults = append(p.Faults, f)
		}
	} else if step < 8 {
		p.trigger.nth = 1
	}
	return p
}

// step notes that a session is at a step, at p or on its way there.
func (f *fleet) step(name string, c *program, p *pod) {
	t := f.plan.trigger
	if t == nil || t.taken || t.step != name {
		return
	}
	if t.nth--; t.nth > 0 {
		return
	}
	t.taken = true
	x := t.fault
	if x.Kind.ofClient() {
		x.Who = c.n
	} else if p == nil {
		if d := c.talk.newest; d != nil {
			p = d.p
		} else {
			p = f.pods[0]
		}
		x.Who = p.place
	} else {
		x.Who = p.place
	}
	f.at(f.now, func() { f.inflict(&x) })
}

// outcome is what a client noticed, in a few words.
func (t *talk) outcome() string {
	var list []string
	add := func(ok bool, what string) {
		if ok {
			list = append(list, what)
		}
	}
	add(t.resumed > 0, "resumed")
	reasons := slices.Clone(t.reasons)
	slices.Sort(reasons)
	for _, reason := range slices.Compact(reasons) {
		list = append(list, strings.ReplaceAll(reason, "_", " "))
	}
	add(t.gaps > 0, "last words missing")
	add(t.twice > 0, "came to a second app")
	add(t.lostAs != "", fmt.Sprintf("session lost (%s)", t.lostAs))
	if len(list) == 0 {
		return "nothing noticed"
	}
	return strings.Join(list, ", ")
}
