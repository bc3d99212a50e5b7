package admission

import (
	"errors"
	"time"

	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// Next returns the step that follows from f. The quotations are the rows of
// PROTOCOL §8.5, of which the first that holds decides.
func (p *Policy) Next(f *Facts) Step {
	switch {
	case f.Token == nil:
		// "the token does not open, or is bound to another request"
		return Refuse{Reason: wire.ResetToken, Fact: f.invalidToken()}
	case f.Look == Found:
		return p.found(f)
	case f.Look == Absent:
		return p.absent(f)
	case f.Look == Replaced:
		// "the session is here, and the token is of a higher epoch"
		return Release{}
	case p.mayAsk(f, f.Token.Owner, f.Lease):
		// "the session is not here, and the token names another sidecar that
		// was not asked and is not gone": that saves the look into the journal
		// in the common case.
		return Forward{f.Token.Owner}
	case f.Token.Newer() && f.NoneNewer.Tokens >= p.LeaseTTL:
		// "the token is of a version that no sidecar which lives has read for the
		// time of a lease": all of that version were rolled back.
		return Refuse{Reason: wire.ResetToken, Fact: f.noNewerText(newerToken, f.NoneNewer.Tokens)}
	case f.Token.Newer():
		// "the token is of a version that this sidecar does not read": one of
		// that version can tell what it is worth.
		return Refuse{Reason: wire.ResetTryAgain, Fact: f.versionText()}
	}
	return p.lookAgain(f)
}

// lookAgain is for a session that may have moved since the last look.
func (p *Policy) lookAgain(f *Facts) Step {
	if f.Looks >= maxLooks {
		// "another sidecar is faster, for the fifth time"
		return Refuse{Reason: wire.ResetTryAgain, Fact: f.fasterText()}
	}
	return Look{}
}

// mayAsk reports whether the client may be passed on to an owner. A session that
// is here needs no other sidecar, none is asked twice, and "a request that was
// passed on once goes no further".
func (p *Policy) mayAsk(f *Facts, name string, lease store.LeaseState) bool {
	return name != "" && !f.Forwarded && !f.Here && !p.wasAsked(f, name, lease)
}

// wasAsked reports whether it is known what an owner with that lease answers.
// This sidecar has looked for itself, and "an owner that has released its lease,
// or has this sidecar's own address and is another process, is gone": it is not
// asked. One whose lease ran out is, since it may only be out of the journal's
// reach, and nothing of the client is said before it has proved itself.
func (p *Policy) wasAsked(f *Facts, name string, lease store.LeaseState) bool {
	return name == p.Self || instance.Others(name, p.Self) || lease == store.LeaseReleased || f.Answers[name] != 0
}

// found decides on a session that is on this sidecar.
func (p *Policy) found(f *Facts) Step {
	switch {
	case f.Unfit != 0:
		// "the session is here, and token or positions do not fit it"
		return Refuse{Reason: f.Unfit, Fact: f.UnfitFact}
	case p.Authorize && !f.Asked:
		return Authorize{}
	case f.Denied != 0:
		// "the session is here, and the app does not allow the resume, or
		// cannot tell"; of a client that was asked for a new handshake the
		// second no is final.
		return Refuse{Reason: f.Denied, Fact: f.deniedText(), Status: f.Status, Final: f.Renewing && f.Denied == wire.ResetUnauthorized}
	case f.HandOver == HandedOver && f.Forwarded:
		return Misdirect{}
	case f.HandOver != 0:
		return Refuse{Reason: wire.ResetTryAgain, Fact: f.handedText()}
	case f.Forwarded && f.Draining && !f.Unread:
		// "the session is here, this sidecar drains, and another one passed
		// the client on, with a token that all sidecars read". With another one
		// it could not adopt the session, so the client gets such a token first.
		return HandOver{}
	case !f.Forwarded && f.HandingOver:
		// "the session is here and being handed over"
		return HandOver{}
	}
	// "the session is here"
	return Attach{}
}

// absent decides on a session that is not on this sidecar.
func (p *Policy) absent(f *Facts) Step {
	switch {
	case f.Forwarded:
		// "another sidecar passed the client on"
		return Misdirect{}
	case !p.Journal:
		// "there is no journal"
		return Refuse{Reason: wire.ResetUnknown, Fact: f.asked(noJournal)}
	case !f.Loaded:
		return Load{}
	case f.LoadErr != nil:
		return p.unread(f)
	case f.Denied != 0:
		// "the app does not allow the resume, or cannot tell"
		return Refuse{Reason: f.Denied, Fact: f.deniedText(), Status: f.Status}
	case f.AdoptErr != nil:
		return f.failure(f.AdoptErr)
	}
	if r := p.adoptable(f); r.Reason != 0 {
		return r
	}
	if !f.Record.Released() {
		if !p.wasAsked(f, f.Record.Owner, f.Owner.Lease) {
			return p.ask(f, f.Record.Owner)
		}
		if !p.gone(f) {
			// "that owner cannot be reached, or what answers is not proved to be
			// it, and its lease is not over"
			return Refuse{Reason: wire.ResetTryAgain, Fact: f.unreachedText()}
		}
	}
	return p.adopt(f)
}

// unread decides on a session whose state cannot be had.
func (p *Policy) unread(f *Facts) Step {
	unheard := f.Answers[f.Token.Owner] == Unreachable && !f.Owner.Lease.Over()
	switch unknown := errors.Is(f.LoadErr, store.ErrNotFound); {
	case unknown && unheard:
		// "the journal does not know the session, and the token's owner cannot
		// be reached, or what answers is not proved to be it, and its lease is
		// not over": it may not have got to writing it down, and the token of a
		// session that lives there does not age.
		return Refuse{Reason: wire.ResetTryAgain, Fact: f.unheardText()}
	case unknown && f.Token.Expired(f.Now):
		// "the journal does not know the session, and the token is past its time"
		return Refuse{Reason: wire.ResetToken, Fact: f.expiredText()}
	case errors.Is(f.LoadErr, store.ErrNewer) && f.NoneNewer.Records >= p.LeaseTTL:
		// "a newer version wrote the newest of the session's records, and no sidecar
		// which lives has read that for the time of a lease"
		return Refuse{Reason: wire.ResetLost, Cause: f.LoadErr, Fact: f.noNewerText(newerRecord, f.NoneNewer.Records)}
	}
	return f.failure(f.LoadErr)
}

// failure is the answer for an error of the journal's.
func (f *Facts) failure(err error) Step {
	switch {
	case errors.Is(err, store.ErrEnded):
		// "the journal says that the session is over", since a moment
		return Refuse{Reason: wire.ResetUnknown, Fact: f.endedText()}
	case errors.Is(err, store.ErrNotFound):
		// "the journal does not know the session"
		return Refuse{Reason: wire.ResetUnknown, Fact: f.goneText()}
	case errors.Is(err, store.ErrCorrupt):
		// "the journal's records of the session cannot be read"
		return Refuse{Reason: wire.ResetLost, Cause: err, Fact: f.errorText(unreadable, err)}
	}
	// "the journal cannot be reached, or a newer version wrote the newest of the
	// session's records": a sidecar of that version can read it.
	return Refuse{Reason: wire.ResetTryAgain, Cause: err, Fact: f.errorText(noAnswer, err)}
}

// adoptable returns why no sidecar could adopt the session, if that is so. All of
// it is found before anything is claimed: it may be a request that was late.
func (p *Policy) adoptable(f *Facts) Refuse {
	st := f.Record
	if st.Kind == store.End {
		// "the journal says that the session is over"
		return Refuse{Reason: wire.ResetUnknown, Fact: f.endedText()}
	}
	// "the token was never sent, or the client is known to have a newer one"
	switch session.JudgeToken(st, f.Token.Epoch, f.Token.Generation, f.Position.Attempt) {
	case session.TokenNewer:
		// "the journal does not know the token's epoch"
		return Refuse{Reason: wire.ResetTryAgain, Fact: f.epochText()}
	case session.TokenUnknown:
		return Refuse{Reason: wire.ResetToken, Fact: f.unsentText()}
	case session.TokenOvertaken:
		return Refuse{Reason: wire.ResetToken, Fact: f.supersededText()}
	case session.TokenReused:
		return Refuse{Reason: wire.ResetToken, Cause: ErrTokenReused, Fact: f.supersededText()}
	case session.TokenCopied:
		return Refuse{Reason: wire.ResetToken, Cause: ErrTokenReused, Fact: f.copiedText()}
	}
	switch {
	case st.Gap, seqwindow.Less(f.Position.Received, seqwindow.Serial(st.OutAcked)):
		// "the journal lacks messages that the client lacks"
		return Refuse{Reason: wire.ResetLost, Fact: f.lackingText()}
	case session.Diverged(st, f.Position):
		// "the client has messages of an owner that had been replaced"
		return Refuse{Reason: wire.ResetLost, Fact: f.divergedText()}
	case st.DetachedAt != 0 && f.Now.Sub(time.UnixMilli(st.DetachedAt)) > p.SessionTTL:
		// "the session has been detached for longer than its TTL"
		return Refuse{Reason: wire.ResetUnknown, Fact: f.detachedText(p.SessionTTL)}
	}
	return Refuse{}
}

// ask is for "the journal names another owner that was not asked, is not gone and did not
// hand the session over".
func (p *Policy) ask(f *Facts, name string) Step {
	switch {
	case name == "" || f.Looks >= maxLooks:
		return Refuse{Reason: wire.ResetTryAgain, Fact: f.namelessText()} // it cannot be asked
	case f.Here:
		return Look{}
	}
	return Forward{name}
}

// gone reports whether an owner that was asked may be replaced. What it still
// does then is refused by the journal (I5), so a wrong answer costs the
// session its app socket and nothing else.
func (p *Policy) gone(f *Facts) bool {
	if f.Answers[f.Record.Owner] != Unreachable {
		return true
	}
	// One that lives, and cannot be reached: nor perhaps can it be by any sidecar
	// that the client gets to.
	return f.Owner.Lease.Over() || f.Owner.Lease == store.LeaseLive && f.Owner.Unreachable > p.LeaseTTL
}

// adopt takes a session over that no other sidecar has.
func (p *Policy) adopt(f *Facts) Step {
	switch {
	case f.Draining:
		// "this sidecar drains"
		return Refuse{Reason: wire.ResetTryAgain, Fact: f.asked(drains)}
	case p.Authorize && !f.Asked:
		return Authorize{}
	}
	// "none of these"
	return Adopt{}
}
