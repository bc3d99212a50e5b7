package idempotency

// A step is what becomes of a message that waits for its key.
type step uint8

const (
	stepClaim     step = iota // claim it, behind what was found
	stepAgain                 // the same, of one in doubt: it may act twice
	stepPass                  // it is claimed by us: the app gets it
	stepWait                  // another claims it that lives: look again
	stepRepeated              // it has acted
	stepUnderway              // another one is with the app
	stepDoubt                 // it is in doubt, and is not handed over again
	stepForbidden             // its entity is in another state
)

// facts are what a step follows from.
type facts struct {
	found     *Entry // nil: there is none
	self      Claimant
	seq       uint32
	ownerGone bool // the process that claimed it is gone
	again     bool // the rule hands over again what is in doubt
	waited    bool // another claim was waited for long enough

	// The session was handed over to us, and what its former owners claimed
	// beyond handedUp was never handed to an app.
	handed   bool
	handedUp uint32
}

// decide is the table of docs/DEVICES.md. The first row that holds decides.
func (f *facts) decide() step {
	e := f.found
	if e == nil || e.State == Free {
		return stepClaim
	}
	ours := e.By.Session == f.self.Session
	former := ours && int32(f.self.Epoch-e.By.Epoch) > 0 // it was replaced by us
	switch {
	case e.State == Done:
		return stepRepeated
	case ours && !former && e.By.Owner == f.self.Owner && e.Seq == f.seq && e.State == Claimed:
		return stepPass // the answer to our claim was lost
	case former && f.handed && e.State == Claimed && int32(e.Seq-f.handedUp) > 0:
		return stepClaim
	case e.State == Doubtful || former || f.ownerGone:
		if f.again {
			return stepAgain
		}
		return stepDoubt
	case e.State == Handed || f.waited:
		return stepUnderway
	}
	return stepWait
}
