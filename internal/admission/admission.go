// Package admission decides what becomes of a client that wants its session
// back (PROTOCOL §8.5). Facts go in and one step comes out. The caller performs
// the step, notes in the facts what came of it, and asks again, until a step
// ends the resume. The package does no I/O and reads no clock.
package admission

import (
	"errors"
	"time"

	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// maxLooks bounds how often a resume looks for the session on this sidecar.
// Each look after the first follows a move of the session, which takes longer
// than a look.
const maxLooks = 5

// A Policy is what a sidecar knows of itself. It does not change, and is safe
// for concurrent use.
type Policy struct {
	Self       string        // its name in tokens and records (package instance)
	Journal    bool          // it has one, so that it can adopt sessions
	Authorize  bool          // the app is asked before each resume (WSR_RESUME_AUTH)
	SessionTTL time.Duration // how long a detached session may be resumed
	LeaseTTL   time.Duration // how long an owner whose lease lives may be out of reach, and readers of newer formats away
}

// Facts are what is known of one resume. The zero value of what a step finds
// out means that the step was not taken.
type Facts struct {
	// What the client presents. It does not change.
	Token     *wire.Token // nil: not valid for this request
	TokenFact string      // why not
	Position  session.Position
	Forwarded bool // another sidecar passed the client on

	// What is true now. The caller sets it before each Next.
	Now         time.Time
	Draining    bool             // this sidecar hands its sessions over
	Here        bool             // the session lives on this sidecar
	HandingOver bool             // and is on its way to another
	Renewing    bool             // the app refuses the handshake it has, and its client was asked for a new one
	Lease       store.LeaseState // of the owner that Token names
	Unread      bool             // a sidecar that lives does not read tokens of Token's version
	NoneNewer   NoneNewer

	// Of Forward: owners that were asked, and what came of it.
	Answers map[string]Answer

	// Of Look.
	Looks     int
	Look      LookResult
	Unfit     wire.ResetReason // why the session that was found cannot be resumed
	UnfitFact string           // in words

	// Of Load.
	Loaded  bool
	Record  *store.State
	LoadErr error
	Owner   Liveness // of the owner that Record names, or Token without a Record

	// Of Authorize.
	Asked      bool
	Denied     wire.ResetReason // why the app's answer ends the resume; 0: it does not
	Status     int              // of an app that refuses the client
	DeniedFact string           // without a status: why the app could not tell

	// Of HandOver.
	HandOver HandOverResult

	// Of Adopt.
	AdoptErr error
}

// NoneNewer is for how long no sidecar that lives has read newer versions of a
// format than this one does; 0: one may, as far as is known.
type NoneNewer struct{ Tokens, Records time.Duration }

// An Answer is what came of passing a client on to the owner of its session,
// where that did not end the resume.
type Answer uint8

const (
	// NotOwner: the owner does not have the session, its address is another
	// process's of ours by now, or leads nowhere.
	NotOwner Answer = 1 + iota
	// Refused: no process listens at its address.
	Refused
	// Unreachable: no answer in time, no route, no TLS, or no answer of a
	// sidecar. Whether the owner lives is not known.
	Unreachable
)

// A LookResult is whether the session was found on this sidecar.
type LookResult uint8

const (
	// Found: it lives here.
	Found LookResult = 1 + iota
	// Absent: it does not, and the caller has kept this sidecar from adopting
	// it for anybody else meanwhile.
	Absent
	// Replaced: it lived here, and the token is of a higher epoch: another
	// sidecar has adopted it.
	Replaced
)

// A HandOverResult is whether a session was given up in time.
type HandOverResult uint8

const (
	// HandedOver: another sidecar can adopt it.
	HandedOver HandOverResult = 1 + iota
	// HandOverLate: it is still on its way.
	HandOverLate
)

// Liveness is what is known of an owner beside its answers.
type Liveness struct {
	Lease       store.LeaseState
	Unreachable time.Duration // for how long it has not answered; 0: not known
}

// A Step is what the caller does next: one of the types below.
type Step interface{ step() }

// Steps that find something out.
type (
	// Forward passes the client on to Owner. If that takes it, the resume is
	// over; otherwise Answered notes why not.
	Forward struct{ Owner string }
	// Look looks for the session on this sidecar, and waits for a
	// resume that is adopting it here. Then comes Looked.
	Look struct{}
	// Load reads the session's state from the journal. Then comes Read.
	Load struct{}
	// Release ends the session that is here, as if the journal had refused a
	// record of it, so that neither Look nor Facts.Here find it again. Then
	// comes Released.
	Release struct{}
	// Authorize asks the app whether the client may still have its session.
	// Then comes Authorized.
	Authorize struct{}
	// HandOver gives the session that is here up, so that another sidecar can
	// adopt it. Then Facts.HandOver is set.
	HandOver struct{}
	// Adopt claims the session for this sidecar behind Facts.Record. If the
	// claim stands, the resume is over; otherwise comes AdoptFailed.
	Adopt struct{}
)

// Steps that end the resume.
type (
	// Attach joins the client with the session that was found.
	Attach struct{}
	// Misdirect tells the sidecar that forwarded the client that the session
	// is not here.
	Misdirect struct{}
	// Refuse tells the client why it cannot have its session, and the status
	// with which the app refuses it, if it does. Fact tells an operator what that
	// follows from, and Cause is the error that it does, if any. Final ends the
	// session too.
	Refuse struct {
		Reason wire.ResetReason
		Fact   string
		Cause  error
		Status int
		Final  bool
	}
)

func (Forward) step()   {}
func (Look) step()      {}
func (Load) step()      {}
func (Release) step()   {}
func (Authorize) step() {}
func (HandOver) step()  {}
func (Adopt) step()     {}
func (Attach) step()    {}
func (Misdirect) step() {}
func (Refuse) step()    {}

// ErrTokenReused is the Cause of a token that came although its client has
// shown that it has a newer one, or that two clients use: there may be a copy of
// it.
var ErrTokenReused = errors.New("admission: token was used up, or has two users")

// Answered notes what came of Forward. Where the session is has to be looked
// up again.
func (f *Facts) Answered(owner string, a Answer) {
	if f.Answers == nil {
		f.Answers = make(map[string]Answer)
	}
	f.Answers[owner] = a
	f.again()
}

// Looked notes what Look found, and if that is the session, why it cannot be
// resumed.
func (f *Facts) Looked(r LookResult, unfit wire.ResetReason, fact string) {
	f.again()
	f.Looks++
	f.Look, f.Unfit, f.UnfitFact = r, unfit, fact
}

// Released notes that the session that was here is not any more.
func (f *Facts) Released() { f.again() }

// Read notes what Load found.
func (f *Facts) Read(record *store.State, err error) {
	f.Loaded, f.Record, f.LoadErr = true, record, err
}

// OwnerInQuestion is the owner whose Liveness counts after Read.
func (f *Facts) OwnerInQuestion() string {
	if f.Record != nil {
		return f.Record.Owner
	}
	return f.Token.Owner
}

// Authorized notes what the app said, 0 is yes, and the status of a no, or why it
// could not tell.
func (f *Facts) Authorized(denied wire.ResetReason, status int, fact string) {
	f.Asked, f.Denied, f.Status, f.DeniedFact = true, denied, status, fact
}

// AdoptFailed notes why the claim does not stand.
func (f *Facts) AdoptFailed(err error) {
	if errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrLost) {
		f.again() // another sidecar was faster: look who
		return
	}
	f.AdoptErr = err
}

// again forgets where the session was.
func (f *Facts) again() {
	f.Look, f.Unfit, f.UnfitFact = 0, 0, ""
	f.Loaded, f.Record, f.LoadErr, f.Owner = false, nil, nil, Liveness{}
	f.Asked, f.Denied, f.Status, f.DeniedFact, f.HandOver = false, 0, 0, "", 0
}
