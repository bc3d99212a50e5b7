package sim

import (
	"math/rand/v2"
	"time"
)

// inflict has a fault happen.
func (f *fleet) inflict(x *Fault) {
	if f.ending {
		return
	}
	f.reach("fault: " + x.Kind.String())
	f.note("fault: %v", x)
	j := f.journal
	if x.Kind.ofClient() {
		f.clients[x.Who].suffers(x)
		return
	}
	p := f.pods[x.Who]
	switch x.Kind {
	case Kill:
		p.dies(x.How%2 == 1)
		f.after(x.For, func() { f.replace(x.Who) })
	case Drain:
		p.drain(max(x.For, 1500*time.Millisecond))
		f.after(x.For+3*time.Second, func() { f.replace(x.Who) })
	case Pause:
		p.pause(x.For)
	case AppRestart:
		if p.alive {
			p.app.restarts(x.How%2 == 0, x.For/4)
		}
	case AppSlow:
		p.app.slow = true
		f.after(x.For, p.app.reads)
	case Partition:
		p.cutFrom[x.How] = true
		f.after(x.For, func() { delete(p.cutFrom, x.How) })
	case NoJournal:
		lost := &p.unheard
		if x.How%2 == 1 {
			lost = &p.unanswered
		}
		*lost = true
		f.after(x.For, func() { *lost = false; p.journalBack() })
	case SlowJournal:
		j.slow = 300 * time.Millisecond
		f.after(x.For, func() { j.slow = 0 })
	case Election:
		j.electing = f.now.Add(x.For)
		j.unsure = j.electing.Add(200 * time.Millisecond)
		f.after(x.For, f.journalBack)
	case Full:
		j.full = true
		f.after(x.For, func() { j.full = false; f.journalBack() })
	case Stale:
		j.lag = time.Duration(1+x.How) * 8 * time.Millisecond // more, and a session is not known for good
		f.after(x.For, func() { j.lag = 0 })
	case Wipe:
		j.wipe()
		f.after(100*time.Millisecond, f.writeAgain)
	case Forget:
		j.lose(1 + x.How)
		f.after(100*time.Millisecond, f.writeAgain)
	}
}

// replace starts another process where one has ended.
func (f *fleet) replace(place int) {
	p := f.pods[place]
	switch {
	case !p.alive:
		f.newPod(place)
	case p.draining && !f.ending:
		f.after(time.Second, func() { f.replace(place) })
	}
}

func (f *fleet) journalBack() {
	for place := range len(f.pods) {
		f.pods[place].journalBack()
	}
}

// journalBack tells a process that the journal can be written again.
func (p *pod) journalBack() {
	p.run(func() {
		for _, d := range p.all() {
			now := d.enter()
			d.m.JournalBack()
			d.settle(now)
		}
	})
}

// writeAgain tells all that the journal has lost records.
func (f *fleet) writeAgain() {
	for place := range len(f.pods) {
		p := f.pods[place]
		p.run(func() {
			for _, d := range p.all() {
				now := d.enter()
				d.m.WriteAgain(now)
				d.settle(now)
			}
		})
	}
}

// suffers is inflict of a client.
func (c *program) suffers(x *Fault) {
	if t := c.talk; t != nil && (x.Kind == Cut || x.Kind == Offline) && t.connected && t.dead.IsZero() {
		t.dead = c.f.now
	}
	switch x.Kind {
	case Cut:
		for _, l := range c.links {
			switch x.How {
			case 0:
				l.end.breaks(true)
			case 1:
				l.end.breaks(false)
			case 2:
				l.end.deaf = true
				l.end.peer.deaf = l.end.peer.deaf || c.random.IntN(2) == 0
			default:
				l.end.peer.deaf = true
			}
		}
	case Offline:
		c.offline = c.f.now.Add(x.For)
		for _, l := range c.links {
			l.end.deaf, l.end.peer.deaf = true, true
		}
	case Unheard:
		c.unheard = c.f.now.Add(x.For)
		for _, l := range c.links {
			l.end.breaks(true)
		}
	case Freeze:
		c.freeze(x.For)
	case Slow:
		c.slow = true
		c.f.after(x.For, func() { c.slow = false; c.run(c.wakes) })
	case Leaves:
		c.run(func() {
			c.writes(x.How + 1)
			c.closes()
		})
	case Dismissed:
		if c.talk != nil {
			c.talk.dismisses(1 + x.How)
		}
	case Wake:
		c.run(func() {
			if c.m != nil {
				c.m.NetworkChanged(c.f.now)
				c.wakes()
			}
		})
	}
}

// wakes has the program look what there is to do.
func (c *program) wakes() {
	if c.m != nil {
		c.pump()
	}
}

// closes has the program close.
func (c *program) closes() {
	if c.began && !c.finished && !c.closing {
		c.closing = true
		c.f.step("the client closes", c, nil)
		c.m.Close(c.f.now, 1000, "")
		c.pump()
	}
}

// dismisses has the app say some more, and close the newest of its sockets.
func (t *talk) dismisses(more int) {
	if len(t.sockets) == 0 || t.c.closing {
		return
	}
	if s := t.sockets[len(t.sockets)-1]; s.app.sockets[s] && !s.asked {
		s.app.p.run(func() {
			for range more {
				s.says()
			}
			if s.app.sockets[s] && !s.closing {
				t.byApp, t.closer = true, s
				s.closesWith(3000)
			}
		})
	}
}

// newProgram starts a client.
func newProgram(f *fleet, n int) *program {
	c := &program{f: f, n: n, habit: f.plan.Habits[n], random: rand.New(rand.NewPCG(f.seed, uint64(100+n)))}
	f.after(time.Duration(c.random.IntN(300))*time.Millisecond, func() {
		c.starts()
		c.chat()
	})
	return c
}

// chat writes now and then.
func (c *program) chat() {
	if c.f.ending || c.finished {
		return
	}
	c.run(func() { c.writes(1 + c.random.IntN(3)*c.random.IntN(2)) })
	every := c.f.plan.Every
	c.f.after(every/2+time.Duration(c.random.Int64N(int64(every))), c.chat)
}
