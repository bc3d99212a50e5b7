// Package budget counts the memory that clients and apps make a sidecar keep,
// of whatever kind, against one limit (WSR_MEMORY_BUDGET).
package budget

import "sync/atomic"

// A Budget is the limit and what counts against it. It is safe for concurrent
// use.
type Budget struct {
	limit atomic.Int64
	used  atomic.Int64
}

// New returns a budget of so many bytes. Zero or less means no limit.
func New(limit int64) *Budget {
	b := new(Budget)
	b.SetLimit(limit)
	return b
}

// Limit returns the bytes that there are; zero or less means no limit.
func (b *Budget) Limit() int64 { return b.limit.Load() }

// SetLimit changes the limit. What counts already may be above it: then there is
// nothing until enough was given back.
func (b *Budget) SetLimit(limit int64) { b.limit.Store(limit) }

// Used returns the bytes that count now.
func (b *Budget) Used() int64 { return b.used.Load() }

// Take counts n bytes if there are as many left. It compares and swaps because
// add-and-undo would let a large request that fails refuse a small one of
// another session that fits.
func (b *Budget) Take(n int64) bool {
	for {
		used := b.used.Load()
		if limit := b.Limit(); limit > 0 && used+n > limit {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// Charge counts n bytes that are kept already, whatever the limit says; n below
// zero gives bytes back.
func (b *Budget) Charge(n int64) {
	if n != 0 {
		b.used.Add(n)
	}
}

// Scarce reports whether memory is nearly used up. The rest is kept for sessions
// that live.
func (b *Budget) Scarce() bool {
	limit := b.Limit()
	return limit > 0 && b.used.Load() >= limit-limit/8
}

// UsedUp reports whether nothing is left.
func (b *Budget) UsedUp() bool {
	limit := b.Limit()
	return limit > 0 && b.used.Load() >= limit
}
