package snapshot

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// Implementation limits.
const (
	// maxEntries bounds a snapshot: a client with more subscriptions is rare,
	// and a restore has to say them all before the session goes on.
	maxEntries = 256

	// maxBytes bounds payloads and keys together, so that with what Save adds
	// to each entry a snapshot fits one record of the journal (MaxSaved).
	maxBytes = 48 << 10

	// maxKey bounds a key, which may come from a payload.
	maxKey = 1 << 10

	// settle is how long something may be under way before that is worth a
	// write to the journal: as long as a message may stay unacknowledged
	// (WSR_PERSIST_AFTER). Most requests are answered sooner.
	settle = 50 * time.Millisecond
)

// A state is what an entry stands for. The values are saved.
type state uint8

const (
	// held: a message that a fresh app socket must hear.
	held state = iota

	// underWay: something began that cannot be said again. It has no message,
	// and the snapshot is incomplete until it is forgotten.
	underWay

	// dropped: a held entry of a conflict-free rule was dropped. The mark has
	// no message, and outlives every older copy that still has the entry.
	dropped
)

// An entry is what is kept under one key of one rule, or of the preset.
type entry struct {
	rule    uint32 // 0 is the preset, otherwise rule.id
	key     string
	state   state
	born    uint32 // the Keeper's version when the key was first kept: the order
	version uint32 // the Keeper's version at the last change
	at      int64  // ms since 1970, when it was kept, began, or was dropped
	quiet   bool   // under way for less than settle: no version counts it yet
	m       Message
}

// cost is what an entry counts for against maxBytes.
func (e *entry) cost() int { return len(e.key) + len(e.m.Data) }

// find returns the place of an entry, or -1.
func (k *Tracker) find(rule uint32, key string) int {
	return slices.IndexFunc(k.entries, func(e entry) bool { return e.rule == rule && e.key == key })
}

// keep holds the message under a key of the preset, and copies Data. The
// latest per key wins; the order is that of the first keeping.
func (k *Tracker) keep(now time.Time, key string, m Message) {
	k.put(now, entry{key: key, m: m})
}

// pend notes that something is under way which cannot be said again: until key
// is forgotten the snapshot is incomplete.
func (k *Tracker) pend(now time.Time, key string) {
	k.put(now, entry{key: key, state: underWay, quiet: true})
}

// put places an entry, whose message it copies. One that does not fit is lost,
// and so is what it would have replaced, which is out of date.
func (k *Tracker) put(now time.Time, e entry) {
	i := k.find(e.rule, e.key)
	if i >= 0 && k.entries[i].state == held && e.state == held && k.same(i, now, e.m) {
		return
	}
	e.born = k.version + 1
	if i >= 0 && k.entries[i].state == e.state {
		e.born = k.entries[i].born // its place stays
	} else if i >= 0 {
		k.remove(i)
		i = -1
	}
	old := 0
	if i >= 0 {
		old = k.entries[i].cost()
	}
	if len(e.key) > maxKey || k.size-old+e.cost() > maxBytes || i < 0 && !k.room() {
		if i >= 0 {
			k.remove(i)
		}
		k.incomplete()
		return
	}
	if !e.quiet {
		k.version++
	}
	e.version, e.at, e.m = k.version, now.UnixMilli(), e.m.clone()
	k.size += e.cost() - old
	if i >= 0 {
		k.entries[i] = e
	} else {
		k.entries = append(k.entries, e)
	}
	k.schedule()
}

// same tells whether entry i holds that message already and its life does not
// have to begin anew, so that nothing needs to be written.
func (k *Tracker) same(i int, now time.Time, m Message) bool {
	e := &k.entries[i]
	return e.m.Binary == m.Binary && bytes.Equal(e.m.Data, m.Data) && (k.lifeOf(e) == 0 || e.at == now.UnixMilli())
}

// room makes place for one more entry, if need be instead of the oldest mark
// of a drop.
func (k *Tracker) room() bool {
	if len(k.entries) < maxEntries {
		return true
	}
	i := slices.IndexFunc(k.entries, func(e entry) bool { return e.state == dropped })
	if i < 0 {
		return false
	}
	k.remove(i)
	return true
}

// remove takes entry i out.
func (k *Tracker) remove(i int) {
	k.size -= k.entries[i].cost()
	k.entries = slices.Delete(k.entries, i, i+1)
	k.schedule()
}

// forget drops what is held or under way under a key of the preset.
func (k *Tracker) forget(key string) {
	if i := k.find(0, key); i >= 0 {
		if !k.entries[i].quiet {
			k.version++
		}
		k.remove(i)
	}
}

// kept returns what is held under a key of the preset. It is lent, and must
// not be changed.
func (k *Tracker) kept(key string) (Message, bool) {
	i := k.find(0, key)
	if i < 0 || k.entries[i].state != held {
		return Message{}, false
	}
	return k.entries[i].m, true
}

// pending tells whether something is under way under a key of the preset.
func (k *Tracker) pending(key string) bool {
	i := k.find(0, key)
	return i >= 0 && k.entries[i].state == underWay
}

// each calls fn for every key of the preset with that prefix, in order. fn may
// keep and forget.
func (k *Tracker) each(prefix string, fn func(key string, m Message)) {
	for _, e := range slices.Clone(k.entries) {
		if e.rule == 0 && strings.HasPrefix(e.key, prefix) {
			fn(e.key, e.m)
		}
	}
}
