package snapshot

import (
	"iter"
	"slices"
	"strings"
	"time"
)

// A Conversation is what a Preset sees of its Tracker: the entries that the
// preset keeps, and the ways to the app and to the client.
type Conversation struct{ t *Tracker }

// Keep holds the message under a key, and copies Data. The latest per key wins;
// the order is that of the first keeping.
func (c Conversation) Keep(now time.Time, key string, m Message) {
	c.t.put(now, entry{key: key, m: m})
}

// KeepUnanswered is Keep for a request that the app is about to answer: the
// entry is not worth a write to the journal until the answer takes long.
func (c Conversation) KeepUnanswered(now time.Time, key string, m Message) {
	c.t.put(now, entry{key: key, m: m, unversioned: true})
}

// Kept returns what is held under a key. It is lent, and must not be changed.
func (c Conversation) Kept(key string) (Message, bool) {
	i := c.t.find(0, key)
	if i < 0 || c.t.entries[i].state != held {
		return Message{}, false
	}
	return c.t.entries[i].m, true
}

// SetPending notes that something is under way which cannot be sent again: until
// key is forgotten the snapshot is incomplete.
func (c Conversation) SetPending(now time.Time, key string) {
	c.t.put(now, entry{key: key, state: pending, unversioned: true})
}

// Pending reports whether something is under way under a key.
func (c Conversation) Pending(key string) bool {
	i := c.t.find(0, key)
	return i >= 0 && c.t.entries[i].state == pending
}

// Forget drops what is held or under way under a key.
func (c Conversation) Forget(key string) {
	if i := c.t.find(0, key); i >= 0 {
		if !c.t.entries[i].unversioned {
			c.t.version++
		}
		c.t.remove(i)
	}
}

// ForgetAll drops what is held or under way under all keys with that prefix.
func (c Conversation) ForgetAll(prefix string) {
	for key := range c.All(prefix) {
		c.Forget(key)
	}
}

// All iterates over the keys with that prefix, in order. The entries may be
// changed meanwhile.
func (c Conversation) All(prefix string) iter.Seq2[string, Message] {
	return func(yield func(string, Message) bool) {
		for _, e := range slices.Clone(c.t.entries) {
			if e.rule == 0 && strings.HasPrefix(e.key, prefix) && !yield(e.key, e.m) {
				return
			}
		}
	}
}

// SetIncomplete notes for good that something that mattered is not among the
// entries.
func (c Conversation) SetIncomplete() { c.t.setIncomplete() }

// Complete: see [Tracker.Complete].
func (c Conversation) Complete() bool { return c.t.Complete() }

// Attached reports whether a client is there to answer for itself.
func (c Conversation) Attached() bool { return c.t.attached }

// ToApp tells the app something. It copies Data.
func (c Conversation) ToApp(m Message) { c.t.queueForApp(m) }

// ToClient tells the client something that the app said in another form, or that
// the preset says for the app. It copies Data.
func (c Conversation) ToClient(now time.Time, m Message) {
	if !c.t.rulesSwallow(now, m) {
		c.t.toClient = append(c.t.toClient, m.clone())
	}
}

// Restoring: see [Tracker.Restoring].
func (c Conversation) Restoring() bool { return c.t.Restoring() }

// Restored notes that the app has heard the preset's part of a restore and is
// ready for what follows.
func (c Conversation) Restored() {
	r := &c.t.restore
	if r.active && r.presetTurn && !r.failed {
		r.presetTurn = false
		c.t.restoreRules()
	}
}

// RestoreFailed notes that the app refused what the client takes for granted.
func (c Conversation) RestoreFailed() { c.t.restore.failed = c.t.restore.active }
