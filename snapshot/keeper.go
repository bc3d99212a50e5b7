package snapshot

import "time"

// A Tracker follows one session. It is not safe for concurrent use.
//
// Whatever it was told, the driver then takes what the app must hear with Say
// and what the client must hear with Deliver, and calls Tick at Deadline.
type Tracker struct {
	// Immutable.
	rules    []*rule
	protocol protocol      // its start is nil where only rules apply
	life     time.Duration // of a mark that something was dropped

	preset  preset // nil where only rules apply
	entries []entry
	size    int       // what the entries cost, at most maxBytes
	next    time.Time // when the first entry changes by itself
	version uint32
	lost    bool // something that mattered is not among the entries
	here    bool // a client is attached
	fresh   restore
	out     []Message // for the app
	heard   []Message // for the client
}

// Inbound tells that the app's socket was handed this message. Data is lent
// for the call.
func (k *Tracker) Inbound(now time.Time, m Message) {
	if k.preset != nil {
		k.preset.inbound(k, now, m)
	}
	for _, r := range k.rules {
		r.inbound(k, now, m)
	}
}

// Outbound tells that the app said this. True: it is for the Tracker and not
// for the client. Data is lent for the call.
func (k *Tracker) Outbound(now time.Time, m Message) (swallow bool) {
	if k.preset != nil && k.preset.outbound(k, now, m) {
		return true
	}
	return k.ruled(now, m)
}

// ruled shows a message of the app to the rules, and tells whether it is an
// answer to one of them.
func (k *Tracker) ruled(now time.Time, m Message) bool {
	for i, r := range k.rules {
		if r.dropOutbound != nil {
			r.drops(k, now, r.dropOutbound, m)
		}
		if k.fresh.answered(k, now, i, m) {
			return true
		}
	}
	return false
}

// ToApp returns what the app must hear now, and forgets it. The messages are the
// caller's.
func (k *Tracker) ToApp() []Message {
	out := k.out
	k.out = nil
	return out
}

// ToClient returns what the client must hear now, before anything else that the
// app says, and forgets it. The messages are the caller's.
func (k *Tracker) ToClient() []Message {
	heard := k.heard
	k.heard = nil
	return heard
}

// InFlight tells whether the messages that the app's socket was handed end within
// a unit of the protocol that needs the messages to come. Another owner must
// then hear the unit from its beginning, so the client is not to be told that
// any message has arrived since InFlight was last false. A fresh socket of this
// Tracker hears the part again. It is bounded: of a unit above 64 KiB it is
// false, and the snapshot incomplete until the unit ends.
func (k *Tracker) InFlight() bool {
	p, ok := k.preset.(byteStream)
	return ok && p.midway(k)
}

// Restarts tells whether the app, which closes with this code, restarts by all
// that is known of its protocol. 1001, 1006 and 1012, which say so themselves,
// need not be asked about.
func (k *Tracker) Restarts(code uint16) bool {
	p, ok := k.preset.(restarter)
	return ok && p.restarts(k, code)
}

// Attach tells whether a client is there. A new Tracker has none.
func (k *Tracker) Attach(now time.Time, attached bool) {
	k.here = attached
	k.Tick(now)
}

// Tick does what is due.
func (k *Tracker) Tick(now time.Time) {
	k.age(now)
	k.fresh.tick(now)
	if k.preset != nil {
		k.preset.tick(k, now)
	}
}

// Deadline returns when Tick wants to be called; zero is never.
func (k *Tracker) Deadline() time.Time {
	at := earlier(k.next, k.fresh.deadline())
	if k.preset != nil {
		at = earlier(at, k.preset.deadline())
	}
	return at
}

// earlier returns the earlier of two deadlines, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Complete tells whether the entries are all that a fresh app socket must
// hear. It is false for good once something that mattered did not fit or could
// not be understood, and for as long as something is under way that cannot be
// said again. An adoption would then not be silent.
func (k *Tracker) Complete() bool {
	for _, e := range k.entries {
		if e.state == underWay {
			return false
		}
	}
	return !k.lost
}

// Version grows with every change that has to be journaled.
func (k *Tracker) Version() uint32 { return k.version }

// say tells the app something. It copies Data.
func (k *Tracker) say(m Message) { k.out = append(k.out, m.clone()) }

// deliver tells the client something that the app said in another form, or that
// the preset says for the app. It copies Data.
func (k *Tracker) deliver(now time.Time, m Message) {
	if !k.ruled(now, m) {
		k.heard = append(k.heard, m.clone())
	}
}

// attached tells whether a client is there to answer for itself.
func (k *Tracker) attached() bool { return k.here }

// incomplete notes that something that mattered is not among the entries.
func (k *Tracker) incomplete() {
	if !k.lost {
		k.lost = true
		k.version++
	}
}
