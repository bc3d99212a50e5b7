package sim

import (
	"slices"
	"time"
)

// Shrink makes a history that breaks a promise small: without faults that it does not
// need, with fewer clients and less time. It plays at most so many histories.
func Shrink(plan *Plan, plays int) (*Plan, *Broken) {
	small := *plan
	small.Trace = nil
	r := Run(&small)
	if r.Broken == nil {
		return plan, nil
	}
	why := r.Broken
	// try keeps a smaller plan if it breaks the same promise.
	try := func(p Plan) bool {
		if plays--; plays < 0 {
			return false
		}
		r := Run(&p)
		if r.Broken == nil || r.Broken.Promise != why.Promise {
			return false
		}
		small, why = p, r.Broken
		return true
	}
	for again := true; again && plays > 0; {
		again = false
		for size := max(1, len(small.Faults)/2); size >= 1; size /= 2 {
			for from := 0; from+size <= len(small.Faults); {
				p := small
				p.Faults = slices.Delete(slices.Clone(small.Faults), from, from+size)
				if try(p) {
					again = true
				} else {
					from += size
				}
			}
		}
		for small.Clients > 1 && !slices.ContainsFunc(small.Faults, func(f Fault) bool { return f.Kind.ofClient() && f.Who == small.Clients-1 }) {
			p := small
			p.Clients--
			p.Habits = p.Habits[:p.Clients]
			if !try(p) {
				break
			}
			again = true
		}
		if p := small; why.At < p.Length-time.Second {
			p.Length = why.At.Truncate(100*time.Millisecond) + 500*time.Millisecond
			p.Faults = slices.DeleteFunc(slices.Clone(p.Faults), func(f Fault) bool { return f.At > p.Length })
			again = try(p) || again
		}
		if p := small; p.Skew > 0 {
			p.Skew = 0
			again = try(p) || again
		}
		if p := small; p.Pods > 2 && !slices.ContainsFunc(p.Faults, func(f Fault) bool { return !f.Kind.ofClient() && (f.Who == 2 || f.Kind == Partition && f.How == 2) }) {
			p.Pods = 2
			again = try(p) || again
		}
	}
	return &small, why
}
