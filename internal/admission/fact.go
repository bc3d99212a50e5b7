package admission

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/store"
)

// Why a session could not be had, in words for operators (Refuse.Fact). They name
// sidecars, times and numbers, and nothing that a client or an app has said (I9).

const (
	newerToken  = "the token is"
	newerRecord = "its newest record is"
	noJournal   = "this sidecar does not have it, and there is no journal"
	unreadable  = "the journal's records of it cannot be read"
	noAnswer    = "the journal cannot be asked"
	drains      = "this sidecar drains, so that it adopts nothing"
)

// asked tells what came of asking owners, behind what was found out otherwise.
func (f *Facts) asked(found string) string {
	var said []string
	for owner, a := range f.Answers {
		said = append(said, describe(owner, a))
	}
	slices.Sort(said)
	return strings.Join(append([]string{found}, said...), "; ")
}

func describe(owner string, a Answer) string {
	name := nameOf(owner)
	switch a {
	case NotOwner:
		return name + " does not have it"
	case Refused:
		return "no process listens at the address of " + name
	case Unreachable:
		return name + " does not answer, or does not prove that it is that owner"
	}
	return name + " was not asked"
}

// nameOf is an owner as operators know it: by its address.
func nameOf(owner string) string {
	if owner == "" {
		return "an owner without a name"
	}
	return "owner " + instance.Address(owner)
}

func leaseText(s store.LeaseState) string {
	switch s {
	case store.LeaseLive:
		return "its lease is not over"
	case store.LeaseGone:
		return "its lease is over"
	case store.LeaseReleased:
		return "it has released its lease"
	}
	return "nothing is known of its lease"
}

func (f *Facts) invalidToken() string {
	if f.TokenFact != "" {
		return f.TokenFact
	}
	return "the token is not valid for this request"
}

func (f *Facts) versionText() string {
	return f.asked(fmt.Sprintf("the token has version %d, which this sidecar does not read", f.Token.Version))
}

func (f *Facts) noNewerText(what string, d time.Duration) string {
	return f.asked(fmt.Sprintf("%s of a newer version, which no sidecar that lives has read for %s", what, short(d)))
}

func (f *Facts) fasterText() string {
	return f.asked(fmt.Sprintf("another sidecar was faster, %d times", f.Looks))
}

func (f *Facts) deniedText() string {
	if f.Status != 0 {
		return fmt.Sprintf("the app answered WSR_RESUME_AUTH with %d", f.Status)
	}
	if f.DeniedFact != "" {
		return f.DeniedFact
	}
	return "the app could not tell whether the client may resume (WSR_RESUME_AUTH)"
}

func (f *Facts) handedText() string {
	if f.HandOver == HandedOver {
		return "it was being handed over, and now is: another sidecar adopts it"
	}
	return "it is being handed over, and that takes too long"
}

func (f *Facts) expiredText() string {
	return f.asked(fmt.Sprintf("the journal does not know it, and the token is past its time since %s", short(f.Now.Sub(f.Token.Expires))))
}

func (f *Facts) unheardText() string {
	return f.asked("the journal does not know it") + ", and " + leaseText(f.Owner.Lease)
}

func (f *Facts) goneText() string { return f.asked("the journal does not know it") }

func (f *Facts) endedText() string { return f.asked("the journal says that it is over") }

// errorText tells of an error of the journal's, whose words are ours or those of
// NATS.
func (f *Facts) errorText(what string, err error) string {
	return f.asked(what + ": " + err.Error())
}

func (f *Facts) epochText() string {
	return f.asked(fmt.Sprintf("the token is of epoch %d, and the journal knows epoch %d only", f.Token.Epoch, f.Record.Epoch))
}

func (f *Facts) unsentText() string {
	return f.asked(fmt.Sprintf("token %d of epoch %d was never sent", f.Token.Generation, f.Token.Epoch))
}

func (f *Facts) supersededText() string {
	return f.asked(fmt.Sprintf("token superseded: it is token %d of epoch %d, and the client is known to have token %d of epoch %d",
		f.Token.Generation, f.Token.Epoch, f.Record.Proven, f.Record.ProvenEpoch))
}

func (f *Facts) copiedText() string {
	return f.asked(fmt.Sprintf("attempt %d cannot be of the client whose highest attempt is %d: there is a copy of its token", f.Position.Attempt, f.Record.Attempt))
}

func (f *Facts) lackingText() string {
	if f.Record.Gap {
		return f.asked("the journal lacks messages that the client lacks: some were pushed out of it or never written")
	}
	return f.asked(fmt.Sprintf("the journal lacks messages that the client lacks: the client has message %d, and the journal what follows %d", f.Position.Received, f.Record.OutAcked))
}

func (f *Facts) divergedText() string {
	return f.asked(fmt.Sprintf("the client has messages up to %d of an owner of epoch %d that had been replaced by epoch %d", f.Position.Received, f.Position.Epoch, f.Record.Epoch))
}

func (f *Facts) detachedText(ttl time.Duration) string {
	away := f.Now.Sub(time.UnixMilli(f.Record.DetachedAt))
	return f.asked(fmt.Sprintf("the client was away for %s, and WSR_SESSION_TTL is %s", short(away), ttl))
}

func (f *Facts) namelessText() string {
	if f.Record.Owner == "" {
		return f.asked("the journal does not say who owns it")
	}
	return f.fasterText()
}

func (f *Facts) unreachedText() string {
	text := f.asked("the journal says that " + nameOf(f.Record.Owner) + " has it")
	if f.Owner.Unreachable >= time.Second {
		text += fmt.Sprintf(", for %s by now", short(f.Owner.Unreachable))
	}
	return text + ", and " + leaseText(f.Owner.Lease)
}

// Former tells who owned the session that is adopted, by its address, and why
// that one can be replaced.
func (p *Policy) Former(f *Facts) (owner, fact string) {
	name := f.Record.Owner
	switch owner = instance.Address(name); {
	case f.Record.Released():
		fact = nameOf(name) + " has given it up"
	case name == p.Self, instance.Others(name, p.Self):
		fact = "its owner was another process at the address of this one, and is gone"
	case f.Owner.Lease == store.LeaseReleased:
		fact = nameOf(name) + " has released its lease"
	case f.Answers[name] == Unreachable && !f.Owner.Lease.Over():
		fact = fmt.Sprintf("%s, for %s by now", describe(name, Unreachable), short(f.Owner.Unreachable))
	case f.Answers[name] == Unreachable:
		fact = describe(name, Unreachable) + ", and " + leaseText(f.Owner.Lease)
	default:
		fact = describe(name, f.Answers[name])
	}
	return owner, fact
}

// short is a duration as one reads it.
func short(d time.Duration) string {
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}
