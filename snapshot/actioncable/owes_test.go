package actioncable

import (
	"testing"

	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// What the app owes at each moment.
func TestOwes(t *testing.T) {
	g := snapshottest.Preset(t, "actioncable", New)
	for name, script := range map[string]string{
		"a subscription owes its confirmation, or a rejection": `
			app {"type":"welcome"}
			owes nothing
			client {"command":"subscribe","identifier":"a"}
			client {"command":"subscribe","identifier":"b"}
			owes answer
			app {"type":"ping","message":1}
			app {"identifier":"a","type":"confirm_subscription"}
			owes answer
			app {"identifier":"b","type":"reject_subscription"}
			owes nothing
			client {"command":"unsubscribe","identifier":"a"}
			owes nothing`,
		"what comes of a message to a channel shows nothing": `
			client {"command":"message","identifier":"a","data":"{}"}
			owes unknown
			app {"identifier":"a","message":{}}
			owes unknown
			client {"command":"subscribe","identifier":"b"}
			owes answer`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}
