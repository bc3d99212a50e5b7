package snapshot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/presets"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// What the app owes by rules that tell requests and replies.
func TestExchanges(t *testing.T) {
	const (
		rpc  = `{"path":"*","request":{"regexp":"\"method\":"},"reply":{"regexp":"\"(?:result|error)\":"},"key":"/id"}`
		text = `{"path":"*","request":{"regexp":"^GET (\\S+)"},"reply":{"regexp":"^(?:GOT|NO) (\\S+)"}}`
	)
	for name, c := range map[string]struct{ rules, protocol, script string }{
		"each request has its reply, in any order": {rpc, "", `
			owes nothing
			client {"id":1,"method":"a"}
			client {"id":"x","method":"b"}
			owes answer
			app {"id":"x","error":{}}
			app {"method":"told","params":{}}
			owes answer
			app {"id":1,"result":{}}
			owes nothing`},
		"a request without a key, and what is no request, have none": {rpc, "", `
			client {"method":"notified"}
			client {"hello":1}
			client/b x
			owes nothing`},
		"groups of expressions": {text, "", `
			client GET a
			client GET b
			client PUT c
			app NO b
			owes answer
			app GOT a
			owes nothing`},
		"a fresh socket owes nothing": {rpc, "", `
			client {"id":1,"method":"a"}
			restore
			restored
			owes nothing`},
		"a reply that is too large to be looked at may be any": {rpc, "", `
			client {"id":1,"method":"a"}
			app {"filler":"` + strings.Repeat("x", 65<<10) + `","id":1,"result":{}}
			owes unknown
			client {"id":2,"method":"a"}
			owes answer
			app {"id":2,"result":{}}
			owes unknown`},
		"beside a preset, whose word counts too": {text, "socket.io", `
			client 421["ask"]
			owes answer
			app 431["answer"]
			client 42["an event that the preset does not know"]
			owes nothing
			client GET a
			owes answer
			app GOT a
			owes nothing`},
	} {
		t.Run(name, func(t *testing.T) {
			snapshottest.Play(t, snapshottest.Policy(t, `{"rules":[`+c.rules+`]}`, c.protocol, presets.All()...), c.script)
		})
	}
}

// Rules for requests say nothing of what a fresh app socket must hear.
func TestExchangesCoverNothing(t *testing.T) {
	p, err := snapshot.New([]byte(`{"rules":[{"path":"/rpc","request":{"regexp":"a"},"reply":{"regexp":"b"},"key":"/id"}]}`), "", time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	if k := p.Tracker("/rpc"); k == nil || k.Covers() {
		t.Error("the path is covered, or nothing is followed")
	}
	if p.Tracker("/") != nil {
		t.Error("another path is followed")
	}
}
