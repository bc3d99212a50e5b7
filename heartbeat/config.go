package heartbeat

import "time"

// Protocol constants of the interval (PROTOCOL §6.2):
//
//	clamp(base × max(1, rtt/100 ms) × (1 + 2 × min(loss, 0.99)), min, max)
const (
	referenceRTT = 100 * time.Millisecond
	lossWeight   = 2
	maxLoss      = 0.99

	// Middleboxes like to drop what was idle for 30 s or 60 s. A beat that is
	// due in the same second races the cut, so it comes a margin earlier.
	shortIdleTimeout = 30 * time.Second
	longIdleTimeout  = 60 * time.Second
	idleMargin       = time.Second
)

// Defaults of Config.
const (
	defaultBase             = 5 * time.Second
	defaultMin              = time.Second
	defaultMax              = 15 * time.Second
	defaultMisses           = 3
	defaultHandshakeTimeout = 10 * time.Second
)

// maxMisses is what a Monitor can count.
const maxMisses = 255

// Config holds the settings of a link's heartbeat. The zero value, or a nil
// pointer, is the default; so is each field that is zero or negative. One
// Config may serve any number of monitors and goroutines as long as no one
// changes it: to reload, make a new one and hand it to Monitor.Configure.
type Config struct {
	// Base is the interval of a link with a round trip of at most 100 ms and
	// no loss; 5 s by default.
	Base time.Duration
	// Min and Max bound the interval; 1 s and 15 s by default. Where they
	// contradict each other Max wins.
	Min, Max time.Duration
	// Misses is how many beats in a row may be missed before a connected link
	// is dead; 3 by default. A degraded link is dead after one.
	Misses int
	// HandshakeTimeout is how long a link may take to become connected; 10 s
	// by default.
	HandshakeTimeout time.Duration
}

// Interval returns the time between two beats on a link with this round-trip
// time and this loss (0 to 1). It lies between Min and Max, except that it
// keeps a second away from 30 s and from 60 s, towards the shorter side, even
// where that is below Min.
func (c *Config) Interval(rtt time.Duration, loss float64) time.Duration {
	s := c.settled()
	slow := max(1, float64(rtt)/float64(referenceRTT))
	lossy := 1 + lossWeight*min(loss, maxLoss)

	// Compared as floats first: the product of a long base and a slow link
	// need not fit a Duration. Whole milliseconds are what WELCOME can tell.
	interval := s.Max
	if wanted := float64(s.Base) * slow * lossy; wanted < float64(s.Max) {
		whole := time.Duration(wanted).Round(time.Millisecond)
		interval = min(max(whole, s.Min), s.Max)
	}
	for _, timeout := range [...]time.Duration{shortIdleTimeout, longIdleTimeout} {
		if (interval - timeout).Abs() < idleMargin {
			return timeout - idleMargin
		}
	}
	return interval
}

// settled returns c with its defaults filled in.
func (c *Config) settled() Config {
	var s Config
	if c != nil {
		s = *c
	}
	s.Base = positive(s.Base, defaultBase)
	s.Min = positive(s.Min, defaultMin)
	s.Max = positive(s.Max, defaultMax)
	s.Misses = min(positive(s.Misses, defaultMisses), maxMisses)
	s.HandshakeTimeout = positive(s.HandshakeTimeout, defaultHandshakeTimeout)
	return s
}

// positive returns given, or the default where nothing usable was given.
func positive[T int | time.Duration](given, standard T) T {
	if given > 0 {
		return given
	}
	return standard
}
