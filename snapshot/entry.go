package snapshot

import (
	"bytes"
	"slices"
	"time"
)

// Implementation limits.
const (
	// MaxEntries bounds a snapshot: a client with more subscriptions is rare,
	// and a restore has to say them all before the session goes on.
	MaxEntries = 256

	// MaxBytes bounds payloads and keys together, so that with what Save adds
	// to each entry a snapshot fits one record of the journal (MaxSaved).
	MaxBytes = 48 << 10

	// maxKey bounds a key, which may come from a payload.
	maxKey = 1 << 10

	// journalAfter is how long something may be under way before that is worth
	// a write to the journal: as long as a message may stay unacknowledged
	// (WSR_PERSIST_AFTER). Most requests are answered sooner.
	journalAfter = 50 * time.Millisecond
)

// A state is what an entry stands for. The values are saved.
type state uint8

const (
	// held: a message that a fresh app socket must hear.
	held state = iota

	// pending: something began that cannot be sent again. It has no message,
	// and the snapshot is incomplete until it is forgotten.
	pending

	// dropped: a held entry of a conflict-free rule was dropped. The mark has
	// no message, and outlives every older copy that still has the entry.
	dropped
)

// An entry is what is kept under one key of one rule, or of the preset.
type entry struct {
	rule        uint32 // 0 is the preset, otherwise rule.id
	key         string
	state       state
	born        uint32 // the Tracker's version when the key was first kept: the order
	version     uint32 // the Tracker's version at the last change
	at          int64  // ms since 1970, when it was kept, began, or was dropped
	unversioned bool   // for less than journalAfter under way: no version counts it yet
	m           Message
}

// cost is what an entry counts for against MaxBytes.
func (e *entry) cost() int { return len(e.key) + len(e.m.Data) }

// find returns the place of an entry, or -1.
func (t *Tracker) find(rule uint32, key string) int { return findEntry(t.entries, rule, key) }

func findEntry(entries []entry, rule uint32, key string) int {
	return slices.IndexFunc(entries, func(e entry) bool { return e.rule == rule && e.key == key })
}

// put places an entry, whose message it copies. One that does not fit makes the
// snapshot incomplete, and what it would have replaced, which is out of date,
// goes.
func (t *Tracker) put(now time.Time, e entry) {
	i := t.find(e.rule, e.key)
	if i >= 0 && t.unchanged(i, now, &e) {
		t.renew(now)
		return
	}
	e.born = t.version + 1
	if i >= 0 && t.entries[i].state == e.state {
		e.born = t.entries[i].born // its place stays
	} else if i >= 0 {
		t.remove(i)
		i = -1
	}
	if !t.fits(i, &e) {
		if i >= 0 {
			t.remove(i)
		}
		t.setIncomplete()
		return
	}
	if !e.unversioned {
		t.version++
	}
	e.version, e.at, e.m = t.version, now.UnixMilli(), e.m.clone()
	if t.id.begin(now); e.state == held {
		t.changed = e.at
	}
	t.size += e.cost()
	if i >= 0 {
		t.size -= t.entries[i].cost()
		t.entries[i] = e
	} else {
		t.entries = append(t.entries, e)
	}
	t.schedule()
}

// unchanged reports whether entry i holds the message of e already and its life
// does not have to begin anew, so that nothing needs to be written.
func (t *Tracker) unchanged(i int, now time.Time, e *entry) bool {
	old := &t.entries[i]
	return old.state == held && e.state == held &&
		old.m.Binary == e.m.Binary && bytes.Equal(old.m.Data, e.m.Data) &&
		(t.ttlOf(old) == 0 || old.at == now.UnixMilli())
}

// fits reports whether e is within the limits in place of entry i, or beside
// all entries if i is -1. It makes room if it can.
func (t *Tracker) fits(i int, e *entry) bool {
	size := t.size + e.cost()
	if i >= 0 {
		size -= t.entries[i].cost()
	}
	return len(e.key) <= maxKey && size <= MaxBytes && (i >= 0 || t.makeRoom())
}

// makeRoom makes place for one more entry, if need be instead of the oldest mark
// of a drop, and reports whether there is.
func (t *Tracker) makeRoom() bool {
	if len(t.entries) < MaxEntries {
		return true
	}
	i := slices.IndexFunc(t.entries, func(e entry) bool { return e.state == dropped })
	if i < 0 {
		return false
	}
	t.remove(i)
	return true
}

// remove takes entry i out.
func (t *Tracker) remove(i int) {
	t.size -= t.entries[i].cost()
	t.entries = slices.Delete(t.entries, i, i+1)
	t.schedule()
}
