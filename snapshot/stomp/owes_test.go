package stomp

import (
	"testing"

	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// What the app owes at each moment.
func TestOwes(t *testing.T) {
	g := snapshottest.Preset(t, "stomp", New)
	for name, script := range map[string]string{
		"a receipt is owed, whatever it is for": `
			owes nothing
			client CONNECT\n\n\0
			owes answer
			app CONNECTED\n\n\0
			owes nothing
			client SEND\ndestination:/a\nreceipt:1\n\nx\0
			client SUBSCRIBE\nid:0\ndestination:/a\nreceipt:2\n\n\0
			owes answer
			app RECEIPT\nreceipt-id:2\n\n\0
			owes answer
			app MESSAGE\nsubscription:0\n\nx\0
			app RECEIPT\nreceipt-id:1\n\n\0
			owes nothing`,
		"what has no answer": `
			client SUBSCRIBE\nid:0\ndestination:/a\n\n\0
			client ACK\nid:7\n\n\0
			client UNSUBSCRIBE\nid:0\n\n\0
			client \n
			owes nothing`,
		"somebody may answer what is sent without a receipt": `
			client SEND\ndestination:/a\n\nx\0
			owes unknown`,
		"a frame that goes on in another message": `
			app MESSAGE\nsubscription:0\n\nx
			owes answer
			app yz\0
			owes nothing
			client SEND\ndestination:/a\nreceipt:1\n\nx
			owes unknown`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}
