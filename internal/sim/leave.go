package sim

import (
	"time"

	"github.com/wsresilience/wsresilience/internal/drain"
	"github.com/wsresilience/wsresilience/wire"
)

// drain hands all sessions over, as package drain says, and ends the process.
func (p *pod) drain(total time.Duration) {
	if p.draining || !p.alive {
		return
	}
	p.start(func(t *task) {
		f := drain.Facts{Schedule: drain.Plan(total), Peers: true, Began: p.f.now}
		p.draining = true
		for _, d := range p.all() {
			d.m.Drain(true)
		}
		var moves []*driver
		for {
			f.Now, f.Resilient, f.Created = p.f.now, len(p.sessions), p.created
			switch step := drain.Next(&f).(type) {
			case drain.Wait:
				t.sleep(min(step.Until.Sub(p.f.now), 100*time.Millisecond))
			case drain.Refuse:
				p.refusing, f.Refusing = true, true
			case drain.List:
				moves = p.all()
				p.random.Shuffle(len(moves), func(i, j int) { moves[i], moves[j] = moves[j], moves[i] })
				f.Listed, f.Clients = f.Now, len(moves)
			case drain.Move:
				for _, d := range moves[f.Moved : f.Moved+step.N] {
					d.goAway(f.Moving())
				}
				f.Moved += step.N
			case drain.Remind:
				f.NextAsk = p.remind(f.Moving())
			case drain.HandOver:
				for _, d := range p.all() {
					d.handOver(false, min(f.Patience(), patience), nil)
				}
				f.HandedOver = f.Created
			case drain.Done:
				if step.Left == 0 {
					p.f.reach("drain: nothing is left")
				}
				p.f.after(0, func() { p.leaves() })
				return
			}
		}
	})
}

// leaves is the end of a process by itself: its lease is released.
func (p *pod) leaves() {
	if !p.alive {
		return
	}
	p.released = !p.unheard
	p.dies(false)
}

// goAway asks a client to come elsewhere, and hands a session without one over.
func (d *driver) goAway(last time.Time) {
	switch {
	case d.over || d.dead || d.m.HandingOver():
	case d.m.Attached():
		now := d.enter()
		d.p.f.step("the client is asked to move", d.of, d.p)
		d.asked = d.p.f.now
		d.m.GoAway(wire.GoAwayDraining, max(0, min(drain.MoveDelay, last.Sub(d.p.f.now))))
		d.settle(now)
	default:
		d.handOver(false, patience, nil)
	}
}

func (p *pod) remind(last time.Time) time.Time {
	next := last
	for _, d := range p.all() {
		if d.m.HandingOver() {
			continue
		}
		if due := d.asked.Add(drain.AskAgain); !due.After(p.f.now) {
			d.goAway(last)
		} else if due.Before(next) {
			next = due
		}
	}
	if again := p.f.now.Add(drain.AskAgain); again.Before(next) {
		next = again
	}
	return next
}
