package idempotency

import (
	"github.com/wsresilience/wsresilience/internal/match"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// Implementation limits of a gate.
const (
	// maxUnder is how many messages of a session may be with its app while their
	// reply, or the store's answer, has not come. The client waits then.
	maxUnder = 64

	// underCost is what each counts against the memory budget, beside its request.
	underCost = 512

	// minLook and maxLook bound the pause before the store is asked again, and
	// maxWait how long another's claim is waited for.
	minLook = 5 * time.Millisecond
	maxLook = 500 * time.Millisecond
	maxWait = 5 * time.Second

	// maxAsking is how many clients' repetitions wait for the outcome of the first.
	maxAsking = 32
)

// A Gate is where the messages of one session pass on their way to the app. One
// that has a key waits here until that is claimed, and nothing overtakes it: the
// client is not read meanwhile. It does no I/O and is not safe for concurrent
// use. The zero Gate is not for use: Policy.Gate makes one.
//
// Offer takes a message. Whatever was told to the gate, Calls are then put to the
// store, each Result comes back by Told, and Verdict says what becomes of the
// message that waited.
type Gate struct {
	rules []scoped
	self  Claimant

	handed   bool // see facts
	handedUp uint32
	base     uint32 // the last message to the client that former owners are known to have sent

	held    *held
	under   []*under
	asking  []*asking
	calls   []*Call
	numbers uint32
	verdict *Verdict
	said    []Message
	told    []Told
	cost    int64 // bytes that are held now
	over    bool
}

// held is the message that waits for its key.
type held struct {
	keyed
	seq    uint32
	call   uint32 // the number of the call under way; 0: none
	claim  Entry
	expect uint64 // what the next claim takes the place of
	since  monotime.Time
	pause  time.Duration
	again  monotime.Time // when the store is asked next; 0: not
	doubt  bool          // it was claimed although it is in doubt
	looked bool          // the state of its entity is known
	from   string        // and this
	past   []past        // and these
	cost   int64
}

// under is a message that is claimed: on its way to the app, or with it.
type under struct {
	keyed
	seq      uint32
	revision uint64
	here     bool // the claim is in the memory of this sidecar
	entry    Entry
	call     uint32 // under way; 0: none
	want     State  // what is to be written next; 0: nothing
	outcome  Message
	outSeq   uint32
}

// asking is a repetition whose answer is not there yet.
type asking struct {
	keyed
	call  uint32
	pause time.Duration
	again monotime.Time
	until monotime.Time
}

// A Fate is what became of a message with a key.
type Fate uint8

const (
	FateFirst     Fate = iota // the app got it, and no other before
	FateRepeated              // it had acted before: the app did not get it
	FateUnderway              // another one with its key is with the app: the app did not get it
	FateAgain                 // it was in doubt, and the app got it: it may act twice
	FateDoubt                 // it is in doubt, and the app did not get it
	FateUnkeyed               // the app got it, and no rule is about it
	FateForbidden             // its entity is in a state that it does not follow: the app did not get it
)

var fateNames = [...]string{"first", "repeated", "underway", "again", "doubt", "unkeyed", "forbidden"}

func (f Fate) String() string {
	if int(f) < len(fateNames) {
		return fateNames[f]
	}
	return "unknown"
}

// Passes reports whether the app gets the message.
func (f Fate) Passes() bool { return f == FateFirst || f == FateAgain }

// Certain reports whether it is known what acted, and how often.
func (f Fate) Certain() bool { return f != FateAgain && f != FateDoubt }

// A Told is what a client hears of a message for which it said a key.
type Told struct {
	Key  string
	Fate Fate
}

// tell notes what the client hears of a key, if it said one.
func (g *Gate) tell(key string, f Fate) {
	if key != "" {
		g.told = append(g.told, Told{key, f})
	}
}

// Outcomes returns what became of messages for which the client said a key, once.
func (g *Gate) Outcomes() []Told {
	t := g.told
	g.told = nil
	return t
}

// TakesKeys reports whether a rule takes keys that clients say.
func (g *Gate) TakesKeys() bool {
	return g != nil && slices.ContainsFunc(g.rules, func(r scoped) bool { return r.source == keyClient })
}

// A Verdict is what becomes of the message that waited.
type Verdict struct {
	Seq  uint32
	Fate Fate
	Say  []Message // to the client
}

// Adopted notes that the session is adopted, in that epoch: what former owners claimed beyond
// handedUp was never handed to an app, if handed says so, and what they said up
// to base reaches the client from the journal.
func (g *Gate) Adopted(epoch uint32, handed bool, handedUp, base uint32) {
	g.self.Epoch, g.handed, g.handedUp, g.base = epoch, handed, handedUp, base
}

// Holds reports whether the client is not to be read.
func (g *Gate) Holds() bool { return g.held != nil || len(g.under) >= maxUnder }

// Offer takes a message of the client, of which seq is the number and raw the
// size that is kept meanwhile, and reports whether it waits here. Data is lent
// for the call. client is the key that the client said beside it, if any.
func (g *Gate) Offer(now time.Time, seq uint32, size int, m Message, client string) bool {
	if g.over {
		return false
	}
	if g.held != nil {
		panic("idempotency: a message passes one that waits")
	}
	k, ok := g.keyOf(m, client)
	if !ok {
		if client != "" {
			g.told = append(g.told, Told{client, FateUnkeyed})
		}
		return false
	}
	g.held = &held{keyed: k, seq: seq, since: monotime.At(now), pause: minLook, cost: int64(size + underCost + len(k.request) + len(k.shown))}
	g.cost += g.held.cost
	g.claim(now)
	return true
}

// claim asks for the key of the message that waits.
func (g *Gate) claim(now time.Time) {
	h := g.held
	h.again = 0
	h.claim = Entry{State: Claimed, By: g.self, Seq: h.seq, At: now.UnixMilli(), Again: h.doubt}
	c := &Call{Key: h.key, Revision: h.expect, Entry: h.claim, TTL: h.rule.TTL, Outcome: h.rule.Repeat != RepeatDrop, Alone: true}
	if h.rule.states != nil {
		c.Outcome = true
		p := position{at: h.change.to, before: h.from, print: h.change.print, past: h.past}
		if h.claim.Outcome = p.append(nil); !h.looked {
			c.Revision = LookOnly
		}
		c.Entry = h.claim
	}
	h.call = g.call(c)
}

func (g *Gate) call(c *Call) uint32 {
	g.numbers = max(g.numbers+1, 1)
	c.number = g.numbers
	g.calls = append(g.calls, c)
	return c.number
}

// Call returns what the store is to be asked next; nil: nothing.
func (g *Gate) Call() *Call {
	if len(g.calls) == 0 {
		return nil
	}
	c := g.calls[0]
	if g.calls = g.calls[1:]; len(g.calls) == 0 {
		g.calls = nil
	}
	return c
}

// Verdict returns what becomes of the message that waited, once.
func (g *Gate) Verdict() *Verdict {
	v := g.verdict
	g.verdict = nil
	return v
}

// Told takes the store's answer to a call.
func (g *Gate) Told(now time.Time, c *Call, r Result) {
	if h := g.held; h != nil && h.call == c.number {
		h.call = 0
		g.toldHeld(now, r)
		return
	}
	for _, u := range g.under {
		if u.call == c.number {
			u.call = 0
			g.toldUnder(u, c, r)
			return
		}
	}
	for _, a := range g.asking {
		if a.call == c.number {
			a.call = 0
			g.toldAsking(now, a, r)
			return
		}
	}
}

// toldHeld decides about the message that waits.
func (g *Gate) toldHeld(now time.Time, r Result) {
	h := g.held
	switch {
	case g.over && r.Written:
		u := g.take(r)
		g.drop(h)
		g.write(u, Free)
		return
	case g.over:
		g.drop(h)
		return
	case r.Away:
		g.lookAgain(now)
		return
	case r.Written:
		g.pass(r)
		return
	}
	h.doubt = false
	f := facts{
		found: r.Found, self: g.self, seq: h.seq, ownerGone: r.OwnerGone, again: h.rule.Again,
		waited: now.Sub(h.since.Time()) >= maxWait, handed: g.handed, handedUp: g.handedUp,
	}
	next := step(0)
	if s := h.rule.states; s != nil {
		h.looked = true
		next, h.from, h.past = f.decideState(s, h.change)
	} else {
		next = f.decide()
	}
	switch next {
	case stepPass:
		h.claim = *r.Found
		g.pass(r)
	case stepClaim:
		h.expect = r.Revision
		g.claim(now)
	case stepAgain:
		h.expect, h.doubt = r.Revision, true
		g.claim(now)
	case stepWait:
		h.expect, h.looked = 0, false
		g.lookAgain(now)
	case stepRepeated:
		if g.sentOnce(r.Found) {
			g.tell(h.client, FateFirst)
			h.client = ""
		}
		g.settle(FateRepeated, g.repeated(r.Found))
	case stepForbidden:
		g.settle(FateForbidden, h.say(h.rule.say))
	case stepUnderway:
		g.settleUnderway(now)
	case stepDoubt:
		g.settle(FateDoubt, h.say(h.rule.doubt))
	}
}

// lookAgain asks the store later.
func (g *Gate) lookAgain(now time.Time) {
	h := g.held
	h.again = monotime.At(now.Add(h.pause))
	h.pause = min(2*h.pause, maxLook)
}

// pass lets the message go to the app, since its key is ours.
func (g *Gate) pass(r Result) {
	h := g.held
	g.take(r)
	if h.doubt {
		g.settle(FateAgain, h.say(h.rule.doubt))
		return
	}
	g.settle(FateFirst, nil)
}

// take notes that the key of the message that waits is ours.
func (g *Gate) take(r Result) *under {
	h := g.held
	u := &under{keyed: h.keyed, seq: h.seq, revision: r.Revision, here: r.Here, entry: h.claim}
	g.under = append(g.under, u)
	g.cost += h.underCost()
	return u
}

// underCost is what a message costs while it is with the app.
func (k *keyed) underCost() int64 { return int64(underCost + len(k.request) + len(k.shown)) }

// settle is the end of the wait.
func (g *Gate) settle(f Fate, say []Message) {
	g.verdict = &Verdict{Seq: g.held.seq, Fate: f, Say: say}
	if !f.Passes() {
		g.tell(g.held.client, f)
	}
	g.cost -= g.held.cost
	g.held = nil
}

// settleUnderway drops a repetition of what is with the app. The answer, if there
// is to be one, is asked for from time to time.
func (g *Gate) settleUnderway(now time.Time) {
	h := g.held
	if h.rule.Repeat == RepeatAnswer && len(g.asking) < maxAsking {
		a := &asking{keyed: h.keyed, pause: minLook, until: monotime.At(now.Add(h.rule.TTL))}
		a.again = monotime.At(now.Add(a.pause))
		g.asking = append(g.asking, a)
		g.cost += a.underCost()
		g.settle(FateUnderway, nil)
		return
	}
	g.settle(FateUnderway, h.say(h.rule.say))
}

// say is a message of the rule about a key.
func (k *keyed) say(t *match.Template) []Message {
	if t == nil {
		return nil
	}
	return []Message{{Data: t.Fill(k.shown)}}
}

// sentOnce reports whether the message that waits is the one that was done, sent
// again since its owner is gone.
func (g *Gate) sentOnce(e *Entry) bool {
	return e.By.Session == g.self.Session && e.By.Epoch != g.self.Epoch && e.Seq == g.held.seq
}

// repeated is what the client hears of what has acted before.
func (g *Gate) repeated(e *Entry) []Message {
	h := g.held
	if g.sentOnce(e) {
		// It was sent once, and came twice because of us: the client hears what got
		// lost with the former owner, and nothing else.
		if h.rule.reply == nil || len(e.Outcome) == 0 || int32(e.OutSeq-g.base) <= 0 {
			return nil
		}
		return []Message{{e.Binary, e.Outcome}}
	}
	return h.answer(e)
}

// answer is what a repetition hears of a key that is done.
func (k *keyed) answer(e *Entry) []Message {
	if k.rule.Repeat == RepeatAnswer && len(e.Outcome) > 0 {
		return []Message{k.rule.reply.rewrite(Message{e.Binary, e.Outcome}, k.request)}
	}
	return k.say(k.rule.say)
}
