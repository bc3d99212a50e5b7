package snapshot

import (
	"slices"
	"time"
)

// lifeOf returns how long an entry lives after it was kept; 0 is as long as
// the session.
func (k *Tracker) lifeOf(e *entry) time.Duration {
	switch {
	case e.state == dropped:
		return max(k.life, time.Millisecond)
	case e.rule == 0:
		return 0
	}
	if r := k.rule(e.rule); r != nil {
		return r.ttl
	}
	return 0
}

// rule returns the rule with that id, or nil.
func (k *Tracker) rule(id uint32) *rule {
	for _, r := range k.rules {
		if r.id == id {
			return r
		}
	}
	return nil
}

// changes returns when an entry changes by itself; zero is never.
func (k *Tracker) changes(e *entry) time.Time {
	if e.quiet {
		return time.UnixMilli(e.at).Add(settle)
	}
	if life := k.lifeOf(e); life > 0 {
		return time.UnixMilli(e.at).Add(life)
	}
	return time.Time{}
}

// schedule finds when the first entry changes by itself. It is called with
// every change, so that asking for the deadline costs nothing.
func (k *Tracker) schedule() {
	k.next = time.Time{}
	for i := range k.entries {
		k.next = earlier(k.next, k.changes(&k.entries[i]))
	}
}

// age lets entries change that are due: one whose life is over goes, and what
// has been under way for long counts from now on.
func (k *Tracker) age(now time.Time) {
	if k.next.IsZero() || now.Before(k.next) {
		return
	}
	k.entries = slices.DeleteFunc(k.entries, func(e entry) bool {
		due := k.changes(&e)
		over := !e.quiet && !due.IsZero() && !now.Before(due)
		if over {
			k.size -= e.cost()
			k.version++
		}
		return over
	})
	for i := range k.entries {
		if e := &k.entries[i]; e.quiet && !now.Before(k.changes(e)) {
			k.version++
			e.quiet, e.version = false, k.version
		}
	}
	k.schedule()
}
