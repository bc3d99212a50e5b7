package sim

import (
	"fmt"
	"time"
)

// persistLimit is how long before its owner's death an app must have said a message
// that a journal which is well has for sure.
func (f *fleet) persistLimit() time.Duration { return persistWait + 250*time.Millisecond }

// healTime is within which everything has to have come to rest when nothing is broken
// any more.
const healTime = 90 * time.Second

// heals mends everything, and wants every message to arrive, every session to end when
// its client closes it, and all memory back.
func (f *fleet) heals() {
	f.ending = true
	j := f.journal
	j.electing, j.unsure, j.full, j.lag, j.slow = time.Time{}, time.Time{}, false, 0, 0
	for place := range len(f.pods) {
		p := f.pods[place]
		clear(p.cutFrom)
		p.unheard, p.unanswered = false, false
		p.app.reads()
		switch {
		case !p.alive:
			f.newPod(place)
		case p.draining:
			f.after(10*time.Second, func() {
				if p.alive {
					p.leaves()
				}
				f.replace(place)
			})
		}
	}
	f.journalBack()
	for _, c := range f.clients {
		c.slow, c.offline, c.unheard = false, time.Time{}, time.Time{}
	}
	f.waits("every message arrives", nil, func(c *program) string { return c.unsettled() })
	for _, c := range f.clients {
		c.closes()
	}
	f.waits("every session ends", nil, func(c *program) string {
		if !c.finished {
			return "the session has not ended"
		}
		return ""
	})
	f.waits("all memory is given back", f.held, func(*program) string { return "" })
}

// waits lets time pass until nothing is left to be done.
func (f *fleet) waits(what string, all func() string, left func(*program) string) {
	end := f.now.Add(healTime)
	for {
		var who *program
		why := ""
		if all != nil {
			why = all()
		}
		for _, c := range f.clients {
			if w := left(c); w != "" {
				who, why = c, w
				break
			}
		}
		if why == "" {
			return
		}
		if !f.now.Before(end) {
			f.broke(who, "progress", fmt.Sprintf("%s: not within %v: %s", what, healTime, why))
		}
		f.runs(500 * time.Millisecond)
	}
}

// unsettled tells what a client's talk still waits for.
func (c *program) unsettled() string {
	t := c.talk
	switch v := c.m.View(); {
	case c.finished:
	case !c.began:
		return "no session has begun"
	case c.closing, t.byApp && t.closer.owner == t.newest && !t.newest.dead:
		return "one side has closed, and the session has not ended"
	case !v.Connected:
		return "it has no connection"
	case v.Unacked > 0:
		return fmt.Sprintf("%d messages are not acknowledged", v.Unacked)
	case t.handed < t.wrote:
		return fmt.Sprintf("the app's sockets took %d of %d messages", t.handed, t.wrote)
	default:
		return t.missing()
	}
	return ""
}

// missing tells of a message of the app that has not arrived and has to.
func (t *talk) missing() string {
	for k := t.got + 1; int(k) <= len(t.said); k++ {
		if why := t.mayMiss(k, 0); why != "" {
			return fmt.Sprintf("the client has not read message %d: %s", k, why)
		}
	}
	return ""
}

// held tells what memory sidecars hold though no session is left.
func (f *fleet) held() string {
	for place := range len(f.pods) {
		p := f.pods[place]
		if n := p.cfg.Pool.InUse(); n != 0 || len(p.sessions) > 0 {
			return fmt.Sprintf("%s has %d sessions and %d bytes of windows", p.name, len(p.sessions), n)
		}
	}
	return ""
}
