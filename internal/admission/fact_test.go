package admission

import (
	"context"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// What an operator reads of a refusal names the owners, and what was found out.
func TestFacts(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer Answer
		given  func(*Policy, *Facts)
		want   string
	}{
		{"foreign token", 0, func(_ *Policy, f *Facts) { f.Token, f.TokenFact = nil, "no key of ours opens the token" },
			"no key of ours opens the token"},
		{"superseded", NotOwner, func(_ *Policy, f *Facts) { f.Token.Generation = 2; read(f, record(), nil) },
			"token superseded: it is token 2 of epoch 1, and the client is known to have token 3 of epoch 1; owner 10.0.0.2:8080 does not have it"},
		{"unknown", Refused, func(_ *Policy, f *Facts) { read(f, nil, store.ErrNotFound) },
			"the journal does not know it; no process listens at the address of owner 10.0.0.2:8080"},
		{"out of reach", Unreachable, func(_ *Policy, f *Facts) {
			read(f, record(), nil)
			f.Owner = Liveness{Lease: store.LeaseLive, Unreachable: 2 * time.Second}
		}, "the journal says that owner 10.0.0.2:8080 has it; owner 10.0.0.2:8080 does not answer, or does not prove that it is that owner, for 2s by now, and its lease is not over"},
		{"journal away", NotOwner, func(_ *Policy, f *Facts) { read(f, nil, context.DeadlineExceeded) },
			"the journal cannot be asked: context deadline exceeded; owner 10.0.0.2:8080 does not have it"},
		{"away for too long", NotOwner, func(_ *Policy, f *Facts) {
			st := record()
			st.DetachedAt = now.Add(-90 * time.Second).UnixMilli()
			read(f, st, nil)
		}, "the client was away for 1m30s, and WSR_SESSION_TTL is 1m0s; owner 10.0.0.2:8080 does not have it"},
		{"messages gone", NotOwner, func(_ *Policy, f *Facts) { f.Position.Received = 9; read(f, record(), nil) },
			"the journal lacks messages that the client lacks: the client has message 9, and the journal what follows 10; owner 10.0.0.2:8080 does not have it"},
		{"logged out", 0, func(p *Policy, f *Facts) { p.Authorize = true; here(f); f.Authorized(wire.ResetUnauthorized, 403, "") },
			"the app answered WSR_RESUME_AUTH with 403"},
	} {
		p, f := policy(), facts(c.answer)
		c.given(p, f)
		if r, ok := p.Next(f).(Refuse); !ok || r.Fact != c.want {
			t.Errorf("%s: %q, want %q", c.name, r.Fact, c.want)
		}
	}
}

// What an operator reads of an adoption says why the owner of before counts as
// gone.
func TestFormer(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer Answer
		given  func(*Facts)
		want   string
	}{
		{"handed over", NotOwner, func(f *Facts) { f.Record.Handed = true }, "owner 10.0.0.2:8080 has given it up"},
		{"not there", Refused, func(*Facts) {}, "no process listens at the address of owner 10.0.0.2:8080"},
		{"stopped", 0, func(f *Facts) { f.Owner.Lease = store.LeaseReleased }, "owner 10.0.0.2:8080 has released its lease"},
		{"silent", Unreachable, func(f *Facts) { f.Owner.Lease = store.LeaseGone }, "owner 10.0.0.2:8080 does not answer, or does not prove that it is that owner, and its lease is over"},
		{"out of reach", Unreachable, func(f *Facts) { f.Owner = Liveness{store.LeaseLive, 21 * time.Second} }, "owner 10.0.0.2:8080 does not answer, or does not prove that it is that owner, for 21s by now"},
		{"restarted in place", 0, func(f *Facts) { f.Record.Owner = former }, "its owner was another process at the address of this one, and is gone"},
	} {
		p, f := policy(), facts(c.answer)
		read(f, record(), nil)
		c.given(f)
		if _, fact := p.Former(f); fact != c.want {
			t.Errorf("%s: %q, want %q", c.name, fact, c.want)
		}
	}
}
