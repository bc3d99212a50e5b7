package mqtt

import (
	"testing"

	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// What the app owes at each moment.
func TestOwes(t *testing.T) {
	g := snapshottest.Preset(t, "mqtt", New)
	for name, script := range map[string]string{
		"what has an identifier is acknowledged": `
			owes nothing
			client/x 100d 0004 4d515454 04 02 000a 0001 61
			owes answer
			app/x 2002 00 00
			owes nothing
			client/x 8208 0001 0003 612f62 01
			client/x 3207 0003 612f62 0002
			owes answer
			app/x 4002 0002
			owes answer
			app/x 9003 0001 01
			owes nothing
			client/x a207 0003 0003 612f62
			owes answer
			app/x b002 0003
			owes nothing`,
		"of QoS 2 both steps": `
			client/x 3407 0003 612f62 0002
			owes answer
			app/x 5002 0002
			owes nothing
			client/x 6202 0002
			owes answer
			app/x 7002 0002
			owes nothing`,
		"a ping": `
			client/x c000
			owes answer
			app/x d000
			owes nothing`,
		"what the broker sends is not asked for": `
			app/x 3207 0003 612f62 0002
			client/x 4002 0002
			owes nothing`,
		"half a packet of the broker": `
			app!/x 3006 0001 63
			owes answer
			app!/x 6279 7a
			to-client/x 3006 0001 63 62797a
			owes nothing`,
		"nobody acknowledges QoS 0, and somebody may answer": `
			client/x 3005 0003 612f62
			owes unknown
			client/x c000
			owes answer`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}
