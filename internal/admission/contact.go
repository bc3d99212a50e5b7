package admission

import "time"

const (
	// contactTTL is how long one attempt speaks for others: long enough for a
	// crowd that comes back at once, and below a client's patience.
	contactTTL = time.Second

	// outageTTL is how long it is remembered since when an owner cannot be
	// reached. It is far beyond any lease.
	outageTTL = 10 * time.Minute
)

// A Contact is what the last attempts to reach one owner have shown. The zero
// value knows of none.
type Contact struct {
	connected time.Time // when a process listened there last
	answered  time.Time // when it answered a request last
	outage    time.Time // when it first did not, after that; zero: it always did
	failed    time.Time // when it last did not
}

// Connected notes that a connection was made or refused: the host is there.
func (c *Contact) Connected(now time.Time) { c.connected = now }

// Answered notes that the owner answered a request.
func (c *Contact) Answered(now time.Time) {
	c.answered, c.outage, c.failed = now, time.Time{}, time.Time{}
}

// Failed notes that the owner did not answer what was begun then. When it has
// answered another request since, one session hangs there and not the sidecar.
func (c *Contact) Failed(now, began time.Time) {
	if c.answered.After(began) {
		return
	}
	if c.failed = now; c.outage.IsZero() {
		c.outage = now
	}
}

// Down reports whether the owner could not be reached just now, so that there
// is no sense in another attempt.
func (c *Contact) Down(now time.Time) bool { return fresh(c.failed, now) }

// Up reports whether a process listened there just now, so that many may try
// at once.
func (c *Contact) Up(now time.Time) bool { return fresh(c.connected, now) }

func fresh(t, now time.Time) bool { return !t.IsZero() && now.Sub(t) < contactTTL }

// UnreachableFor returns for how long the owner could not be reached, without
// an answer in between; 0 means that nothing bad is known. It is forgotten
// outageTTL after the last attempt.
func (c *Contact) UnreachableFor(now time.Time) time.Duration {
	if !c.outageKnown(now) {
		return 0
	}
	return now.Sub(c.outage)
}

func (c *Contact) outageKnown(now time.Time) bool {
	return !c.outage.IsZero() && now.Sub(c.failed) < outageTTL
}

// Forgettable reports whether the contact says nothing any more.
func (c *Contact) Forgettable(now time.Time) bool { return !c.Up(now) && !c.outageKnown(now) }
