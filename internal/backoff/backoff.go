// Package backoff spaces out the attempts to reach something that does not
// answer, so that many who lost it together do not return together.
package backoff

import "time"

// Protocol constants: no wait is outside these, whatever a Policy asks for.
const (
	// Shortest keeps a peer that refuses at once from being dialled in a loop.
	Shortest = 100 * time.Millisecond
	// Longest keeps a client from sleeping long past the return of the peer,
	// within a session's time to live.
	Longest = 30 * time.Second
)

// Defaults of Policy.
const (
	defaultBase   = Shortest
	defaultMax    = Longest
	defaultFactor = 2
	defaultJitter = 0.25
)

// Policy is how the waits grow. The zero value is the default.
type Policy struct {
	// Base is the first wait before jitter; 100 ms by default.
	Base time.Duration
	// Max is the longest wait, jitter included; 30 s by default, and at most.
	// Waits vary there too, and are then shorter on average.
	Max time.Duration
	// Factor is how much longer each wait is than the one before; 2 by
	// default. With 1 or less the wait is always Base.
	Factor float64
	// Jitter is the share by which a wait may be shorter or longer; 0.25 by
	// default, at most 1. Negative is off.
	Jitter float64
	// Attempts is how many waits there are; zero or less is no limit.
	Attempts int
}

// Backoff is the state of one series of attempts. It is not safe for
// concurrent use.
type Backoff struct {
	policy Policy
	random func() float64
	wait   float64 // the next wait before jitter, in nanoseconds
	made   int     // waits handed out; stays 0 without a limit
}

// New starts a series. random returns numbers in [0, 1), like the Float64
// method of a math/rand/v2 source, and is called once a wait unless the
// jitter is off.
func New(p Policy, random func() float64) Backoff {
	p = p.settled()
	return Backoff{policy: p, random: random, wait: p.first()}
}

// Next returns how long to wait before the next attempt. Once the policy's
// attempts are used up it returns false.
func (b *Backoff) Next() (d time.Duration, ok bool) {
	p := &b.policy
	if p.Attempts > 0 {
		if b.made == p.Attempts {
			return 0, false
		}
		b.made++
	}
	wait := b.wait
	// Capped at every step, so the thousandth attempt overflows nothing.
	b.wait = min(b.wait*p.Factor, p.longest())
	if p.Jitter > 0 {
		wait *= 1 + p.Jitter*(2*b.random()-1)
	}
	return min(max(time.Duration(wait), Shortest), p.Max), true
}

// Succeeded forgets the attempts that were counted, and keeps the length of the
// waits: it is not known yet whether what the attempt led to lasts.
func (b *Backoff) Succeeded() { b.made = 0 }

// Reset starts the series anew: what the attempt led to has lasted.
func (b *Backoff) Reset() { b.wait, b.made = b.policy.first(), 0 }

// SetMax changes the policy's Max, which must be positive.
func (b *Backoff) SetMax(d time.Duration) {
	p := &b.policy // its zeros mean what they say by now
	p.Max = min(max(d, Shortest), Longest)
	p.Base = min(p.Base, p.Max)
	b.wait = min(b.wait, b.policy.longest())
}

// first returns the first wait before jitter, and longest the longest.
func (p *Policy) first() float64   { return min(float64(p.Base), p.longest()) }
func (p *Policy) longest() float64 { return float64(p.Max) / (1 + p.Jitter) }

// settled returns p with its defaults filled in and its limits applied. The
// comparisons are written so that a number that is none falls on the safe
// side.
func (p Policy) settled() Policy {
	if p.Base <= 0 {
		p.Base = defaultBase
	}
	if p.Max <= 0 {
		p.Max = defaultMax
	}
	if p.Factor == 0 {
		p.Factor = defaultFactor
	}
	if p.Jitter == 0 {
		p.Jitter = defaultJitter
	}
	p.Max = min(max(p.Max, Shortest), Longest)
	p.Base = min(max(p.Base, Shortest), p.Max)
	if !(p.Factor >= 1) {
		p.Factor = 1
	}
	if !(p.Jitter >= 0) {
		p.Jitter = 0
	}
	p.Jitter = min(p.Jitter, 1)
	return p
}
