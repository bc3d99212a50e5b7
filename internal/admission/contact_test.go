package admission

import (
	"testing"
	"time"
)

// TestContact plays attempts to reach an owner: at each moment what happens,
// and what is known then.
func TestContact(t *testing.T) {
	const s, m = time.Second, time.Minute
	type line struct {
		at               time.Duration
		happens          string // of an attempt that was begun a second before
		up, down, forget bool
		unreachable      time.Duration
	}
	for name, play := range map[string][]line{
		"nothing is known": {{at: 0, forget: true}},
		"it listens": {
			{at: 0, happens: "connected", up: true},
			{at: s - 1, up: true},
			{at: s, forget: true},
		},
		"it does not answer": {
			{at: 0, happens: "failed", down: true},
			{at: s - 1, down: true, unreachable: s - 1},
			{at: s, unreachable: s},
			{at: 5 * m, happens: "failed", down: true, unreachable: 5 * m},
			{at: 14 * m, unreachable: 14 * m},
			{at: 15 * m, forget: true},
		},
		"it accepts connections and does not answer": {
			{at: 0, happens: "failed", down: true},
			{at: 2 * s, happens: "connected", up: true, unreachable: 2 * s},
			{at: 4 * s, happens: "failed", down: true, unreachable: 4 * s},
		},
		"an answer ends an outage": {
			{at: 0, happens: "failed", down: true},
			{at: 2 * s, happens: "answered", forget: true},
			{at: 4 * s, happens: "failed", down: true},
			{at: 6 * s, unreachable: 2 * s},
		},
		"it has answered another one meanwhile": {
			{at: 0, happens: "answered", forget: true},
			{at: s / 2, happens: "failed", forget: true},
		},
	} {
		var c Contact
		for _, l := range play {
			now := now.Add(l.at)
			switch l.happens {
			case "connected":
				c.Connected(now)
			case "answered":
				c.Answered(now)
			case "failed":
				c.Failed(now, now.Add(-s))
			}
			if up, down, d, forget := c.Up(now), c.Down(now), c.UnreachableFor(now), c.Forgettable(now); up != l.up || down != l.down || d != l.unreachable || forget != l.forget {
				t.Errorf("%s: after %v it is up %v, down %v, unreachable for %v, forgettable %v", name, l.at, up, down, d, forget)
			}
		}
	}
}
