package graphql

import (
	"testing"

	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// What the app owes at each moment.
func TestOwes(t *testing.T) {
	g := snapshottest.Preset(t, "graphql-transport-ws", New)
	for name, script := range map[string]string{
		"each query owes its end": `
			owes nothing
			client {"type":"connection_init"}
			owes answer
			app {"type":"connection_ack"}
			owes nothing
			client {"id":"1","type":"subscribe","payload":{"query":"{ a }"}}
			client {"id":"2","type":"subscribe","payload":{"query":"mutation { b }"}}
			owes answer
			app {"id":"1","type":"next","payload":{}}
			app {"id":"2","type":"error","payload":[]}
			owes answer
			app {"id":"1","type":"complete"}
			owes nothing`,
		"a subscription owes nothing, and neither does what the client gave up": `
			client {"type":"connection_init"}
			app {"type":"connection_ack"}
			client {"id":"1","type":"subscribe","payload":{"query":"subscription { a }"}}
			owes nothing
			client {"id":"2","type":"subscribe","payload":{"query":"{ a }"}}
			client {"id":"2","type":"complete"}
			owes nothing`,
		"a ping of the client owes a pong, one of the app nothing": `
			client {"type":"ping"}
			owes answer
			app {"type":"ping"}
			owes answer
			app {"type":"pong"}
			owes nothing
			client {"type":"pong"}
			owes nothing`,
		"what is not of the protocol": `
			client {"type":"custom"}
			owes unknown
			client {"id":"1","type":"subscribe","payload":{"query":"{ a }"}}
			owes answer`,
		"a fresh socket owes what is asked of it": `
			client {"type":"connection_init"}
			app {"type":"connection_ack"}
			client {"id":"1","type":"subscribe","payload":{"query":"{ a }"}}
			client {"type":"ping"}
			restore
			to-app {"type":"connection_init"}
			app! {"type":"connection_ack"}
			restored
			owes nothing`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}
