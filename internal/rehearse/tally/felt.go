package tally

import (
	"slices"
	"time"
)

// Felt is what a client felt of a fault: the longest wait for an answer, and the
// longest time without a message, that ended between the fault and the next one.
type Felt struct{ Wait, Gap time.Duration }

// Heard notes that a message came, for the gaps of Felt.
func (c *Client) Heard(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = append(c.heard, now)
}

// Felt returns what the client felt of the faults, whose instants are ascending. Those
// after which it did not have to come back it did not feel.
func (c *Client) Felt(faults []time.Duration) (list []Felt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, felt := make([]Felt, len(faults)), make([]bool, len(faults))
	of := func(at time.Duration) int { // -1: before the first
		i, _ := slices.BinarySearch(faults, at+1)
		return i - 1
	}
	for i := range c.messages {
		m := &c.messages[i]
		if w := of(m.Due + m.Took); w >= 0 && m.Got > 0 {
			all[w].Wait = max(all[w].Wait, m.Took)
		}
	}
	for i, at := range c.heard {
		if w := of(at); w >= 0 && i > 0 {
			all[w].Gap = max(all[w].Gap, at-c.heard[i-1])
		}
	}
	for _, s := range c.spells {
		if w := of(s.From); w >= 0 && s.By != First {
			felt[w] = true
		}
	}
	for i := range all {
		if felt[i] {
			list = append(list, all[i])
		}
	}
	return list
}
