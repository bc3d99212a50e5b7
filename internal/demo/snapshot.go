package demo

import (
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/ledger"
)

// user is one of the demo's two clients.
type user int

const (
	plain user = iota
	resilient
	users // how many there are
)

func (u user) String() string { return [...]string{"plain", "resilient"}[u] }

// direction is that of a message, as the app and its users see it.
type direction int

const (
	toClient direction = iota
	toApp
)

// count is what became of the messages of one direction. What a crash may do
// (DESIGN §4), for the resilient client only, is its Tail, the last words to and
// from an app that was killed, and Again, what a killed app and its successor
// both read.
type count struct {
	ledger.Count
	unsent int // no app had a socket of this user to write it to
}

func (c *count) add(d count) {
	c.Add(d.Count)
	c.unsent += d.unsent
}

// account is what happened to one user.
type account struct {
	counts    [2]count // by direction
	connected bool
	comebacks int           // reconnects of the plain client, resumes of the resilient one
	adoptions int           // the app's socket was a new one
	wait      time.Duration // the longest time between two messages to the client
	heard     time.Time     // when the last one came
	held      int           // how many had come before the connection broke
	broken    time.Time     // when the last of them came
}

// faultKind is a kind of what is broken on purpose.
type faultKind string

const (
	cutFault     faultKind = "cut" // of the network; in the terminal, in any way
	tunnelFault  faultKind = "tunnel"
	halfFault    faultKind = "half-open"
	slowFault    faultKind = "slow"
	killFault    faultKind = "kill"
	drainFault   faultKind = "drain"
	restartFault faultKind = "restart"
)

// note is one line of the story.
type note struct {
	at   time.Duration // since the start
	kind faultKind     // "" unless it is about one
	text string
}

const (
	// maxNotes is how many are remembered: more than come between two events
	// of the page.
	maxNotes = 32

	// shownNotes is how many a view has room for.
	shownNotes = 5
)

// replicas is how many pods there should be.
const replicas = 2

// podView is what is shown of a pod.
type podView struct {
	name, state              string
	sessions, plain, tunnels int
}

// snapshot is all that a view shows.
type snapshot struct {
	options                       options
	elapsed                       time.Duration
	keys                          bool // the terminal has some
	cuts, kills, drains, restarts int
	settling                      bool   // no more faults: what is under way may arrive
	page                          string // where a browser finds it, "" if nowhere
	watched                       bool   // a browser shows it: no automatic faults
	pods                          [replicas]podView
	accounts                      [users]account
	notes                         []note // the newest last
}

// count notes one more fault.
func (s *snapshot) count(kind faultKind) {
	switch kind {
	case cutFault, tunnelFault, halfFault:
		s.cuts++
	case killFault:
		s.kills++
	case drainFault:
		s.drains++
	case restartFault:
		s.restarts++
	}
}

// clean reports whether a user's messages all arrived as promised.
func (s *snapshot) clean(u user) bool {
	a := &s.accounts[u]
	return a.counts[toClient].Clean() && a.counts[toApp].Clean()
}
