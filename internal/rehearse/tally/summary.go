package tally

import (
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/stats"
)

// A Latency is a distribution of times from the moment a message was due to
// its answer, in milliseconds.
type Latency struct {
	N                         int
	P50, P99, P999, Max, Mean float64
}

// latencyOf describes a list of milliseconds, which it sorts.
func latencyOf(ms []float64) Latency {
	if len(ms) == 0 {
		return Latency{}
	}
	slices.Sort(ms)
	sum := 0.0
	for _, v := range ms {
		sum += v
	}
	return Latency{
		N: len(ms), P50: stats.Quantile(ms, 0.5), P99: stats.Quantile(ms, 0.99), P999: stats.Quantile(ms, 0.999),
		Max: ms[len(ms)-1], Mean: sum / float64(len(ms)),
	}
}

// A Summary is what became of a side. Times are in milliseconds.
type Summary struct {
	Side    string
	Clients int

	Due, Sent, Judged, Answered int     // messages; Judged: those that expect an answer
	Lost                        int     // judged and never answered
	Unsent                      int     `json:",omitempty"` // of the lost: those that never left the client
	Doubled, Reordered          int     // answers
	Late                        int     // answered, but later than the limit
	Foreign                     int     `json:",omitempty"` // answers to nothing that was asked
	Errors                      int     // answers that are the app's errors
	Pushes                      Count   // what the app numbers by itself
	Throughput                  float64 // answers a second

	Breaks       int            // connections that ended
	Resumed      int            `json:",omitempty"`
	Adopted      int            `json:",omitempty"`
	AdoptedBy    map[string]int `json:",omitempty"` // by reason
	SessionsLost int            // what the app knew of a client, gone
	Ends         map[string]int `json:",omitempty"` // of those, by how (End.How)
	Kept         int            // clients that have at the end what they began with
	Retention    float64        // their share
	Connected    float64        // share of the time that clients were connected
	Handshakes   int
	Refused      int // handshakes that did not succeed

	Baseline Latency // of messages that were due before the first fault
	Whole    Latency
	Longest  Latency // the longest of each client
	Away     Latency // between the loss of a connection and the next
}

// A Frame is the time in which messages are judged.
type Frame struct {
	Calm time.Duration // when the first fault comes
	End  time.Duration // when the last message was due
	Late time.Duration // from where an answer is late
}

// Summarise adds up the clients of a side.
func Summarise(side Side, clients []*Client, f Frame) Summary {
	s := Summary{Side: side.String(), AdoptedBy: map[string]int{}, Ends: map[string]int{}}
	var calm, whole, longest, away []float64
	var connected, time time.Duration
	for _, c := range clients {
		if c.Side != side {
			continue
		}
		c.mu.Lock()
		s.Clients++
		before := len(whole)
		s.addMessages(c.messages, f, &calm, &whole)
		if own := whole[before:]; len(own) > 0 {
			longest = append(longest, slices.Max(own))
		}
		s.Pushes.Add(c.ended)
		for _, p := range c.pushes {
			s.Pushes.Add(p.count())
		}
		s.Reordered += c.reordered
		s.Foreign += c.foreign
		s.Errors += c.errors
		s.SessionsLost += len(c.ends)
		for _, e := range c.ends {
			if e.How != "" {
				s.Ends[e.How]++
			}
		}
		s.Handshakes += c.dials
		s.Refused += max(0, c.dials-c.dialled)
		if len(c.ends) == 0 && len(c.spells) > 0 && c.spells[len(c.spells)-1].To == 0 {
			s.Kept++
		}
		for _, a := range c.absences {
			away = append(away, stats.Millis(a.For))
		}
		up, all := s.addSpells(c.spells, f.End)
		connected += up
		time += all
		c.mu.Unlock()
	}
	if s.Clients > 0 {
		s.Retention = float64(s.Kept) / float64(s.Clients)
	}
	if time > 0 {
		s.Connected = min(1, float64(connected)/float64(time))
	}
	if f.End > 0 {
		s.Throughput = float64(s.Answered) / f.End.Seconds()
	}
	s.Baseline, s.Whole, s.Longest, s.Away = latencyOf(calm), latencyOf(whole), latencyOf(longest), latencyOf(away)
	return s
}

func (s *Summary) addMessages(list []Message, f Frame, calm, whole *[]float64) {
	for i := range list {
		m := &list[i]
		s.Due++
		if m.Sent {
			s.Sent++
		}
		if !m.Judged {
			continue
		}
		s.Judged++
		switch {
		case m.Got == 0:
			s.Lost++
			if !m.Sent {
				s.Unsent++
			}
			continue
		case m.Got > 1:
			s.Doubled += int(m.Got) - 1
		}
		s.Answered++
		if m.Took > f.Late {
			s.Late++
		}
		*whole = append(*whole, stats.Millis(m.Took))
		if m.Due < f.Calm {
			*calm = append(*calm, stats.Millis(m.Took))
		}
	}
}

// addSpells counts connections, and returns how long the client was connected of
// the time since it was first.
func (s *Summary) addSpells(spells []Spell, end time.Duration) (up, all time.Duration) {
	for i, p := range spells {
		to := p.To
		if to == 0 {
			to = end
		} else if to < end {
			s.Breaks++
		}
		up += max(0, min(to, end)-p.From)
		if i == 0 {
			all = max(0, end-p.From)
		}
		switch p.By {
		case Resumed:
			s.Resumed++
		case Adopted:
			s.Adopted++
			s.AdoptedBy[p.Why]++
		}
	}
	return up, all
}
