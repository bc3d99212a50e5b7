package signalr

import (
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// play plays a script in which ␞ stands for the separator.
func play(t *testing.T, script string) *snapshot.Tracker {
	t.Helper()
	return snapshottest.Play(t, snapshottest.Preset(t, "signalr", New), strings.ReplaceAll(script, "␞", string(separator)))
}

func TestPreset(t *testing.T) {
	for name, script := range map[string]string{
		"the handshake is said again, and its answer is not for the client": `
			client {"protocol":"json","version":1}␞
			app {}␞
			client {"type":1,"invocationId":"1","target":"Join","arguments":["a"]}␞
			app {"type":3,"invocationId":"1","result":null}␞
			complete
			move
			to-app {"protocol":"json","version":1}␞
			restoring
			app! {}␞
			to-client {"type":6}␞
			restored
			app {"type":1,"target":"Said","arguments":["b"]}␞`,
		"of one message the client gets what is for it": `
			client {"protocol":"json","version":1}␞
			app {}␞{"type":6}␞
			move
			to-app {"protocol":"json","version":1}␞
			app! {}␞{"type":1,"target":"Said","arguments":["b"]}␞
			to-client {"type":6}␞
			to-client {"type":1,"target":"Said","arguments":["b"]}␞
			restored
			detach
			to-app {"type":6}␞
			app! {"type":1,"target":"A"}␞{"type":6}␞{"type":1,"target":"B"}␞
			to-client {"type":1,"target":"A"}␞{"type":1,"target":"B"}␞`,
		"a client that has not heard the answer hears it": `
			client {"protocol":"json","version":1}␞
			restore
			to-app {"protocol":"json","version":1}␞
			app {}␞
			restored`,
		"a client that has not begun begins by itself": `
			restore
			restored
			client {"protocol":"json","version":1}␞
			app {}␞
			complete`,
		"a handshake that the new app refuses fails the restore": `
			client {"protocol":"json","version":1}␞
			app {}␞
			restore
			to-app {"protocol":"json","version":1}␞
			app! {"error":"Requested protocol 'json' is not available."}␞
			failed
			restore
			to-app {"protocol":"json","version":1}␞
			app! {}␞
			to-client {"type":6}␞
			restored`,
		"a handshake that is refused is not said again": `
			client {"protocol":"json","version":9}␞
			app {"error":"The server does not support version 9 of the 'json' protocol."}␞
			restore
			restored`,
		"a call is never said again, and an adoption during it is not silent": `
			client {"protocol":"json","version":1}␞
			app {}␞
			client {"type":1,"invocationId":"7","target":"Pay","arguments":[]}␞
			incomplete
			app {"type":3,"invocationId":"8"}␞
			incomplete
			client {"type":5,"invocationId":"7"}␞
			incomplete
			app {"type":3,"invocationId":"7","error":"no"}␞
			complete
			client {"type":1,"invocationId":"9","target":"Pay","arguments":[]}␞
			move
			to-app {"protocol":"json","version":1}␞
			app! {}␞
			to-client {"type":6}␞
			restored
			complete`,
		"nor is it while a stream runs, in either direction": `
			client {"protocol":"json","version":1}␞
			app {}␞
			client {"type":4,"invocationId":"1","target":"Count","arguments":[]}␞
			app {"type":2,"invocationId":"1","item":1}␞
			incomplete
			app {"type":3,"invocationId":"1"}␞
			complete
			client {"type":1,"target":"Upload","arguments":[],"streamIds":["2","3"]}␞
			client {"type":2,"invocationId":"2","item":1}␞
			client {"type":3,"invocationId":"2"}␞
			incomplete
			client {"type":3,"invocationId":"3"}␞
			complete`,
		"nor while the app waits for a result of the client": `
			client {"protocol":"json","version":1}␞
			app {}␞
			app {"type":1,"invocationId":"s1","target":"Ask","arguments":[]}␞
			incomplete
			client {"type":3,"invocationId":"s1","result":1}␞
			complete`,
		"the close of a server that stops is not for the client": `
			client {"protocol":"json","version":1}␞
			app {}␞
			ends 1000
			app! {"type":7,"allowReconnect":true}␞
			going
			restarts 1000
			restore
			to-app {"protocol":"json","version":1}␞
			ends 1000
			app! {}␞
			to-client {"type":6}␞
			restored`,
		"it is if a call is under way": `
			client {"protocol":"json","version":1}␞
			app {}␞
			client {"type":1,"invocationId":"1","target":"Pay","arguments":[]}␞
			app {"type":7,"allowReconnect":true}␞
			ends 1000
			going`,
		"another close is the end": `
			client {"protocol":"json","version":1}␞
			app {}␞
			app {"type":7,"error":"Connection closed with an error."}␞
			ended
			ends 1000`,
		"a client that closes leaves nothing": `
			client {"protocol":"json","version":1}␞
			app {}␞
			client {"type":1,"invocationId":"1","target":"Pay","arguments":[]}␞
			client {"type":7}␞
			owes nothing
			restore
			restored`,
		"pings for a client that is away": `
			client {"protocol":"json","version":1}␞
			detach
			wait 1m
			app {}␞
			wait 1ms
			to-app {"type":6}␞
			wait 14998ms
			wait 2ms
			to-app {"type":6}␞
			app! {"type":6}␞
			restore
			to-app {"protocol":"json","version":1}␞
			wait 1s
			app! {}␞
			wait 0s
			to-app {"type":6}␞
			attach
			app {"type":6}␞
			wait 5m`,
		"nothing is said in a conversation that has not begun": `
			detach
			wait 5m`,
		"MessagePack is restored, but its calls are not seen": `
			client/b {"protocol":"messagepack","version":1}␞
			incomplete
			app/b {}␞
			client/x 0591010203
			owes unknown
			app/x 029106
			restore
			to-app/b {"protocol":"messagepack","version":1}␞
			app!/b {}␞
			restored
			detach
			wait 5m`,
		"stateful reconnect": `
			client {"protocol":"json","version":2}␞
			app {}␞
			complete
			client {"type":8,"sequenceId":1}␞
			incomplete`,
		"a record without its end": `
			client {"protocol":"json","version":1}␞
			app {}␞
			client {"type":1,"target":"a"
			incomplete
			owes unknown`,
	} {
		t.Run(name, func(t *testing.T) { play(t, script) })
	}
}

// TestToken: the token of a negotiation is for the server that gave it.
func TestToken(t *testing.T) {
	p, err := snapshot.New(nil, "signalr", time.Minute, []snapshot.Protocol{{Name: "signalr", New: New}})
	if err != nil {
		t.Fatal(err)
	}
	for query, complete := range map[string]bool{"": true, "access_token=t": true, "id=x": false, "a=b&id=": false, "a;b": false} {
		k := p.For(snapshot.Handshake{Path: "/hub", Query: query})
		k.Inbound(snapshottest.Start, snapshot.Message{Data: []byte(`{"protocol":"json","version":1}` + "\x1e")})
		if k.Complete() != complete || snapshottest.Moved(t, p, k).Complete() != complete {
			t.Errorf("%q: complete %v", query, k.Complete())
		}
	}
}

// TestRules: rules say what hub methods are to be called again. They are
// expressions, since a record is not JSON to its end.
func TestRules(t *testing.T) {
	p := snapshottest.Policy(t, `{"rules":[{"path":"*","select":{"regexp":"\"target\":\"(Join)\""}}]}`, "signalr", snapshot.Protocol{Name: "signalr", New: New})
	snapshottest.Play(t, p, strings.ReplaceAll(`
		client {"protocol":"json","version":1}␞
		app {}␞
		client {"arguments":["a"],"target":"Join","type":1}␞
		complete
		move
		to-app {"protocol":"json","version":1}␞
		app! {}␞
		to-client {"type":6}␞
		to-app {"arguments":["a"],"target":"Join","type":1}␞
		restored`, "␞", string(separator)))
}

// What the app owes at each moment.
func TestOwes(t *testing.T) {
	for name, script := range map[string]string{
		"the handshake, and each call that wants a result": `
			owes nothing
			client {"protocol":"json","version":1}␞
			owes answer
			app {}␞
			owes nothing
			client {"type":1,"invocationId":"1","target":"A","arguments":[]}␞{"type":1,"invocationId":"2","target":"B","arguments":[]}␞
			owes answer
			app {"type":3,"invocationId":"2","error":"no"}␞{"type":6}␞
			owes answer
			client {"type":6}␞
			app {"type":3,"invocationId":"1","result":1}␞
			owes nothing`,
		"a stream may have no end": `
			client {"protocol":"json","version":1}␞
			app {}␞
			client {"type":4,"invocationId":"1","target":"A","arguments":[]}␞
			owes unknown
			app {"type":3,"invocationId":"1"}␞
			owes nothing`,
		"a call that wants no result may be answered by one": `
			client {"protocol":"json","version":1}␞
			app {}␞
			client {"type":1,"target":"A","arguments":[]}␞
			owes unknown`,
		"a fresh socket owes what is asked of it": `
			client {"protocol":"json","version":1}␞
			app {}␞
			client {"type":1,"invocationId":"1","target":"A","arguments":[]}␞
			restore
			to-app {"protocol":"json","version":1}␞
			app! {}␞
			to-client {"type":6}␞
			owes nothing`,
	} {
		t.Run(name, func(t *testing.T) { play(t, script) })
	}
}
