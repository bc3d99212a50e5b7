package main

import "time"

// user is one of the demo's two clients.
type user int

const (
	plain user = iota
	resilient
	users // how many there are
)

func (u user) String() string { return [...]string{"plain", "resilient"}[u] }

// userNamed returns the user of a query parameter.
func userNamed(name string) (user, bool) {
	for u := range users {
		if u.String() == name {
			return u, true
		}
	}
	return 0, false
}

// direction is that of a message, as the app and its users see it.
type direction int

const (
	toClient direction = iota
	toApp
)

// account is what happened to one user.
type account struct {
	scores    [2]score // by direction
	connected bool
	comebacks int           // reconnects of the plain client, resumes of the resilient one
	wait      time.Duration // the longest time between two messages to the client
	heard     time.Time     // when the last one came
	held      uint64        // the last one before the connection broke
	broken    time.Time     // when that one came
}

// note is one line of the story.
type note struct {
	at   time.Duration // since the start
	text string
}

// maxNotes is what a view has room for.
const maxNotes = 7

// standing is all that a view shows.
type standing struct {
	options  demoOptions
	elapsed  time.Duration
	cuts     int
	settling bool // no more cuts: what is under way may arrive
	accounts [users]account
	notes    []note // the newest last
}

// clean tells that a user's messages all arrived once and in order.
func (s *standing) clean(u user) bool {
	a := &s.accounts[u]
	return a.scores[toClient].clean() && a.scores[toApp].clean()
}
