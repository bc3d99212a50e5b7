package tally

import "time"

// An Oddity is something that did not go as it should, for whoever looks for why.
type Oddity struct {
	What   string `json:"what"` // lost, doubled, late or away
	Client int    `json:"client"`
	N      int    `json:"n"`              // of the message; of an absence, which it was
	At     int64  `json:"at"`             // ms since the run began: when the message was due, or the connection lost
	Took   int64  `json:"took,omitempty"` // ms, of late and away
	By     string `json:"by,omitempty"`   // how it ended, of away
}

// Oddities are those of a side, client by client.
func Oddities(side Side, clients []*Client, late time.Duration) []Oddity {
	var list []Oddity
	for _, c := range clients {
		if c.Side != side {
			continue
		}
		c.mu.Lock()
		for n := range c.messages {
			m := &c.messages[n]
			o := Oddity{Client: c.Number, N: n, At: m.Due.Milliseconds()}
			switch {
			case !m.Judged:
				continue
			case m.Got == 0:
				o.What = "lost"
			case m.Got > 1:
				o.What = "doubled"
			case m.Took > late:
				o.What, o.Took = "late", m.Took.Milliseconds()
			default:
				continue
			}
			list = append(list, o)
		}
		for n, a := range c.absences {
			list = append(list, Oddity{What: "away", Client: c.Number, N: n, At: a.From.Milliseconds(), Took: a.For.Milliseconds(), By: a.By.String()})
		}
		c.mu.Unlock()
	}
	return list
}
