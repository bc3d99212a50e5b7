package snapshot

import "time"

// restoreWait is how long an app may take until it is ready. The app is near,
// and has just accepted the socket; the client waits meanwhile.
const restoreWait = 5 * time.Second

// A restore tells a fresh app socket what it must hear: first the preset's
// part, then the entries of the rules, one by one where the rule awaits an
// answer.
type restore struct {
	active     bool // until the session's own messages may follow
	presetTurn bool // the preset has not called Restored yet
	failed     bool
	until      time.Time // the end of the wait, and of swallowing answers
	queue      []entry   // of the rules, to be said
	awaiting   int       // rule whose await is due, or -1
	unanswered []int     // per rule, how many answers are not for the client; nil: none
}

// Restore notes that the app's socket is new. Until Restoring is false the
// session hands nothing else to the app.
func (t *Tracker) Restore(now time.Time) {
	t.expire(now)
	t.toApp, t.asked = nil, Requests{}
	t.restore = restore{active: true, presetTurn: t.preset != nil, until: now.Add(restoreWait), awaiting: -1}
	for _, e := range t.entries {
		if e.rule != 0 && e.state == held {
			t.restore.queue = append(t.restore.queue, e)
		}
	}
	if t.preset != nil {
		t.preset.Restore(Conversation{t}, now)
		return
	}
	t.restoreRules()
}

// Restoring reports whether a restore is under way, or has failed.
func (t *Tracker) Restoring() bool { return t.restore.active }

// Failed reports whether the restore got no answer within restoreWait, or the
// wrong one: the driver closes this app socket, and tries another.
func (t *Tracker) Failed() bool { return t.restore.failed }

// restoreRules says entries of the rules until an answer is to be awaited or all
// are said.
func (t *Tracker) restoreRules() {
	r := &t.restore
	for len(r.queue) > 0 {
		e := r.queue[0]
		r.queue = r.queue[1:]
		t.queueForApp(e.m)
		if r.unanswered == nil {
			r.unanswered = make([]int, len(t.rules))
		}
		for i, rule := range t.rules {
			if rule.id != e.rule {
				continue
			}
			r.unanswered[i]++
			if rule.await != nil {
				r.awaiting = i
				return
			}
		}
	}
	r.active = false
	if p, ok := t.preset.(ByteStream); ok {
		p.Repeat(Conversation{t})
	}
}

// answered reports whether m, which the app said, answers what the restore said
// for rule i, and goes on with the restore if it waited for that.
func (r *restore) answered(t *Tracker, now time.Time, i int, m Message) bool {
	if r.unanswered == nil || !now.Before(r.until) {
		return false
	}
	rule := t.rules[i]
	if r.awaiting == i && rule.await.Match(m.Data) {
		r.awaiting = -1
		t.restoreRules()
		return true
	}
	if r.unanswered[i] > 0 && rule.swallow != nil && rule.swallow.Match(m.Data) {
		r.unanswered[i]--
		return true
	}
	return false
}

// tick ends a wait that has been too long.
func (r *restore) tick(now time.Time) {
	if r.active && !now.Before(r.until) {
		r.failed = true
	}
}

// deadline returns when the wait is over.
func (r *restore) deadline() time.Time {
	if r.active && !r.failed {
		return r.until
	}
	return time.Time{}
}
