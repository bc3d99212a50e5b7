package admission

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

const (
	self   = "AAAAAAAAAAA@10.0.0.1:8080"
	former = "BBBBBBBBBBB@10.0.0.1:8080" // at the address of self
	owner  = "CCCCCCCCCCC@10.0.0.2:8080"
	third  = "DDDDDDDDDDD@10.0.0.3:8080"
)

var now = time.Unix(1_800_000_000, 0)

func policy() *Policy {
	return &Policy{Self: self, Journal: true, SessionTTL: time.Minute, LeaseTTL: 20 * time.Second}
}

// facts are those of a client that came with the third token of owner, after
// the owner was asked and answered a.
func facts(a Answer) *Facts {
	f := &Facts{
		Now:      now,
		Token:    &wire.Token{Owner: owner, Epoch: 1, Generation: 3, Expires: now.Add(time.Hour)},
		Position: session.Position{Received: 10, Next: 5},
	}
	if a != 0 {
		f.Answered(owner, a)
	}
	return f
}

// record is what owner wrote of the session.
func record() *store.State {
	return &store.State{Revision: 7, Record: store.Record{
		Kind: store.Delta, Epoch: 1, Owner: owner, Writer: 5, ProvenEpoch: 1, Proven: 3, OutAcked: 10, OutHead: 12,
	}}
}

// adoptedAt makes st a record of the owner that has adopted the session behind
// the outbound message base, and f a client that does not know.
func adoptedAt(st *store.State, f *Facts, base uint32) {
	st.Epoch, st.OutAcked, st.OutHead = 2, 8, 20
	st.Base, st.FirstBase = base, base
	f.Position.Epoch = 1
}

// here is a session that is on this sidecar.
func here(f *Facts) {
	f.Here = true
	f.Looked(Found, 0, "")
}

// alone makes f know that no sidecar has read newer formats for as long as counts.
func alone(f *Facts) { f.NoneNewer = NoneNewer{Tokens: 20 * time.Second, Records: 20 * time.Second} }

// read makes f know the journal's record.
func read(f *Facts, st *store.State, err error) {
	f.Looked(Absent, 0, "")
	f.Read(st, err)
}

// A row is one of PROTOCOL §8.5, by its own words.
type row struct {
	finds  string
	client string
	cases  []example
}

// An example is one way in which a row holds: what is done to the policy and
// to the facts after the owner has answered, and the step that follows.
type example struct {
	answer Answer
	given  func(p *Policy, f *Facts)
	want   Step
}

var rows = []row{
	{"the token does not open, or is bound to another request", "RESET 2", []example{
		{0, func(_ *Policy, f *Facts) { f.Token = nil }, Refuse{Reason: wire.ResetToken}},
	}},
	{"the session is not here, and the token names another sidecar that was not asked and is not gone", "is passed on", []example{
		{0, func(*Policy, *Facts) {}, Forward{owner}},
		{0, func(_ *Policy, f *Facts) { f.Lease = store.LeaseLive }, Forward{owner}},
		{0, func(_ *Policy, f *Facts) { f.Lease = store.LeaseGone }, Forward{owner}}, // it may be out of the journal's reach
		{0, func(_ *Policy, f *Facts) { f.Lease = store.LeaseReleased }, Look{}},
		{0, func(_ *Policy, f *Facts) { f.Token.Owner = former }, Look{}},
		{0, func(_ *Policy, f *Facts) { f.Token.Owner = former; f.Lease = store.LeaseLive }, Look{}},
		{0, func(p *Policy, _ *Facts) { p.Journal = false }, Forward{owner}},
		{0, func(_ *Policy, f *Facts) { f.Draining = true }, Forward{owner}},
		{0, func(_ *Policy, f *Facts) { f.Here = true }, Look{}},
		{0, func(_ *Policy, f *Facts) { f.Forwarded = true }, Look{}},
		{0, func(_ *Policy, f *Facts) { f.Token.Owner = self }, Look{}},
		{0, func(_ *Policy, f *Facts) { f.Token.Owner = "" }, Look{}},
		{NotOwner, func(*Policy, *Facts) {}, Look{}},
	}},
	{"the token is of a version that no sidecar which lives has read for the time of a lease", "RESET 2", []example{
		{0, func(_ *Policy, f *Facts) { alone(f); f.Token.Version = 255 }, Forward{owner}}, // which may live
		{0, func(_ *Policy, f *Facts) { alone(f); f.Token.Version = 255; f.Token.Owner = third }, Forward{third}},
		{Unreachable, func(_ *Policy, f *Facts) { alone(f); f.Token.Version = 255 }, Refuse{Reason: wire.ResetToken}},
		{NotOwner, func(_ *Policy, f *Facts) { alone(f); f.Token.Version = 255 }, Refuse{Reason: wire.ResetToken}},
		{Refused, func(_ *Policy, f *Facts) { alone(f); f.Token.Version = 255; f.Lease = store.LeaseGone }, Refuse{Reason: wire.ResetToken}},
		{0, func(_ *Policy, f *Facts) { alone(f); f.Token.Version = 255; f.Here = true }, Refuse{Reason: wire.ResetToken}},
		{0, func(_ *Policy, f *Facts) { alone(f); f.Token.Version = 255; f.Forwarded = true }, Refuse{Reason: wire.ResetToken}},
		{0, func(_ *Policy, f *Facts) { alone(f); f.Token.Version = 255; f.Token.Owner = "" }, Refuse{Reason: wire.ResetToken}},
		{0, func(_ *Policy, f *Facts) { alone(f); f.Token.Version = 255; f.Token.Owner = former }, Refuse{Reason: wire.ResetToken}},
		{0, func(_ *Policy, f *Facts) { alone(f); f.Token.Version = 255; f.Lease = store.LeaseReleased }, Refuse{Reason: wire.ResetToken}},
		{0, func(p *Policy, f *Facts) {
			p.Journal = false
			alone(f)
			f.Token.Version, f.Token.Owner = 255, former
		}, Refuse{Reason: wire.ResetToken}},
		{0, func(_ *Policy, f *Facts) { // tokens, not records, decide
			f.NoneNewer.Records = time.Hour
			f.Token.Version, f.Token.Owner = 255, former
		}, Refuse{Reason: wire.ResetTryAgain}},
		{0, func(_ *Policy, f *Facts) {
			f.NoneNewer.Tokens = 20*time.Second - 1
			f.Token.Version, f.Token.Owner = 255, former
		}, Refuse{Reason: wire.ResetTryAgain}},
		{NotOwner, func(_ *Policy, f *Facts) { alone(f) }, Look{}}, // a token that this sidecar reads
	}},
	{"the token is of a version that this sidecar does not read", "RESET 5", []example{
		{0, func(_ *Policy, f *Facts) { f.Token.Version = 255 }, Forward{owner}}, // which can
		{0, func(_ *Policy, f *Facts) { f.Token.Version = 255; f.Token.Owner = third }, Forward{third}},
		{Unreachable, func(_ *Policy, f *Facts) { f.Token.Version = 255 }, Refuse{Reason: wire.ResetTryAgain}},
		{NotOwner, func(_ *Policy, f *Facts) { f.Token.Version = 255 }, Refuse{Reason: wire.ResetTryAgain}},
		{Refused, func(_ *Policy, f *Facts) { f.Token.Version = 255; f.Lease = store.LeaseGone }, Refuse{Reason: wire.ResetTryAgain}},
		{0, func(_ *Policy, f *Facts) { f.Token.Version = 255; f.Here = true }, Refuse{Reason: wire.ResetTryAgain}},
		{0, func(_ *Policy, f *Facts) { f.Token.Version = 255; f.Forwarded = true }, Refuse{Reason: wire.ResetTryAgain}},
		{0, func(_ *Policy, f *Facts) { f.Token.Version = 255; f.Token.Owner = "" }, Refuse{Reason: wire.ResetTryAgain}},
		{0, func(_ *Policy, f *Facts) { f.Token.Version = 255; f.Token.Owner = former }, Refuse{Reason: wire.ResetTryAgain}},
		{0, func(_ *Policy, f *Facts) { f.Token.Version = 255; f.Lease = store.LeaseReleased }, Refuse{Reason: wire.ResetTryAgain}},
		{0, func(_ *Policy, f *Facts) { f.Token.Version = 255; f.Token.Expires = now; f.Lease = store.LeaseReleased }, Refuse{Reason: wire.ResetTryAgain}},
	}},
	{"the session is here, and the token is of a higher epoch", "this sidecar lets go of it, and looks again", []example{
		{0, func(_ *Policy, f *Facts) { f.Looked(Replaced, 0, "") }, Release{}},
		{0, func(_ *Policy, f *Facts) { f.Looked(Replaced, 0, ""); f.Forwarded = true }, Release{}},
		{0, func(_ *Policy, f *Facts) { f.Looked(Replaced, 0, ""); f.Draining = true }, Release{}},
		{0, func(p *Policy, f *Facts) { p.Journal = false; f.Looked(Replaced, 0, "") }, Release{}},
		{0, func(_ *Policy, f *Facts) { f.Looked(Replaced, 0, ""); f.Released() }, Forward{owner}},
		{0, func(_ *Policy, f *Facts) { f.Looked(Replaced, 0, ""); f.Released(); f.Forwarded = true }, Look{}},
		{0, func(_ *Policy, f *Facts) { f.Token.Owner = self; f.Looked(Replaced, 0, ""); f.Released() }, Look{}},
		{NotOwner, func(_ *Policy, f *Facts) { f.Looked(Replaced, 0, ""); f.Released() }, Look{}},
	}},
	{"the session is here, and token or positions do not fit it", "RESET 1, 2, 3 or 5", []example{
		{0, func(_ *Policy, f *Facts) { f.Looked(Found, wire.ResetUnknown, "it does not fit") }, Refuse{Reason: wire.ResetUnknown}},
		{0, func(_ *Policy, f *Facts) { f.Looked(Found, wire.ResetToken, "it does not fit") }, Refuse{Reason: wire.ResetToken}},
		{0, func(_ *Policy, f *Facts) { f.Looked(Found, wire.ResetLost, "it does not fit") }, Refuse{Reason: wire.ResetLost}},
		{0, func(_ *Policy, f *Facts) { f.Looked(Found, wire.ResetTryAgain, "it does not fit") }, Refuse{Reason: wire.ResetTryAgain}},
		{0, func(p *Policy, f *Facts) { p.Authorize = true; f.Looked(Found, wire.ResetLost, "it does not fit") }, Refuse{Reason: wire.ResetLost}},
	}},
	{"the session is here, and the app does not allow the resume, or cannot tell (`WSR_RESUME_AUTH`)", "RESET 4 or 5", []example{
		{0, func(p *Policy, f *Facts) { p.Authorize = true; here(f) }, Authorize{}},
		{0, func(p *Policy, f *Facts) { p.Authorize = true; here(f); f.HandingOver = true }, Authorize{}},
		{0, func(p *Policy, f *Facts) { p.Authorize = true; here(f); f.Authorized(wire.ResetUnauthorized, 403, "") }, Refuse{Reason: wire.ResetUnauthorized, Status: 403}},
		{0, func(p *Policy, f *Facts) { p.Authorize = true; here(f); f.Authorized(wire.ResetTryAgain, 0, "") }, Refuse{Reason: wire.ResetTryAgain}},
		{0, func(p *Policy, f *Facts) {
			p.Authorize = true
			here(f)
			f.Renewing = true
			f.Authorized(wire.ResetUnauthorized, 401, "")
		}, Refuse{Reason: wire.ResetUnauthorized, Status: 401, Final: true}},
		{0, func(p *Policy, f *Facts) {
			p.Authorize = true
			here(f)
			f.Renewing = true
			f.Authorized(wire.ResetTryAgain, 0, "")
		}, Refuse{Reason: wire.ResetTryAgain}},
	}},
	{"the session is here, this sidecar drains, and another one passed the client on, with a token that all sidecars read", "421 to that one, once the session is handed over", []example{
		{0, func(_ *Policy, f *Facts) { here(f); f.Forwarded, f.Draining = true, true }, HandOver{}},
		{0, func(p *Policy, f *Facts) {
			p.Authorize = true
			here(f)
			f.Forwarded, f.Draining = true, true
			f.Authorized(0, 0, "")
		}, HandOver{}},
		{0, func(_ *Policy, f *Facts) { here(f); f.Forwarded, f.Draining = true, true; f.HandOver = HandedOver }, Misdirect{}},
		{0, func(_ *Policy, f *Facts) { here(f); f.Forwarded, f.Draining = true, true; f.HandOver = HandOverLate }, Refuse{Reason: wire.ResetTryAgain}},
	}},
	{"the session is here and being handed over", "RESET 5, once that is done", []example{
		{0, func(_ *Policy, f *Facts) { here(f); f.Draining, f.HandingOver = true, true }, HandOver{}},
		{0, func(_ *Policy, f *Facts) { here(f); f.HandingOver = true; f.HandOver = HandedOver }, Refuse{Reason: wire.ResetTryAgain}},
		{0, func(_ *Policy, f *Facts) { here(f); f.HandingOver = true; f.HandOver = HandOverLate }, Refuse{Reason: wire.ResetTryAgain}},
	}},
	{"the session is here", "WELCOME *resumed*", []example{
		{0, func(_ *Policy, f *Facts) { here(f) }, Attach{}},
		{0, func(_ *Policy, f *Facts) { here(f); f.Forwarded = true }, Attach{}},
		{0, func(_ *Policy, f *Facts) { here(f); f.Forwarded, f.Draining, f.Unread = true, true, true }, Attach{}},
		{0, func(_ *Policy, f *Facts) { here(f); f.Draining = true }, Attach{}},
		{0, func(p *Policy, f *Facts) { p.Journal = false; here(f) }, Attach{}},
		{0, func(p *Policy, f *Facts) { p.Authorize = true; here(f); f.Authorized(0, 0, "") }, Attach{}},
	}},
	{"another sidecar passed the client on", "421 to that one", []example{
		{0, func(_ *Policy, f *Facts) { f.Forwarded = true; f.Looked(Absent, 0, "") }, Misdirect{}},
		{0, func(p *Policy, f *Facts) { p.Journal = false; f.Forwarded = true; f.Looked(Absent, 0, "") }, Misdirect{}},
	}},
	{"there is no journal", "RESET 1", []example{
		{NotOwner, func(p *Policy, f *Facts) { p.Journal = false; f.Looked(Absent, 0, "") }, Refuse{Reason: wire.ResetUnknown}},
	}},
	{"the journal does not know the session, and the token's owner cannot be reached, or what answers is not proved to be it, and its lease is not over", "RESET 5", []example{
		{Unreachable, func(_ *Policy, f *Facts) { f.Looked(Absent, 0, "") }, Load{}},
		{Unreachable, func(_ *Policy, f *Facts) { read(f, nil, store.ErrNotFound) }, Refuse{Reason: wire.ResetTryAgain}},
		{Unreachable, func(_ *Policy, f *Facts) { read(f, nil, store.ErrNotFound); f.Owner.Lease = store.LeaseLive }, Refuse{Reason: wire.ResetTryAgain}},
		{Unreachable, func(_ *Policy, f *Facts) {
			f.Token.Expires = now
			read(f, nil, store.ErrNotFound)
			f.Owner.Lease = store.LeaseLive
		}, Refuse{Reason: wire.ResetTryAgain}},
	}},
	{"the journal does not know the session, and the token is past its time", "RESET 2", []example{
		{Unreachable, func(_ *Policy, f *Facts) {
			f.Token.Expires = now
			read(f, nil, store.ErrNotFound)
			f.Owner.Lease = store.LeaseGone
		}, Refuse{Reason: wire.ResetToken}},
		{0, func(_ *Policy, f *Facts) {
			f.Token.Expires = now
			f.Token.Owner = former
			read(f, nil, store.ErrNotFound)
		}, Refuse{Reason: wire.ResetToken}},
		{NotOwner, func(_ *Policy, f *Facts) { f.Token.Expires = now; read(f, nil, store.ErrNotFound) }, Refuse{Reason: wire.ResetToken}},
	}},
	{"the journal does not know the session", "RESET 1", []example{
		{NotOwner, func(_ *Policy, f *Facts) { read(f, nil, store.ErrNotFound) }, Refuse{Reason: wire.ResetUnknown}},
		{Refused, func(_ *Policy, f *Facts) { read(f, nil, store.ErrNotFound); f.Owner.Lease = store.LeaseLive }, Refuse{Reason: wire.ResetUnknown}},
		{Unreachable, func(_ *Policy, f *Facts) { read(f, nil, store.ErrNotFound); f.Owner.Lease = store.LeaseGone }, Refuse{Reason: wire.ResetUnknown}},
		{0, func(_ *Policy, f *Facts) { f.Token.Owner = self; read(f, nil, store.ErrNotFound) }, Refuse{Reason: wire.ResetUnknown}},
		{0, func(_ *Policy, f *Facts) { f.Token.Owner = former; read(f, nil, store.ErrNotFound) }, Refuse{Reason: wire.ResetUnknown}},
		{0, func(_ *Policy, f *Facts) {
			f.Lease = store.LeaseReleased
			read(f, nil, store.ErrNotFound)
			f.Owner.Lease = store.LeaseReleased
		}, Refuse{Reason: wire.ResetUnknown}},
		{NotOwner, func(_ *Policy, f *Facts) { read(f, record(), nil); f.AdoptFailed(store.ErrEnded) }, Refuse{Reason: wire.ResetUnknown}},
	}},
	{"the journal's records of the session cannot be read", "RESET 3", []example{
		{NotOwner, func(_ *Policy, f *Facts) { read(f, nil, store.ErrCorrupt) }, Refuse{Reason: wire.ResetLost, Cause: store.ErrCorrupt}},
		{NotOwner, func(_ *Policy, f *Facts) { read(f, record(), nil); f.AdoptFailed(store.ErrCorrupt) }, Refuse{Reason: wire.ResetLost, Cause: store.ErrCorrupt}},
	}},
	{"a newer version wrote the newest of the session's records, and no sidecar which lives has read that for the time of a lease", "RESET 3", []example{
		{NotOwner, func(_ *Policy, f *Facts) { alone(f); read(f, nil, store.ErrNewer) }, Refuse{Reason: wire.ResetLost, Cause: store.ErrNewer}},
		{Unreachable, func(_ *Policy, f *Facts) { alone(f); read(f, nil, store.ErrNewer) }, Refuse{Reason: wire.ResetLost, Cause: store.ErrNewer}},
		{NotOwner, func(_ *Policy, f *Facts) {
			f.NoneNewer.Records = 20*time.Second - 1
			read(f, nil, store.ErrNewer)
		}, Refuse{Reason: wire.ResetTryAgain, Cause: store.ErrNewer}},
		{NotOwner, func(_ *Policy, f *Facts) {
			f.NoneNewer.Tokens = time.Hour
			read(f, nil, store.ErrNewer)
		}, Refuse{Reason: wire.ResetTryAgain, Cause: store.ErrNewer}},
		{NotOwner, func(_ *Policy, f *Facts) { alone(f); read(f, nil, store.ErrUnavailable) }, Refuse{Reason: wire.ResetTryAgain, Cause: store.ErrUnavailable}},
		{NotOwner, func(_ *Policy, f *Facts) { alone(f); read(f, record(), nil) }, Adopt{}},
	}},
	{"the journal cannot be reached, or a newer version wrote the newest of the session's records", "RESET 5", []example{
		{NotOwner, func(_ *Policy, f *Facts) { read(f, nil, store.ErrUnavailable) }, Refuse{Reason: wire.ResetTryAgain, Cause: store.ErrUnavailable}},
		{NotOwner, func(_ *Policy, f *Facts) { read(f, nil, store.ErrNewer) }, Refuse{Reason: wire.ResetTryAgain, Cause: store.ErrNewer}},
		{NotOwner, func(_ *Policy, f *Facts) { read(f, record(), nil); f.AdoptFailed(store.ErrUnavailable) }, Refuse{Reason: wire.ResetTryAgain, Cause: store.ErrUnavailable}},
		{NotOwner, func(_ *Policy, f *Facts) { read(f, record(), nil); f.AdoptFailed(store.ErrFull) }, Refuse{Reason: wire.ResetTryAgain, Cause: store.ErrFull}},
		{NotOwner, func(_ *Policy, f *Facts) { read(f, nil, context.Canceled) }, Refuse{Reason: wire.ResetTryAgain, Cause: context.Canceled}},
	}},
	{"the journal says that the session is over", "RESET 1", []example{
		{NotOwner, func(_ *Policy, f *Facts) { st := record(); st.Kind = store.End; read(f, st, nil) }, Refuse{Reason: wire.ResetUnknown}},
	}},
	{"the journal does not know the token's epoch", "RESET 5", []example{
		{NotOwner, func(_ *Policy, f *Facts) { f.Token.Epoch = 2; read(f, record(), nil) }, Refuse{Reason: wire.ResetTryAgain}},
		{Unreachable, func(_ *Policy, f *Facts) { f.Token.Epoch = 2; read(f, record(), nil) }, Refuse{Reason: wire.ResetTryAgain}},
	}},
	{"the token was never sent, or the client is known to have a newer one (§8.4)", "RESET 2", []example{
		{NotOwner, func(_ *Policy, f *Facts) { f.Token.Epoch = 0; read(f, record(), nil) }, Refuse{Reason: wire.ResetToken, Cause: ErrTokenReused}},
		{NotOwner, func(_ *Policy, f *Facts) { f.Token.Generation = 2; read(f, record(), nil) }, Refuse{Reason: wire.ResetToken, Cause: ErrTokenReused}},
		{NotOwner, func(_ *Policy, f *Facts) {
			st := record()
			st.Epoch, st.ProvenEpoch, st.Proven = 2, 2, 0
			read(f, st, nil)
		}, Refuse{Reason: wire.ResetToken, Cause: ErrTokenReused}},
		{NotOwner, func(_ *Policy, f *Facts) {
			st := record()
			st.Proven, st.OutAcked = 4, 11
			read(f, st, nil)
		}, Refuse{Reason: wire.ResetToken, Cause: ErrTokenReused}},
		{NotOwner, func(_ *Policy, f *Facts) { // made before the client had the newer one
			st := record()
			st.Attempt, f.Position.Attempt, f.Token.Generation = 4, 4, 2
			read(f, st, nil)
		}, Refuse{Reason: wire.ResetToken}},
		{NotOwner, func(_ *Policy, f *Facts) {
			st := record()
			st.Attempt, f.Position.Attempt, f.Token.Generation = 4, 5, 2
			read(f, st, nil)
		}, Refuse{Reason: wire.ResetToken, Cause: ErrTokenReused}},
		{NotOwner, func(_ *Policy, f *Facts) { // no client can have tried so often
			st := record()
			st.Attempt, f.Position.Attempt = 4, 5+1<<20
			read(f, st, nil)
		}, Refuse{Reason: wire.ResetToken, Cause: ErrTokenReused}},
		{0, func(_ *Policy, f *Facts) { f.Token.Owner = ""; f.Token.Generation = 2; read(f, record(), nil) }, Refuse{Reason: wire.ResetToken, Cause: ErrTokenReused}},
	}},
	{"the journal lacks messages that the client lacks", "RESET 3", []example{
		{NotOwner, func(_ *Policy, f *Facts) { st := record(); st.Gap = true; read(f, st, nil) }, Refuse{Reason: wire.ResetLost}},
		{NotOwner, func(_ *Policy, f *Facts) { f.Position.Received = 9; read(f, record(), nil) }, Refuse{Reason: wire.ResetLost}},
	}},
	{"the client has messages of an owner that had been replaced (§8.2)", "RESET 3", []example{
		{NotOwner, func(_ *Policy, f *Facts) { st := record(); adoptedAt(st, f, 9); read(f, st, nil) }, Refuse{Reason: wire.ResetLost}},
		{NotOwner, func(_ *Policy, f *Facts) { st := record(); adoptedAt(st, f, 10); read(f, st, nil) }, Adopt{}},
		{NotOwner, func(_ *Policy, f *Facts) {
			st := record()
			adoptedAt(st, f, 9)
			f.Token.Epoch, f.Position.Epoch = 2, 2
			read(f, st, nil)
		}, Adopt{}},
		{NotOwner, func(_ *Policy, f *Facts) { // adopted twice, and the client knows of neither
			st := record()
			adoptedAt(st, f, 12)
			st.Epoch, st.FirstBase = 3, 9
			read(f, st, nil)
		}, Refuse{Reason: wire.ResetLost}},
		{NotOwner, func(_ *Policy, f *Facts) { // of the first it knows
			st := record()
			adoptedAt(st, f, 12)
			st.Epoch, st.FirstBase = 3, 9
			f.Token.Epoch, f.Position.Epoch = 2, 2
			read(f, st, nil)
		}, Adopt{}},
	}},
	{"the session has been detached for longer than its TTL", "RESET 1", []example{
		{NotOwner, func(_ *Policy, f *Facts) {
			st := record()
			st.DetachedAt = now.Add(-time.Minute - time.Millisecond).UnixMilli()
			read(f, st, nil)
		}, Refuse{Reason: wire.ResetUnknown}},
		{NotOwner, func(_ *Policy, f *Facts) {
			st := record()
			st.DetachedAt = now.Add(-time.Minute).UnixMilli()
			read(f, st, nil)
		}, Adopt{}},
	}},
	{"the journal names another owner that was not asked, is not gone and did not hand the session over", "is passed on", []example{
		{0, func(_ *Policy, f *Facts) { f.Token.Owner = former; read(f, record(), nil) }, Forward{owner}},
		{NotOwner, func(_ *Policy, f *Facts) {
			st := record()
			st.Owner = third
			read(f, st, nil)
			f.Owner.Lease = store.LeaseGone
		}, Forward{third}},
		{NotOwner, func(_ *Policy, f *Facts) { st := record(); st.Owner = third; read(f, st, nil) }, Forward{third}},
		{NotOwner, func(_ *Policy, f *Facts) { st := record(); st.Owner = third; read(f, st, nil); f.Here = true }, Look{}},
		{NotOwner, func(_ *Policy, f *Facts) { st := record(); st.Owner = ""; read(f, st, nil) }, Refuse{Reason: wire.ResetTryAgain}},
		{NotOwner, func(_ *Policy, f *Facts) { st := record(); st.Owner, st.Handed = third, true; read(f, st, nil) }, Adopt{}},
	}},
	{"that owner cannot be reached, or what answers is not proved to be it, and its lease is not over; nor has it been out of reach for longer than a lease", "RESET 5", []example{
		{Unreachable, func(_ *Policy, f *Facts) { read(f, record(), nil) }, Refuse{Reason: wire.ResetTryAgain}},
		{Unreachable, func(_ *Policy, f *Facts) { read(f, record(), nil); f.Owner.Unreachable = time.Hour }, Refuse{Reason: wire.ResetTryAgain}},
		{Unreachable, func(_ *Policy, f *Facts) { read(f, record(), nil); f.Owner.Lease = store.LeaseLive }, Refuse{Reason: wire.ResetTryAgain}},
		{Unreachable, func(_ *Policy, f *Facts) {
			read(f, record(), nil)
			f.Owner = Liveness{store.LeaseLive, 20 * time.Second}
		}, Refuse{Reason: wire.ResetTryAgain}},
		{Unreachable, func(_ *Policy, f *Facts) {
			read(f, record(), nil)
			f.Owner = Liveness{store.LeaseLive, 20*time.Second + 1}
		}, Adopt{}},
		{Unreachable, func(_ *Policy, f *Facts) { read(f, record(), nil); f.Owner.Lease = store.LeaseGone }, Adopt{}},
		{Refused, func(_ *Policy, f *Facts) { read(f, record(), nil); f.Owner.Lease = store.LeaseLive }, Adopt{}},
		{NotOwner, func(_ *Policy, f *Facts) { read(f, record(), nil); f.Owner.Lease = store.LeaseLive }, Adopt{}},
		{Unreachable, func(_ *Policy, f *Facts) {
			st := record()
			st.Handed = true
			read(f, st, nil)
			f.Owner.Lease = store.LeaseLive
		}, Adopt{}},
	}},
	{"this sidecar drains", "RESET 5", []example{
		{NotOwner, func(_ *Policy, f *Facts) { read(f, record(), nil); f.Draining = true }, Refuse{Reason: wire.ResetTryAgain}},
		{NotOwner, func(_ *Policy, f *Facts) {
			st := record()
			st.Handed = true
			read(f, st, nil)
			f.Draining = true
		}, Refuse{Reason: wire.ResetTryAgain}},
	}},
	{"the app does not allow the resume, or cannot tell", "RESET 4 or 5", []example{
		{NotOwner, func(p *Policy, f *Facts) { p.Authorize = true; read(f, record(), nil) }, Authorize{}},
		{NotOwner, func(p *Policy, f *Facts) {
			p.Authorize = true
			read(f, record(), nil)
			f.Authorized(wire.ResetUnauthorized, 403, "")
		}, Refuse{Reason: wire.ResetUnauthorized, Status: 403}},
		{NotOwner, func(p *Policy, f *Facts) {
			p.Authorize = true
			read(f, record(), nil)
			f.Authorized(wire.ResetTryAgain, 0, "")
		}, Refuse{Reason: wire.ResetTryAgain}},
	}},
	{"another sidecar is faster, for the fifth time", "RESET 5", []example{
		{NotOwner, func(_ *Policy, f *Facts) { read(f, record(), nil); f.AdoptFailed(store.ErrFenced) }, Look{}},
		{NotOwner, func(_ *Policy, f *Facts) { read(f, record(), nil); f.AdoptFailed(store.ErrLost) }, Look{}},
		{NotOwner, func(_ *Policy, f *Facts) {
			for range 5 {
				read(f, record(), nil)
				f.AdoptFailed(store.ErrFenced)
			}
		}, Refuse{Reason: wire.ResetTryAgain}},
		{NotOwner, func(_ *Policy, f *Facts) {
			f.Looks = 4
			st := record()
			st.Owner = third
			read(f, st, nil)
		}, Refuse{Reason: wire.ResetTryAgain}},
	}},
	{"none of these", "WELCOME *adopted*", []example{
		{NotOwner, func(_ *Policy, f *Facts) { read(f, record(), nil) }, Adopt{}},
		{NotOwner, func(_ *Policy, f *Facts) { st := record(); st.Epoch = 2; read(f, st, nil) }, Adopt{}}, // its token did not arrive
		{NotOwner, func(p *Policy, f *Facts) { p.Authorize = true; read(f, record(), nil); f.Authorized(0, 0, "") }, Adopt{}},
		{0, func(_ *Policy, f *Facts) {
			f.Token.Owner = self
			st := record()
			st.Owner = self
			read(f, st, nil)
		}, Adopt{}},
		{0, func(_ *Policy, f *Facts) { // the one that was here before
			f.Token.Owner = former
			st := record()
			st.Owner = former
			read(f, st, nil)
			f.Owner.Lease = store.LeaseLive // not yet over
		}, Adopt{}},
		{0, func(_ *Policy, f *Facts) {
			f.Lease = store.LeaseReleased
			read(f, record(), nil)
			f.Owner.Lease = store.LeaseReleased
		}, Adopt{}},
		{NotOwner, func(_ *Policy, f *Facts) {
			st := record()
			st.Owner = third
			read(f, st, nil)
			f.Owner.Lease = store.LeaseReleased
		}, Adopt{}},
	}},
}

// TestProtocol plays PROTOCOL §8.5 row for row.
func TestProtocol(t *testing.T) {
	for i, r := range rows {
		for j, e := range r.cases {
			p, f := policy(), facts(e.answer)
			e.given(p, f)
			got := p.Next(f)
			if r, ok := got.(Refuse); ok {
				if r.Fact == "" {
					t.Errorf("row %d, %q, case %d: an operator hears no fact", i+1, r.Reason, j+1)
				}
				r.Fact = ""
				got = r
			}
			if got != e.want {
				t.Errorf("row %d, %q, case %d: %T%+v, want %T%+v", i+1, r.finds, j+1, got, got, e.want, e.want)
			}
		}
	}
}

// section is PROTOCOL §8.5.
func section(t *testing.T) string {
	text, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "\n### 8.5 ")
	section, _, end := strings.Cut(after, "\n## ")
	if !ok || !end {
		t.Fatal("PROTOCOL has no §8.5")
	}
	return section
}

// TestProtocolIsThisTable: the text and the rows above say the same.
func TestProtocolIsThisTable(t *testing.T) {
	table := regexp.MustCompile(`(?m)^\| (\d+) \| (.*) \| (.*) \|$`).FindAllStringSubmatch(section(t), -1)
	if len(table) != len(rows) {
		t.Fatalf("PROTOCOL §8.5 has %d rows, the test %d", len(table), len(rows))
	}
	for i, r := range rows {
		if got, want := table[i][1:], []string{fmt.Sprint(i + 1), r.finds, r.client}; strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("PROTOCOL §8.5 says %q, the test %q", got, want)
		}
	}
}

// TestQuotations: what next.go quotes is in PROTOCOL §8.5, and every row of it
// is quoted.
func TestQuotations(t *testing.T) {
	code, err := os.ReadFile("next.go")
	if err != nil {
		t.Fatal(err)
	}
	comments := regexp.MustCompile(`\n\s*// `).ReplaceAllString(string(code), " ")
	text := section(t)
	quoted := map[string]bool{}
	for _, q := range regexp.MustCompile(`"([a-z][^"]* [^"]*)"`).FindAllStringSubmatch(comments, -1) {
		quoted[q[1]] = true
		if !strings.Contains(text, q[1]) {
			t.Errorf("next.go quotes %q, which PROTOCOL §8.5 does not say", q[1])
		}
	}
	for _, r := range rows {
		short, _, _ := strings.Cut(r.finds, ";")
		short, _, _ = strings.Cut(short, " (")
		if !quoted[short] {
			t.Errorf("next.go does not quote %q", short)
		}
	}
}
