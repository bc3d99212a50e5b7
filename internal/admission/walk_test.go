package admission

import (
	"maps"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// maxSteps bounds a resume: an owner per look that is asked first, and then
// Look, Load, Authorize and Adopt.
const maxSteps = maxLooks * 5

// A walker takes every way that a resume can take, whatever the journal, the
// owners, the app and this sidecar do meanwhile, and checks each step.
type walker struct {
	t       *testing.T
	policy  *Policy
	records []*store.State
	done    map[place]bool
	ends    map[Step]int
}

// A place is all that decides on what can follow.
type place struct {
	token                                  string
	forwarded, draining, here, handingOver bool
	renewing                               bool
	answers                                [2]Answer
	looks                                  int
	look                                   LookResult
	unfit                                  wire.ResetReason
	loaded                                 bool
	record                                 *store.State
	loadErr                                error
	owner                                  Liveness
	lease                                  store.LeaseState
	asked                                  bool
	denied                                 wire.ResetReason
	handOver                               HandOverResult
	adoptErr                               error
	steps                                  int
}

func (w *walker) walk(f Facts, steps int) {
	for i := range 16 {
		f.Draining, f.Here, f.HandingOver, f.Renewing = i&1 != 0, i&2 != 0, i&4 != 0, i&8 != 0
		if f.Renewing && f.Look != Found {
			continue
		}
		at := place{
			f.Token.Owner, f.Forwarded, f.Draining, f.Here, f.HandingOver, f.Renewing, [2]Answer{f.Answers[owner], f.Answers[third]},
			f.Looks, f.Look, f.Unfit, f.Loaded, f.Record, f.LoadErr, f.Owner, f.Lease, f.Asked, f.Denied, f.HandOver, f.AdoptErr, steps,
		}
		if w.done[at] {
			continue
		}
		w.done[at] = true
		step := w.policy.Next(&f)
		if steps > maxSteps {
			w.t.Fatalf("no end after %d steps: %T%+v", steps, step, step)
		}
		w.take(f, step, steps+1)
	}
}

// take performs step in every way and goes on.
func (w *walker) take(f Facts, step Step, steps int) {
	then := func(note func(*Facts)) {
		next := f
		next.Answers = maps.Clone(f.Answers)
		note(&next)
		w.walk(next, steps)
	}
	switch step := step.(type) {
	case Forward:
		w.forward(&f, step.Owner)
		for _, a := range []Answer{NotOwner, Refused, Unreachable} {
			then(func(f *Facts) { f.Answered(step.Owner, a) })
		}
	case Look:
		then(func(f *Facts) { f.Looked(Absent, 0, "") })
		then(func(f *Facts) { f.Looked(Found, 0, "") })
		then(func(f *Facts) { f.Looked(Found, wire.ResetLost, "it lacks some") })
		then(func(f *Facts) { f.Looked(Replaced, 0, "") })
	case Release:
		if f.Look != Replaced {
			w.t.Fatalf("let go of what is not replaced: %+v", f)
		}
		then(func(f *Facts) { f.Released() })
	case Load:
		for _, err := range []error{store.ErrNotFound, store.ErrCorrupt, store.ErrUnavailable} {
			w.loaded(then, nil, err)
		}
		for _, st := range w.records {
			w.loaded(then, st, nil)
		}
	case Authorize:
		for _, denied := range []wire.ResetReason{0, wire.ResetUnauthorized, wire.ResetTryAgain} {
			then(func(f *Facts) { f.Authorized(denied, 0, "") })
		}
	case HandOver:
		then(func(f *Facts) { f.HandOver = HandedOver })
		then(func(f *Facts) { f.HandOver = HandOverLate })
	case Adopt:
		w.adopt(&f)
		for _, err := range []error{store.ErrFenced, store.ErrLost, store.ErrEnded, store.ErrUnavailable} {
			then(func(f *Facts) { f.AdoptFailed(err) })
		}
		w.ends[step]++
	default:
		w.end(&f, step)
	}
}

func (w *walker) loaded(then func(func(*Facts)), st *store.State, err error) {
	live := []Liveness{{}, {store.LeaseLive, 0}, {store.LeaseLive, time.Hour}, {store.LeaseGone, 0}, {store.LeaseReleased, 0}}
	if st != nil && (st.Owner == self || st.Owner == former || st.Owner == "") {
		live = live[:2] // nobody is asked
	}
	for _, l := range live {
		then(func(f *Facts) { f.Read(st, err); f.Owner = l })
	}
}

// forward: a forwarded request goes no further, none to itself, and no owner
// is asked twice.
func (w *walker) forward(f *Facts, owner string) {
	released := owner == f.Token.Owner && f.Look == 0 && f.Lease == store.LeaseReleased || f.Loaded && f.Owner.Lease == store.LeaseReleased
	if f.Forwarded || f.Here || owner == "" || owner == self || owner == former || f.Answers[owner] != 0 || released {
		w.t.Fatalf("forwarded to %q: %+v", owner, f)
	}
}

// adopt: a session is adopted only if its owner gave it up, or is this
// sidecar, or said that it is not the owner, or is gone as far as can be known.
func (w *walker) adopt(f *Facts) {
	st := f.Record
	given := st != nil && (st.Released() || st.Owner == self || st.Owner == former || f.Owner.Lease == store.LeaseReleased)
	answer := NotOwner
	if st != nil {
		answer = f.Answers[st.Owner]
	}
	gone := answer == NotOwner || answer == Refused ||
		answer == Unreachable && (f.Owner.Lease == store.LeaseGone || f.Owner.Lease == store.LeaseLive && f.Owner.Unreachable > w.policy.LeaseTTL)
	if st == nil || st.Kind == store.End || st.Gap || f.Forwarded || f.Draining || !given && !gone {
		w.t.Fatalf("adopted: %+v of %+v", f, st)
	}
	w.authorized(f)
}

func (w *walker) authorized(f *Facts) {
	if w.policy.Authorize && (!f.Asked || f.Denied != 0) {
		w.t.Fatalf("the app was not asked, or said no: %+v", f)
	}
}

func (w *walker) end(f *Facts, step Step) {
	if r, ok := step.(Refuse); ok {
		if r.Fact == "" {
			w.t.Fatalf("an operator hears no fact: %+v", f)
		}
		r.Fact = ""
		step = r
	}
	w.ends[step]++
	switch step := step.(type) {
	case Attach:
		if f.Look != Found || f.Unfit != 0 || f.HandOver != 0 || f.Forwarded && f.Draining && !f.Unread {
			w.t.Fatalf("attached: %+v", f)
		}
		w.authorized(f)
	case Misdirect:
		if !f.Forwarded {
			w.t.Fatalf("a client was answered 421: %+v", f)
		}
	case Refuse:
		if step.Reason < wire.ResetUnknown || step.Reason > wire.ResetTryAgain {
			w.t.Fatalf("no reason: %+v", f)
		}
		if step.Final && (f.Look != Found || !f.Renewing || step.Reason != wire.ResetUnauthorized) {
			w.t.Fatalf("a session ends: %+v", f)
		}
	}
}

// TestEveryWay takes every way through a resume.
func TestEveryWay(t *testing.T) {
	var records []*store.State
	for _, name := range []string{owner, third, self, former, ""} {
		st := record()
		st.Owner = name
		records = append(records, st)
	}
	handed, ended, reused, gap := record(), record(), record(), record()
	handed.Owner, handed.Handed = third, true
	ended.Kind, reused.Proven, gap.Gap = store.End, 4, true
	claimed := record()
	claimed.Owner, claimed.Handed, claimed.Kind = third, true, store.Claim
	records = append(records, handed, claimed, ended, reused, gap)

	ends := map[Step]int{}
	for i := range 4 {
		p := policy()
		p.Authorize = i&1 != 0
		for _, at := range []struct {
			name  string
			lease store.LeaseState
		}{{owner, store.LeaseUnknown}, {owner, store.LeaseReleased}, {self, 0}, {former, 0}, {"", 0}} {
			if at.lease != 0 && p.Authorize {
				continue // that changes nothing
			}
			w := &walker{t: t, policy: p, records: records, done: map[place]bool{}, ends: ends}
			f := facts(0)
			f.Token.Owner, f.Forwarded, f.Lease = at.name, i&2 != 0, at.lease
			w.walk(*f, 0)
		}
	}
	for _, want := range []Step{
		Attach{}, Misdirect{}, Adopt{}, Refuse{Reason: wire.ResetUnknown}, Refuse{Reason: wire.ResetLost},
		Refuse{Reason: wire.ResetUnauthorized}, Refuse{Reason: wire.ResetTryAgain}, Refuse{Reason: wire.ResetToken, Cause: ErrTokenReused},
		Refuse{Reason: wire.ResetLost, Cause: store.ErrCorrupt}, Refuse{Reason: wire.ResetTryAgain, Cause: store.ErrUnavailable},
	} {
		if ends[want] == 0 {
			t.Errorf("no way ends with %T%+v", want, want)
		}
	}
}
