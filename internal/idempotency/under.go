package idempotency

import (
	"bytes"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/internal/monotime"
)

// Handed notes that the app's socket took the client's messages up to seq.
func (g *Gate) Handed(seq uint32) {
	for _, u := range g.under {
		if u.entry.State != Claimed || u.want != 0 || int32(u.seq-seq) > 0 {
			continue
		}
		fate := FateFirst
		if u.entry.Again {
			fate = FateAgain
		}
		g.tell(u.client, fate)
		if u.rule.reply != nil && u.request != nil {
			g.write(u, Handed)
		} else {
			g.write(u, Done)
		}
	}
}

// Awaits reports whether the app's messages are looked at.
func (g *Gate) Awaits() bool {
	for _, u := range g.under {
		if u.awaits() {
			return true
		}
	}
	return false
}

func (u *under) awaits() bool {
	return u.request != nil && u.rule.reply != nil && (u.entry.State == Handed || u.want == Handed) && u.want != Done && u.want != Doubtful
}

// Replied looks at a message of the app, whose number towards the client is seq.
// Data is lent for the call.
func (g *Gate) Replied(seq uint32, m Message) {
	for _, u := range g.under {
		if !u.awaits() || u.rule.reply.selects != nil && !u.rule.reply.selects.Match(m.Data) || !u.rule.reply.answers(u.request, m) {
			continue
		}
		if len(m.Data) <= min(MaxOutcome, jsonpointer.MaxText) {
			u.outcome = Message{m.Binary, bytes.Clone(m.Data)}
			g.cost += int64(len(m.Data))
		}
		u.outSeq = seq
		g.write(u, Done)
	}
}

// AppGone notes that the app's socket is gone, with all that it had and has not
// answered.
func (g *Gate) AppGone() {
	for _, u := range g.under {
		if u.awaits() {
			g.write(u, Doubtful)
		}
	}
}

// Ended notes that the session is over, here at least: what its app never got has
// not acted. What still waits is nobody's.
func (g *Gate) Ended() {
	if g.over {
		return
	}
	g.over = true
	g.AppGone()
	for _, u := range g.under {
		if u.entry.State == Claimed && u.want == 0 {
			g.write(u, Free)
		}
	}
	if h := g.held; h != nil && h.call == 0 {
		g.drop(h)
	}
	for _, a := range g.asking {
		g.cost -= a.underCost()
	}
	g.asking = nil
}

// drop forgets the message that waits.
func (g *Gate) drop(h *held) {
	g.cost -= h.cost
	g.held = nil
}

// freeTTL is how long a key is kept that nobody has.
const freeTTL = time.Minute

// write has an entry enter a state, once the store has answered the call before.
func (g *Gate) write(u *under, s State) {
	u.want = s
	if u.call != 0 {
		return
	}
	e := u.entry
	e.State, u.want = s, 0
	switch {
	case s == Free && u.rule.states != nil:
		// Its entity is in the state from before.
		if p := positionOf(&e); p.before != "" {
			e.State, e.Outcome = Done, (&position{at: p.before, past: p.past}).append(nil)
		}
	case s == Done && u.rule.states == nil:
		e.Outcome, e.Binary, e.OutSeq = u.outcome.Data, u.outcome.Binary, u.outSeq
	}
	ttl := u.rule.TTL
	if e.State == Free {
		ttl = min(ttl, freeTTL)
	}
	u.entry = e
	u.call = g.call(&Call{Key: u.key, Revision: u.revision, Entry: e, TTL: ttl, Settles: true, Here: u.here})
}

// toldUnder goes on with a message that is with the app. One whose key is another's
// by now, or that the store has forgotten, is not ours any more.
func (g *Gate) toldUnder(u *under, c *Call, r Result) {
	u.revision = r.Revision
	switch {
	case r.Written && u.want != 0:
		g.write(u, u.want)
	case r.Written && c.Entry.State == Handed:
	default:
		g.forget(u)
	}
}

func (g *Gate) forget(u *under) {
	i := slices.Index(g.under, u)
	g.under = slices.Delete(g.under, i, i+1)
	if len(g.under) == 0 {
		g.under = nil
	}
	g.cost -= u.underCost() + int64(len(u.outcome.Data))
}

// toldAsking says the answer to a repetition, once there is one.
func (g *Gate) toldAsking(now time.Time, a *asking, r Result) {
	f := facts{found: r.Found, self: g.self, ownerGone: r.OwnerGone, waited: true}
	var say []Message
	switch {
	case r.Away || r.Found != nil && f.decide() == stepUnderway:
		if now.Before(a.until.Time()) {
			a.again = monotime.At(now.Add(a.pause))
			a.pause = min(2*a.pause, maxLook)
			return
		}
	case r.Found != nil && r.Found.State == Done:
		say = a.answer(r.Found)
	default: // its message is gone, so that it cannot be handed over any more
		say = a.say(a.rule.doubt)
	}
	i := slices.Index(g.asking, a)
	g.asking = slices.Delete(g.asking, i, i+1)
	g.cost -= a.underCost()
	g.said = append(g.said, say...)
}

// Said returns what a client is to hear beside verdicts, once.
func (g *Gate) Said() []Message {
	s := g.said
	g.said = nil
	return s
}

// Deadline returns when Tick wants to be called; zero is never.
func (g *Gate) Deadline() (at monotime.Time) {
	add := func(t monotime.Time) {
		if t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	if g.held != nil {
		add(g.held.again)
	}
	for _, a := range g.asking {
		add(a.again)
	}
	return at
}

// Tick asks the store again for what is due.
func (g *Gate) Tick(now time.Time) {
	at := monotime.At(now)
	if h := g.held; h != nil && h.again != 0 && at >= h.again && !g.over {
		g.claim(now)
	}
	for _, a := range g.asking {
		if a.again != 0 && at >= a.again {
			// A revision that no entry has: it is only read.
			a.again = 0
			a.call = g.call(&Call{Key: a.key, Revision: LookOnly, TTL: a.rule.TTL, Outcome: true})
		}
	}
}

// LookOnly is a Revision that no entry has: nothing is written, and what is there is
// found.
const LookOnly = ^uint64(0)

// Looks reports whether nothing is to be written.
func (c *Call) Looks() bool { return c.Revision == LookOnly }

// Cost returns the bytes that the gate holds now.
func (g *Gate) Cost() int64 { return g.cost }

// Idle reports whether no call is under way.
func (g *Gate) Idle() bool {
	if len(g.calls) > 0 || g.held != nil && g.held.call != 0 {
		return false
	}
	return !slices.ContainsFunc(g.under, func(u *under) bool { return u.call != 0 })
}
