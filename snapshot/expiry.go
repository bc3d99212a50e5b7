package snapshot

import (
	"slices"
	"time"
)

// ttlOf returns how long an entry lives after it was kept; 0 is as long as the
// session.
func (t *Tracker) ttlOf(e *entry) time.Duration {
	switch {
	case e.state == dropped:
		return max(t.dropTTL, time.Millisecond)
	case e.rule == 0:
		return 0
	}
	if r := t.rule(e.rule); r != nil {
		return r.ttl
	}
	return 0
}

// rule returns the rule with that id, or nil.
func (t *Tracker) rule(id uint32) *rule {
	for _, r := range t.rules {
		if r.id == id {
			return r
		}
	}
	return nil
}

// changesAt returns when an entry changes by itself; zero is never.
func (t *Tracker) changesAt(e *entry) time.Time {
	if e.unversioned {
		return time.UnixMilli(e.at).Add(journalAfter)
	}
	if ttl := t.ttlOf(e); ttl > 0 {
		return time.UnixMilli(e.at).Add(ttl)
	}
	return time.Time{}
}

// schedule finds when the first entry changes by itself. It is called with
// every change, so that asking for the deadline costs nothing.
func (t *Tracker) schedule() {
	t.nextChange = t.Expires()
	for i := range t.entries {
		t.nextChange = earlier(t.nextChange, t.changesAt(&t.entries[i]))
	}
}

// expire lets entries change that are due: one whose TTL is over goes, and what
// has been under way for long counts from now on.
func (t *Tracker) expire(now time.Time) {
	if t.nextChange.IsZero() || now.Before(t.nextChange) {
		return
	}
	if at := t.Expires(); !at.IsZero() && !now.Before(at) {
		t.fallBack()
	}
	t.entries = slices.DeleteFunc(t.entries, func(e entry) bool {
		due := t.changesAt(&e)
		over := !e.unversioned && !due.IsZero() && !now.Before(due)
		if over {
			t.size -= e.cost()
			t.version++
		}
		return over
	})
	for i := range t.entries {
		if e := &t.entries[i]; e.unversioned && !now.Before(t.changesAt(e)) {
			t.version++
			e.unversioned, e.version = false, t.version
		}
	}
	t.schedule()
}

// Expires returns when the snapshot falls back to nothing unless the client says
// something before that is kept; zero is never.
func (t *Tracker) Expires() time.Time {
	if t.life == 0 || len(t.entries) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(t.changed).Add(t.life)
}

// fallBack forgets all entries. The app knows what they said, and another one
// could not be told: so the snapshot is incomplete from then on, and what is kept
// later is another one.
func (t *Tracker) fallBack() {
	t.entries, t.size, t.id, t.changed = nil, 0, newID(), 0
	t.version++
	t.setIncomplete()
	t.schedule()
}

// renewals is into how many parts the life of a snapshot is divided: in one of
// them it is written once that the client has said again what is kept.
const renewals = 8

// renew notes that the client said again what is kept.
func (t *Tracker) renew(now time.Time) {
	if t.life > 0 && now.Sub(time.UnixMilli(t.changed)) >= t.life/renewals {
		t.changed = now.UnixMilli()
		t.version++
		t.schedule()
	}
}
