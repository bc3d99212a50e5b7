package graphql

import (
	"testing"

	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

func TestPreset(t *testing.T) {
	g := snapshottest.Preset(t, "graphql-transport-ws", New)
	for name, script := range map[string]string{
		"subscriptions are sent again after the acknowledgement, which is not for the client": `
			client {"type":"connection_init","payload":{"token":"t"}}
			app {"type":"connection_ack"}
			client {"id":"1","type":"subscribe","payload":{"query":"subscription { a }"}}
			client {"id":"2","type":"subscribe","payload":{"query":"subscription S { b }","operationName":"S"}}
			client {"id":"3","type":"subscribe","payload":{"query":"subscription { c }"}}
			client {"id":"4","type":"subscribe","payload":{"query":"subscription { d }"}}
			app {"id":"1","type":"next","payload":{"data":{"type":"complete","id":"2"}}}
			client {"id":"1","type":"complete"}
			app {"id":"3","type":"complete"}
			app {"id":"4","type":"error","payload":[]}
			client {"id":"1","type":"subscribe","payload":{"query":"subscription { again }"}}
			complete
			move
			to-app {"type":"connection_init","payload":{"token":"t"}}
			restoring
			app! {"type":"connection_ack"}
			to-app {"id":"2","type":"subscribe","payload":{"query":"subscription S { b }","operationName":"S"}}
			to-app {"id":"1","type":"subscribe","payload":{"query":"subscription { again }"}}
			restored
			app {"id":"2","type":"next","payload":{}}
			app {"type":"connection_ack"}`,
		"a client that was not acknowledged to-app the acknowledgement": `
			client {"type":"connection_init"}
			restore
			to-app {"type":"connection_init"}
			app {"type":"connection_ack"}
			restored`,
		"a client that has not begun begins by itself": `
			restore
			restored
			client {"type":"connection_init"}
			app {"type":"connection_ack"}`,
		"a mutation is never sent again, and an adoption during it is not silent": `
			client {"type":"connection_init"}
			app {"type":"connection_ack"}
			client {"id":"m","type":"subscribe","payload":{"query":"mutation { pay }"}}
			incomplete
			app {"id":"m","type":"next","payload":{"data":{"pay":true}}}
			incomplete
			app {"id":"m","type":"complete"}
			complete
			client {"id":"n","type":"subscribe","payload":{"query":"mutation { pay }"}}
			move
			to-app {"type":"connection_init"}
			app! {"type":"connection_ack"}
			restored
			complete`,
		"an operation that is not in the message may be a mutation": `
			client {"id":"p","type":"subscribe","payload":{"extensions":{"persistedQuery":{"sha256Hash":"00"}}}}
			incomplete
			client {"id":"p","type":"complete"}
			complete`,
		"pings are answered for a client that is away, and not otherwise": `
			app {"type":"ping"}
			client {"type":"pong"}
			detach
			app! {"type":"ping"}
			to-app {"type":"pong"}
			app! {"type":"ping","payload":{"n":[1,"}"]}}
			to-app {"type":"pong","payload":{"n":[1,"}"]}}
			attach
			app {"type":"ping"}`,
		"a ping that the client left unanswered": `
			app {"type":"ping","payload":{}}
			detach
			to-app {"type":"pong","payload":{}}
			attach
			detach`,
		"no acknowledgement fails the restore; another socket to-client another chance": `
			client {"type":"connection_init"}
			app {"type":"connection_ack"}
			restore
			to-app {"type":"connection_init"}
			wait 4999ms
			restoring
			wait 1ms
			failed
			restore
			to-app {"type":"connection_init"}
			restoring
			app! {"type":"connection_ack"}
			restored`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}

// A request that is answered in time costs the journal nothing.
func TestShortOperationIsNotJournaled(t *testing.T) {
	g := snapshottest.Preset(t, "graphql-transport-ws", New)
	const query = `client {"id":"q","type":"subscribe","payload":{"query":"{ a }"}}`
	const answer = `
		app {"id":"q","type":"complete"}`
	if k := snapshottest.Play(t, g, query+answer); k.Version() != 0 || !k.Deadline().IsZero() {
		t.Errorf("version %d after a short query", k.Version())
	}
	if k := snapshottest.Play(t, g, query+"\nwait 49ms"+answer); k.Version() != 0 {
		t.Errorf("version %d after 49 ms", k.Version())
	}
	if k := snapshottest.Play(t, g, query+"\nwait 50ms"); k.Version() != 1 {
		t.Errorf("version %d after 50 ms", k.Version())
	}
	if k := snapshottest.Play(t, g, query+"\nwait 50ms"+answer); k.Version() != 2 {
		t.Errorf("version %d after a long query", k.Version())
	}
}

func TestIsSubscription(t *testing.T) {
	for _, c := range []struct {
		document, operation string
		want                bool
	}{
		{"subscription { a }", "", true},
		{"subscription($v: I = {a: \"}\"}) @d(x: {y: 1}) { a { b } }", "", true},
		{"  # subscription\n,subscription S{a}", "S", true},
		{"subscription S { a } fragment F on A { query mutation }", "", true},
		{"fragment F on A @d { x } subscription { ...F }", "", true},
		{"query Q { a } subscription S { b }", "S", true},
		{"subscription { a(s: \"\"\"} \\\"\"\" mutation { \"\"\") }", "", true},
		{"query Q { a } subscription S { b }", "Q", false},
		{"query Q { a } subscription S { b }", "", false}, // the server refuses it
		{"subscription S { a }", "T", false},
		{"mutation { subscription }", "", false},
		{"{ subscription }", "", false},
		{"query subscription { a }", "subscription", false},
		{"\"subscription { a }\" mutation { b }", "", false},
		{"subscriptions { a }", "", false},
		{"subscription", "", false},
		{"", "", false},
	} {
		if got := isSubscription(c.document, c.operation); got != c.want {
			t.Errorf("isSubscription(%q, %q) = %v", c.document, c.operation, got)
		}
	}
}
