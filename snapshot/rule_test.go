package snapshot_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/presets"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

func TestRules(t *testing.T) {
	const chat = `"path":"*","select":{"pointer":"/type","equals":"subscribe"},"key":"/channel","drop":{"pointer":"/type","equals":["unsubscribe","part"]}`
	for name, c := range map[string]struct{ rule, script string }{
		"the latest per key, in the order of first keeping": {chat, `
			client {"type":"subscribe","channel":"a","n":1}
			client {"type":"subscribe","channel":"b"}
			client {"type":"say","channel":"a","text":"\"subscribe\""}
			client {"type":"subscribe","channel":"a","n":2}
			client {"type":"subscribe","channel":"c"}
			client {"type":"unsubscribe","channel":"c"}
			client {"type":"subscribe","channel":"d"}
			client {"channel":"d","type":"part"}
			complete
			move
			to-app {"type":"subscribe","channel":"a","n":2}
			to-app {"type":"subscribe","channel":"b"}
			restored`},
		"escapes mean what they mean": {chat, `
			client {"t\u0079pe":"sub\u0073cribe","channel":"\u0061"}
			client {"type":"subscribe","channel":"a"}
			restore
			to-app {"type":"subscribe","channel":"a"}
			restored`},
		"a number, as it is written, is a value and a key": {
			`"path":"*","select":{"pointer":"/op","equals":2},"key":"/d/id"`, `
			client {"op":2,"d":{"id":7}}
			client {"op":2,"d":{"id":8}}
			client {"op":20,"d":{"id":9}}
			client {"op":"2","d":{"id":9}}
			restore
			to-app {"op":2,"d":{"id":7}}
			to-app {"op":2,"d":{"id":8}}
			restored`},
		"no key: one entry": {
			`"path":"*","select":{"pointer":"/0","equals":"login"}`, `
			client ["login",1]
			client ["login",2]
			client ["login", 2
			incomplete
			restore
			to-app ["login",2]
			restored`},
		"an expression's first group is the key": {
			`"path":"*","select":{"regexp":"^SUB (\\S+)"},"drop":{"regexp":"^UNSUB (\\S+)"}`, `
			client SUB a 1
			client SUB b
			client SUB a 2
			client SUB c
			client UNSUB c
			client PUB SUB d
			restore
			to-app SUB a 2
			to-app SUB b
			restored`},
		"the app ends what it was told": {chat + `,"dropOutbound":{"pointer":"/type","equals":"closed"}`, `
			client {"type":"subscribe","channel":"a"}
			client {"type":"subscribe","channel":"b"}
			app {"type":"closed","channel":"a"}
			restore
			to-app {"type":"subscribe","channel":"b"}
			restored`},
		"each entry awaits the app, and extra answers are swallowed as often as was asked": {
			chat + `,"await":{"pointer":"/type","equals":"ok"},"swallow":{"pointer":"/type","equals":"history"}`, `
			client {"type":"subscribe","channel":"a"}
			client {"type":"subscribe","channel":"b"}
			app {"type":"ok"}
			app {"type":"history"}
			restore
			to-app {"type":"subscribe","channel":"a"}
			app {"type":"news"}
			app! {"type":"history"}
			app {"type":"history"}
			app! {"type":"ok"}
			to-app {"type":"subscribe","channel":"b"}
			restoring
			app! {"type":"ok"}
			restored
			app {"type":"ok"}
			app! {"type":"history"}
			app {"type":"history"}`},
		"what comes late is the client's": {chat + `,"swallow":{"pointer":"/type","equals":"ok"}`, `
			client {"type":"subscribe","channel":"a"}
			restore
			to-app {"type":"subscribe","channel":"a"}
			restored
			wait 5s
			app {"type":"ok"}`},
		"an app that is not ready in time": {chat + `,"await":{"pointer":"/type","equals":"ok"}`, `
			client {"type":"subscribe","channel":"a"}
			restore
			to-app {"type":"subscribe","channel":"a"}
			wait 5s
			failed`},
		"a life of its own": {chat + `,"ttl":"1m"`, `
			client {"type":"subscribe","channel":"a"}
			wait 59s
			client {"type":"subscribe","channel":"b"}
			wait 1s
			complete
			restore
			to-app {"type":"subscribe","channel":"b"}
			restored`},
		"without a life of its own it stays": {chat, `
			client {"type":"subscribe","channel":"a"}
			wait 1000h
			restore
			to-app {"type":"subscribe","channel":"a"}
			restored`},
	} {
		t.Run(name, func(t *testing.T) {
			snapshottest.Play(t, snapshottest.Policy(t, `{"rules":[{`+c.rule+`}]}`, "", presets.All()...), c.script)
		})
	}
}

// A preset's part comes first, and the rules' follows when the app is ready.
func TestRulesBesidePreset(t *testing.T) {
	g := snapshottest.Policy(t, `{"rules":[{"path":"*","select":{"regexp":"^\\{\"hello\""}}]}`, "*=actioncable", presets.All()...)
	snapshottest.Play(t, g, `
		app {"type":"welcome"}
		client {"hello":1}
		client {"command":"subscribe","identifier":"a"}
		app {"identifier":"a","type":"confirm_subscription"}
		move
		app! {"type":"welcome"}
		to-app {"command":"subscribe","identifier":"a"}
		app! {"identifier":"a","type":"confirm_subscription"}
		to-app {"hello":1}
		restored`)
}

func TestBounds(t *testing.T) {
	g := snapshottest.Policy(t, `{"rules":[{"path":"*","select":{"pointer":"/type","equals":"sub"},"key":"/c"}]}`, "", presets.All()...)
	say := func(k *snapshot.Tracker, key string, size int) {
		k.Inbound(snapshottest.Start, snapshot.Message{Data: []byte(`{"type":"sub","c":"` + key + `","x":"` + strings.Repeat("x", size) + `"}`)})
	}
	many := func(n int) *snapshot.Tracker {
		k := g.Tracker("/")
		for i := range n {
			say(k, strconv.Itoa(i), 0)
		}
		return k
	}
	if k := many(snapshot.MaxEntries); !k.Complete() || len(k.Entries()) != snapshot.MaxEntries {
		t.Errorf("%d entries: complete %v", len(k.Entries()), k.Complete())
	}
	if k := many(snapshot.MaxEntries + 1); k.Complete() || len(k.Entries()) != snapshot.MaxEntries {
		t.Errorf("%d entries: complete %v", len(k.Entries()), k.Complete())
	}
	k := g.Tracker("/")
	say(k, "a", snapshot.MaxBytes-100)
	say(k, "a", snapshot.MaxBytes-100) // in place of the first
	if !k.Complete() {
		t.Error("one large entry does not fit")
	}
	say(k, "b", 100)
	if size, _, _ := k.Sizes(); k.Complete() || len(k.Entries()) != 1 || size > snapshot.MaxBytes {
		t.Errorf("%d entries of %d bytes, complete %v", len(k.Entries()), size, k.Complete())
	}
	k = g.Tracker("/")
	if say(k, strings.Repeat("k", snapshot.MaxKey+1), 0); k.Complete() {
		t.Error("a key that is too long fits")
	}
	for name, message := range map[string]string{
		"selected":  `{"type":"sub","c":"a","x":"` + strings.Repeat("x", snapshot.MaxLook) + `"}`,
		"undecided": `{"x":"` + strings.Repeat("x", snapshot.MaxLook) + `","type":"sub","c":"a"}`,
	} {
		k := g.Tracker("/")
		if k.Inbound(snapshottest.Start, snapshot.Message{Data: []byte(message)}); k.Complete() || len(k.Entries()) > 0 {
			t.Errorf("%s in a large message: complete %v", name, k.Complete())
		}
	}
	k = g.Tracker("/")
	k.Inbound(snapshottest.Start, snapshot.Message{Data: []byte(`{"type":"blob","x":"` + strings.Repeat("x", snapshot.MaxLook) + `"}`)})
	if !k.Complete() {
		t.Error("a large message that cannot match matters")
	}
}

// What no rule is about passes at no cost in memory.
func TestUnrelatedMessageAllocatesNothing(t *testing.T) {
	const rules = `{"rules":[
		{"path":"*","select":{"pointer":"/type","equals":["subscribe","login"]},"key":"/channel","drop":{"pointer":"/type","equals":"unsubscribe"},"dropOutbound":{"pointer":"/type","equals":"closed"}},
		{"path":"*","select":{"regexp":"^SUB (\\S+)"}}]}`
	k := snapshottest.Policy(t, rules, "").Tracker("/")
	k.Attach(snapshottest.Start, true)
	m := snapshot.Message{Data: []byte(`{"id":"17","type":"next","payload":{"channel":"a","text":"hello"}}`)}
	k.Inbound(snapshottest.Start, m)
	if n := testing.AllocsPerRun(100, func() {
		k.Inbound(snapshottest.Start, m)
		if k.Outbound(snapshottest.Start, m) || k.ToApp() != nil || !k.Deadline().IsZero() {
			t.Error("it meant something")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUnrelated(b *testing.B) {
	g := snapshottest.Policy(b, `{"rules":[{"path":"*","select":{"pointer":"/type","equals":"subscribe"},"key":"/channel","drop":{"pointer":"/type","equals":"unsubscribe"}}]}`, "", presets.All()...)
	k, m := g.Tracker("/"), snapshot.Message{Data: []byte(`{"id":"17","type":"next","payload":{"channel":"a","text":"hello"}}`)}
	b.ReportAllocs()
	for b.Loop() {
		k.Inbound(snapshottest.Start, m)
	}
}
