package store

import "errors"

// A Foreign is a message of a chain that is skipped: whoever else may write to
// the journal put it there. It fences nobody and ends no chain.
type Foreign struct {
	ID       ID
	Revision Revision
	Why      error
}

// A foreignError is the reason why a message was not written by any owner of
// its session. Is makes it ErrForeign.
type foreignError struct{ err error }

func (e *foreignError) Error() string { return ErrForeign.Error() + ": " + e.err.Error() }

func (e *foreignError) Unwrap() error { return e.err }

// Is makes errors.Is(err, ErrForeign) true.
func (e *foreignError) Is(target error) bool { return target == ErrForeign }

var (
	// errMoved is an owner's message in a place where the owner did not put it:
	// published again, or what was before it is gone.
	errMoved error = &foreignError{errors.New("not in the place where it was written")}

	// errFencedOwner is a message of an owner that had been fenced before. The
	// compare-and-set lets none in, unless the claim that fenced it was pushed
	// out of the ring.
	errFencedOwner error = &foreignError{errors.New("of an owner that was fenced before")}
)
