package snapshot

import "time"

// A Tracker follows one session. It is not safe for concurrent use.
//
// Whatever it was told, the driver then takes what the app must hear with ToApp
// and what the client must hear with ToClient, and calls Tick at Deadline.
type Tracker struct {
	// Immutable.
	rules     []*rule
	exchanges []*exchange
	covers    bool          // there is more to follow than exchanges
	protocol  Protocol      // the zero value where only rules apply
	dropTTL   time.Duration // of a mark that something was dropped
	life      time.Duration // after the last change; 0: as long as the session

	id         ID
	changed    int64 // ms since 1970, when the client or the app last said something that matters
	journal    journaled
	writing    journaled // by the record that is under way
	preset     Preset    // nil where only rules apply
	entries    []entry
	size       int       // what the entries cost, at most MaxBytes
	nextChange time.Time // when the first entry changes by itself
	version    uint32
	incomplete bool // for good: something that mattered is not among the entries
	attached   bool // a client is there
	restore    restore
	asked      Requests // by the exchanges
	toApp      []Message
	toClient   []Message
}

// Inbound shows a message of the client that the app's socket was handed. Data
// is lent for the call.
func (t *Tracker) Inbound(now time.Time, m Message) {
	if t.preset != nil {
		t.preset.Inbound(Conversation{t}, now, m)
	}
	for _, r := range t.rules {
		r.inbound(t, now, m)
	}
	for _, e := range t.exchanges {
		e.inbound(t, m)
	}
}

// Outbound shows a message of the app, and reports whether it is for the Tracker
// and not for the client. Data is lent for the call.
func (t *Tracker) Outbound(now time.Time, m Message) (swallow bool) {
	for _, e := range t.exchanges {
		e.outbound(t, m)
	}
	if t.preset != nil && t.preset.Outbound(Conversation{t}, now, m) {
		return true
	}
	return t.rulesSwallow(now, m)
}

// rulesSwallow shows a message of the app to the rules, and reports whether it
// answers what a restore said for one of them.
func (t *Tracker) rulesSwallow(now time.Time, m Message) bool {
	for i, r := range t.rules {
		if r.dropOutbound != nil {
			r.drops(t, now, r.dropOutbound, m)
		}
		if t.restore.answered(t, now, i, m) {
			return true
		}
	}
	return false
}

// ToApp returns what the app must hear now, and forgets it. The messages are the
// caller's.
func (t *Tracker) ToApp() []Message {
	all := t.toApp
	t.toApp = nil
	return all
}

// ToClient returns what the client must hear now, before anything else that the
// app says, and forgets it. The messages are the caller's.
func (t *Tracker) ToClient() []Message {
	all := t.toClient
	t.toClient = nil
	return all
}

// InFlight reports whether the messages that the app's socket was handed end
// within a unit of the protocol that needs the messages to come. Another owner
// must then hear the unit from its beginning, so the client is not to be told
// that any message has arrived since InFlight was last false. A fresh socket of
// this Tracker hears the part again. It is bounded: of a unit above 64 KiB it
// is false, and the snapshot incomplete until the unit ends.
func (t *Tracker) InFlight() bool {
	p, ok := t.preset.(ByteStream)
	return ok && p.InFlight(Conversation{t})
}

// Restarts reports whether the app, which closes with this code, restarts by all
// that is known of its protocol. 1001, 1006 and 1012, which say so themselves,
// need not be asked about.
func (t *Tracker) Restarts(code uint16) bool {
	p, ok := t.preset.(Restarter)
	return ok && p.Restarts(Conversation{t}, code)
}

// Ended reports whether the app has said, in its protocol's words, that it ends
// this conversation and not only this socket: another client took its place,
// for one. Whatever close follows is then no restart.
func (t *Tracker) Ended() bool {
	p, ok := t.preset.(Ender)
	return ok && p.Ended()
}

// Covers reports whether the entries are what a fresh app socket must hear.
// Otherwise nothing is known of that, and the Tracker only tells what is owed.
func (t *Tracker) Covers() bool { return t.covers }

// Owes returns what the app owes the client, as far as it is known exactly. Rules
// for requests know all of them, also where a preset does not know what a message
// is.
func (t *Tracker) Owes() Owed {
	owed := OwedUnknown
	if p, ok := t.preset.(Replier); ok {
		owed = p.Owes(Conversation{t})
	}
	if t.exchanges != nil && owed != OwedAnswer {
		owed = t.asked.Owed()
	}
	if owed == OwedNothing && t.incomplete {
		return OwedUnknown // something was not understood
	}
	return owed
}

// Attach notes whether a client is there. A new Tracker has none.
func (t *Tracker) Attach(now time.Time, attached bool) {
	t.attached = attached
	t.Tick(now)
}

// Tick does what is due.
func (t *Tracker) Tick(now time.Time) {
	t.expire(now)
	t.restore.tick(now)
	if t.preset != nil {
		t.preset.Tick(Conversation{t}, now)
	}
}

// Deadline returns when Tick wants to be called; zero is never.
func (t *Tracker) Deadline() time.Time {
	at := earlier(t.nextChange, t.restore.deadline())
	if t.preset != nil {
		at = earlier(at, t.preset.Deadline())
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

// Complete reports whether the entries are all that a fresh app socket must
// hear. It is false for good once something that mattered did not fit or could
// not be understood, and for as long as something is under way that cannot be
// sent again. An adoption would then not be silent.
func (t *Tracker) Complete() bool {
	for _, e := range t.entries {
		if e.state == pending {
			return false
		}
	}
	return !t.incomplete
}

// ID names the snapshot. It stays the same on every sidecar that holds it.
func (t *Tracker) ID() ID { return t.id }

// Version grows with every change that has to be journaled.
func (t *Tracker) Version() uint32 { return t.version }

// queueForApp tells the app something. It copies Data.
func (t *Tracker) queueForApp(m Message) { t.toApp = append(t.toApp, m.clone()) }

// setIncomplete notes for good that something that mattered is not among the
// entries.
func (t *Tracker) setIncomplete() {
	if !t.incomplete {
		t.incomplete = true
		t.version++
	}
}
