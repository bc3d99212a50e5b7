package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A Plan is a history before it is played: all that a seed decides beside what
// networks and apps do with time.
type Plan struct {
	Seed    uint64
	Pods    int
	Clients int
	Length  time.Duration // then all is healed, and everything has to come to rest
	Skew    time.Duration // a step of how far clocks differ
	Habits  []Habit       // of each client's app
	Every   time.Duration // each client writes about as often
	Faults  []Fault

	Trace func(line string) // is told what happens; nil: nobody is

	trigger      *trigger // a fault at a step; nil: there is none
	mustNotReach string   // a path that breaks a promise, for tests
}

// A Fault is something that goes wrong.
type Fault struct {
	At   time.Duration
	Kind Kind
	Who  int           // client, or place of a pod
	How  int           // see inflict
	For  time.Duration // how long
}

// A Kind is what goes wrong.
type Kind uint8

// What happens to clients, pods and the journal.
const (
	Cut        Kind = iota // of a client's connections; How: reset, FIN, or nothing arrives any more, one way or both
	Offline                // a client has no network
	Unheard                // it is cut, and hears nothing of the answers to its handshakes
	Freeze                 // its program stands still
	Slow                   // its program reads nothing
	Wake                   // it is told that its network has changed
	Leaves                 // its program says some more, and closes
	Dismissed              // the app says some more, and closes
	Kill                   // of a pod; How: its process, or its whole machine
	Drain                  // a pod leaves, and another one comes
	Pause                  // its process stands still
	AppRestart             // How: cleanly or not
	AppSlow                // it reads nothing
	Partition              // between pods; How: to which place nothing gets
	NoJournal              // a pod and the journal; How: requests or answers are lost
	SlowJournal
	Election // of the journal's leader
	Full
	Stale // a replica is behind
	Wipe
	Forget // the journal loses the newest records
	kinds
)

var kindNames = [...]string{
	Cut: "cut", Offline: "offline", Unheard: "unheard", Freeze: "freeze", Slow: "slow", Wake: "wake", Leaves: "leaves", Dismissed: "dismissed", Kill: "kill", Drain: "drain", Pause: "pause", AppRestart: "app-restart", AppSlow: "app-slow",
	Partition: "partition", NoJournal: "no-journal", SlowJournal: "slow-journal", Election: "election", Full: "full", Stale: "stale", Wipe: "wipe", Forget: "forget",
}

func (k Kind) String() string { return kindNames[k] }

// hurtsJournal reports whether anything keeps owners from the journal, the journal from
// its records, or an owner from knowing that it is replaced.
func (p *Plan) hurtsJournal() bool {
	return p.has(NoJournal, Election, Full, Wipe, Forget, SlowJournal, Pause, Partition)
}

// losesRecords reports whether the journal loses what it has accepted.
func (p *Plan) losesRecords() bool { return p.has(Wipe, Forget) }

// hides reports whether an owner that lives may be out of reach.
func (p *Plan) hides() bool { return p.has(Pause, Partition, NoJournal) }

func (p *Plan) has(kinds ...Kind) bool {
	if p.trigger != nil && slices.Contains(kinds, p.trigger.fault.Kind) {
		return true
	}
	return slices.ContainsFunc(p.Faults, func(f Fault) bool { return slices.Contains(kinds, f.Kind) })
}

// NewPlan is the history of a seed.
func NewPlan(seed uint64) *Plan {
	r := rand.New(rand.NewPCG(seed, 2))
	p := &Plan{
		Seed: seed, Pods: 2 + r.IntN(2), Clients: 1 + r.IntN(6), Length: time.Duration(4+r.IntN(16)) * time.Second,
		Every: time.Duration(40+r.IntN(400)) * time.Millisecond,
	}
	if r.IntN(16) == 0 { // long enough for sessions to expire
		p.Length, p.Every = 90*time.Second, 4*time.Second
	}
	for range p.Clients {
		p.Habits = append(p.Habits, Habit(r.IntN(int(habits))))
	}
	if r.IntN(3) == 0 {
		p.Skew = time.Duration(r.IntN(2000)) * time.Millisecond
	}
	// A third of the histories has a journal that is well, so that nothing excuses a
	// loss; and of the others each has faults of a few kinds, so that these meet.
	well := r.IntN(3) == 0
	var allowed []Kind
	for k := range kinds {
		if (!well || !(&Plan{Faults: []Fault{{Kind: k}}}).hurtsJournal()) && r.IntN(2) == 0 {
			allowed = append(allowed, k)
		}
	}
	if len(allowed) == 0 {
		allowed = []Kind{Cut}
	}
	for range r.IntN(12) {
		f := Fault{At: time.Duration(r.Int64N(int64(p.Length))), Kind: allowed[r.IntN(len(allowed))], How: r.IntN(4), For: time.Duration(50+r.IntN(4000)) * time.Millisecond}
		if f.Kind.ofClient() {
			f.Who = r.IntN(p.Clients)
		} else {
			f.Who = r.IntN(p.Pods)
		}
		if f.Kind == Partition {
			f.How = (f.Who + 1 + r.IntN(p.Pods-1)) % p.Pods
		}
		if r.IntN(10) == 0 {
			f.For *= 5
		}
		if f.Kind == Offline && p.Length > sessionTTL {
			f.For *= 15
		}
		p.Faults = append(p.Faults, f)
	}
	slices.SortFunc(p.Faults, func(a, b Fault) int { return int(a.At - b.At) })
	return p
}

// ofClient reports whether it happens to a client.
func (k Kind) ofClient() bool { return k <= Dismissed }

func (f *Fault) String() string {
	who := "pod"
	if f.Kind.ofClient() {
		who = "client"
	}
	return fmt.Sprintf("at %v %v %s=%d how=%d for=%v", f.At, f.Kind, who, f.Who, f.How, f.For)
}
