package snapshot

import "time"

// restoreWait is how long an app may take until it is ready. The app is near,
// and has just accepted the socket; the client waits meanwhile.
const restoreWait = 5 * time.Second

// A restore tells a fresh app socket what it must hear: first the preset's
// part, then the entries of the rules, one by one where the rule awaits an
// answer.
type restore struct {
	on     bool // until the session's own messages may follow
	preset bool // it is the preset's turn
	failed bool
	until  time.Time // the end of the wait, and of swallowing answers
	left   []entry   // of the rules, to be said
	waits  int       // rule whose await is due, or -1
	owed   []int     // per rule, how many answers are not for the client; nil: none
}

// Restore tells that the app's socket is new. Until Restoring is false the
// session hands nothing else to the app.
func (k *Tracker) Restore(now time.Time) {
	k.age(now)
	k.out = nil
	k.fresh = restore{on: true, preset: k.preset != nil, until: now.Add(restoreWait), waits: -1}
	for _, e := range k.entries {
		if e.rule != 0 && e.state == held {
			k.fresh.left = append(k.fresh.left, e)
		}
	}
	if k.preset != nil {
		k.preset.restore(k, now)
		return
	}
	k.sayRules()
}

// Restoring tells whether a restore is under way, or has failed.
func (k *Tracker) Restoring() bool { return k.fresh.on }

// Failed tells that the restore got no answer within restoreWait, or the wrong
// one: the driver closes this app socket, and tries another.
func (k *Tracker) Failed() bool { return k.fresh.failed }

// restoring is Restoring, for presets.
func (k *Tracker) restoring() bool { return k.fresh.on }

// restored tells that the app has heard the preset's part and is ready for
// what follows.
func (k *Tracker) restored() {
	if k.fresh.on && k.fresh.preset && !k.fresh.failed {
		k.fresh.preset = false
		k.sayRules()
	}
}

// fail tells that the app refused what the client takes for granted.
func (k *Tracker) fail() { k.fresh.failed = k.fresh.on }

// sayRules says entries of the rules until an answer is to be awaited or all
// are said.
func (k *Tracker) sayRules() {
	f := &k.fresh
	for len(f.left) > 0 {
		e := f.left[0]
		f.left = f.left[1:]
		k.say(e.m)
		if f.owed == nil {
			f.owed = make([]int, len(k.rules))
		}
		for i, r := range k.rules {
			if r.id != e.rule {
				continue
			}
			f.owed[i]++
			if r.await != nil {
				f.waits = i
				return
			}
		}
	}
	f.on = false
	if p, ok := k.preset.(byteStream); ok {
		p.repeat(k)
	}
}

// answered tells whether m, which the app said, answers what the restore said
// for rule i, and goes on with the restore if it waited for that.
func (f *restore) answered(k *Tracker, now time.Time, i int, m Message) bool {
	if f.owed == nil || !now.Before(f.until) {
		return false
	}
	r := k.rules[i]
	if f.waits == i && r.await.match(m) {
		f.waits = -1
		k.sayRules()
		return true
	}
	if f.owed[i] > 0 && r.swallow != nil && r.swallow.match(m) {
		f.owed[i]--
		return true
	}
	return false
}

// tick ends a wait that has been too long.
func (f *restore) tick(now time.Time) {
	if f.on && !now.Before(f.until) {
		f.failed = true
	}
}

// deadline returns when the wait is over.
func (f *restore) deadline() time.Time {
	if f.on && !f.failed {
		return f.until
	}
	return time.Time{}
}
