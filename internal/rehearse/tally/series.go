package tally

import (
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/stats"
)

// A Second is what a side did in one second of the run.
type Second struct {
	At       int     `json:"at"` // from the beginning
	Up       int     `json:"up"` // clients that were connected at its end
	Due      int     `json:"due"`
	Lost     int     `json:"lost"` // of those due
	P50, P99 float64 // ms, of those due that were answered
}

// Series returns the seconds of a side up to end.
func Series(side Side, clients []*Client, end time.Duration) []Second {
	list := make([]Second, max(1, int((end+time.Second-1)/time.Second)))
	took := make([][]float64, len(list))
	for i := range list {
		list[i].At = i
	}
	for _, c := range clients {
		if c.Side != side {
			continue
		}
		c.mu.Lock()
		for i := range c.messages {
			m := &c.messages[i]
			at := min(int(m.Due/time.Second), len(list)-1)
			list[at].Due++
			switch {
			case m.Got > 0:
				took[at] = append(took[at], stats.Millis(m.Took))
			case m.Judged:
				list[at].Lost++
			}
		}
		for i := range list {
			if upAt(c.spells, time.Duration(i+1)*time.Second) {
				list[i].Up++
			}
		}
		c.mu.Unlock()
	}
	for i := range list {
		l := latencyOf(took[i])
		list[i].P50, list[i].P99 = l.P50, l.P99
	}
	return list
}

func upAt(spells []Spell, at time.Duration) bool {
	for i := len(spells) - 1; i >= 0; i-- {
		if spells[i].From <= at {
			return spells[i].To == 0 || spells[i].To > at
		}
	}
	return false
}

// An Effect is what a fault did to a side, from its begin to the next one.
type Effect struct {
	Breaks int     // connections that ended
	Lost   int     // messages due from then on, or half a second before, that were not answered
	Worst  float64 // ms, the longest wait for an answer of those due meanwhile
	Back   Latency // times away of clients that were cut off meanwhile
}

// inFlight is how long before a fault a message may have been due that it took.
const inFlight = 500 * time.Millisecond

// EffectOf returns what happened to a side between two instants.
func EffectOf(side Side, clients []*Client, from, to time.Duration) Effect {
	var e Effect
	var back []float64
	for _, c := range clients {
		if c.Side != side {
			continue
		}
		c.mu.Lock()
		for i := range c.messages {
			m := &c.messages[i]
			if !m.Judged || m.Due < from-inFlight || m.Due >= to-inFlight {
				continue
			}
			if m.Got == 0 {
				e.Lost++
			}
			e.Worst = max(e.Worst, stats.Millis(m.Took))
		}
		for _, p := range c.spells {
			if p.To != 0 && p.To >= from && p.To < to {
				e.Breaks++
			}
		}
		for _, a := range c.absences {
			if a.From >= from && a.From < to {
				back = append(back, stats.Millis(a.For))
			}
		}
		c.mu.Unlock()
	}
	e.Back = latencyOf(back)
	return e
}
