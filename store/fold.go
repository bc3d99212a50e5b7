package store

import (
	"cmp"
	"fmt"
	"slices"
)

// A Stored is one stored part as Fold takes it: with the record that it
// completes, or with the reason why it cannot be read, or with neither if it
// is not the last part of a record.
type Stored struct {
	Revision Revision
	Record   *Record
	Err      error // an owner wrote it: ErrNewer or ErrCorrupt
	Foreign  error // no owner wrote it there: it is skipped
	Parts    int   // stored parts that this stands for
}

// Fold makes a State of a chain, oldest first. It is pure. A record that
// cannot be read matters only until the next Snapshot, which replaces all
// before it. What no owner wrote counts as a part and for nothing else, unless
// nothing else is there. The error is ErrNotFound, or wraps ErrCorrupt or
// ErrNewer.
func Fold(chain []Stored) (*State, error) {
	f := folding{}
	for i := range chain {
		f.add(&chain[i])
	}
	switch {
	case f.broken != nil:
		return nil, f.broken
	case !f.seen && f.foreign != nil:
		return nil, fmt.Errorf("%w: nothing is left but what no owner wrote: %w", ErrCorrupt, f.foreign)
	case !f.seen:
		return nil, ErrNotFound
	}
	f.Gap = f.gap()
	return &f.State, nil
}

type folding struct {
	State
	seen     bool  // a record was folded
	anchored bool  // a record that needs nothing before it was folded
	broken   error // a record after the last anchor cannot be read
	foreign  error // why the newest foreign message is one

	pastHead uint32 // the last message that is in Past, or that the Snapshot's stands for
}

func (f *folding) add(s *Stored) {
	f.Revision = s.Revision
	f.SinceSnapshot += s.Parts
	switch {
	case s.Foreign != nil:
		f.foreign = s.Foreign
	case s.Err != nil:
		f.broken = s.Err
	case s.Record == nil:
	case f.seen && s.Record.Epoch < f.Epoch:
		// A fenced owner's record. Compare-and-set lets none in; if one is
		// there all the same, the higher epoch wins (I5).
	default:
		f.fold(s.Record)
	}
}

func (f *folding) fold(r *Record) {
	frames, past := f.Frames, f.Past
	if r.Kind == Snapshot || r.First {
		frames, past, f.SinceSnapshot = nil, nil, 0
		f.anchored, f.broken, f.pastHead = true, nil, r.OutAcked
	}
	frames = append(slices.Clip(frames), r.Frames...)
	context := f.Context
	f.Record, f.seen = *r, true
	switch {
	case r.Context == nil || r.ContextBehind && context == nil:
		f.Context = context // as before, or not known
	case r.ContextBehind:
		f.Context = append(slices.Clip(context), r.Context...)
	}
	f.ContextBehind = false
	if f.KeepsPast {
		f.Past = append(append(slices.Clip(past), r.Past...), acknowledged(frames, f.pastHead, r.OutAcked)...)
		f.pastHead = r.OutAcked
	}
	f.Frames = outstanding(frames, r.OutAcked)
}

// acknowledged returns the frames after from and up to acked, in their order.
func acknowledged(frames []Frame, from, acked uint32) []Frame {
	frames = slices.DeleteFunc(outstanding(slices.Clone(frames), from), func(f Frame) bool { return after(f.Seq, acked) })
	return slices.Clip(frames)
}

// gap reports whether frames after OutAcked may be missing. A chain whose
// anchor is gone proves nothing, unless nothing is outstanding and a later
// record brought the context.
func (f *folding) gap() bool {
	if !f.anchored && (f.OutHead != f.OutAcked || f.Context == nil || f.KeepsPast) {
		return true
	}
	next := f.OutAcked + 1
	for _, frame := range f.Frames {
		if frame.Seq != next {
			return true
		}
		next++
	}
	return false
}

// outstanding drops what is acknowledged and sorts the rest, each seq once: a
// retried record brings frames that are there already.
func outstanding(frames []Frame, acked uint32) []Frame {
	frames = slices.DeleteFunc(frames, func(f Frame) bool { return !after(f.Seq, acked) })
	// Counted from acked, serial numbers have an order like any other.
	byDistance := func(a, b Frame) int { return cmp.Compare(a.Seq-acked, b.Seq-acked) }
	if !slices.IsSortedFunc(frames, byDistance) {
		slices.SortStableFunc(frames, byDistance)
	}
	return slices.CompactFunc(frames, func(a, b Frame) bool { return a.Seq == b.Seq })
}

// after reports whether a comes after b in serial number arithmetic
// (RFC 1982 §3.2).
func after(a, b uint32) bool { return int32(a-b) > 0 }
