package snapshot

import (
	"strconv"
	"strings"
	"testing"
	"time"
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
			hears {"type":"subscribe","channel":"a","n":2}
			hears {"type":"subscribe","channel":"b"}
			restored`},
		"escapes mean what they mean": {chat, `
			client {"t\u0079pe":"sub\u0073cribe","channel":"\u0061"}
			client {"type":"subscribe","channel":"a"}
			restore
			hears {"type":"subscribe","channel":"a"}
			restored`},
		"a number, as it is written, is a value and a key": {
			`"path":"*","select":{"pointer":"/op","equals":2},"key":"/d/id"`, `
			client {"op":2,"d":{"id":7}}
			client {"op":2,"d":{"id":8}}
			client {"op":20,"d":{"id":9}}
			client {"op":"2","d":{"id":9}}
			restore
			hears {"op":2,"d":{"id":7}}
			hears {"op":2,"d":{"id":8}}
			restored`},
		"no key: one entry": {
			`"path":"*","select":{"pointer":"/0","equals":"login"}`, `
			client ["login",1]
			client ["login",2]
			client ["login", 2
			incomplete
			restore
			hears ["login",2]
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
			hears SUB a 2
			hears SUB b
			restored`},
		"the app ends what it was told": {chat + `,"dropOutbound":{"pointer":"/type","equals":"closed"}`, `
			client {"type":"subscribe","channel":"a"}
			client {"type":"subscribe","channel":"b"}
			app {"type":"closed","channel":"a"}
			restore
			hears {"type":"subscribe","channel":"b"}
			restored`},
		"each entry awaits the app, and extra answers are swallowed as often as was asked": {
			chat + `,"await":{"pointer":"/type","equals":"ok"},"swallow":{"pointer":"/type","equals":"history"}`, `
			client {"type":"subscribe","channel":"a"}
			client {"type":"subscribe","channel":"b"}
			app {"type":"ok"}
			app {"type":"history"}
			restore
			hears {"type":"subscribe","channel":"a"}
			app {"type":"news"}
			app! {"type":"history"}
			app {"type":"history"}
			app! {"type":"ok"}
			hears {"type":"subscribe","channel":"b"}
			restoring
			app! {"type":"ok"}
			restored
			app {"type":"ok"}
			app! {"type":"history"}
			app {"type":"history"}`},
		"what comes late is the client's": {chat + `,"swallow":{"pointer":"/type","equals":"ok"}`, `
			client {"type":"subscribe","channel":"a"}
			restore
			hears {"type":"subscribe","channel":"a"}
			restored
			wait 5s
			app {"type":"ok"}`},
		"an app that is not ready in time": {chat + `,"await":{"pointer":"/type","equals":"ok"}`, `
			client {"type":"subscribe","channel":"a"}
			restore
			hears {"type":"subscribe","channel":"a"}
			wait 5s
			failed`},
		"a life of its own": {chat + `,"ttl":"1m"`, `
			client {"type":"subscribe","channel":"a"}
			wait 59s
			client {"type":"subscribe","channel":"b"}
			wait 1s
			complete
			restore
			hears {"type":"subscribe","channel":"b"}
			restored`},
		"without a life of its own it stays": {chat, `
			client {"type":"subscribe","channel":"a"}
			wait 1000h
			restore
			hears {"type":"subscribe","channel":"a"}
			restored`},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, mustGuide(t, `{"rules":[{`+c.rule+`}]}`, ""), c.script)
		})
	}
}

// A preset's part comes first, and the rules' follows when the app is ready.
func TestRulesBesidePreset(t *testing.T) {
	g := mustGuide(t, `{"rules":[{"path":"*","select":{"regexp":"^\\{\"hello\""}}]}`, "*=actioncable")
	play(t, g, `
		app {"type":"welcome"}
		client {"hello":1}
		client {"command":"subscribe","identifier":"a"}
		app {"identifier":"a","type":"confirm_subscription"}
		move
		app! {"type":"welcome"}
		hears {"command":"subscribe","identifier":"a"}
		app! {"identifier":"a","type":"confirm_subscription"}
		hears {"hello":1}
		restored`)
}

func TestBounds(t *testing.T) {
	g := mustGuide(t, `{"rules":[{"path":"*","select":{"pointer":"/type","equals":"sub"},"key":"/c"}]}`, "")
	say := func(k *Tracker, key string, size int) {
		k.Inbound(day, Message{Data: []byte(`{"type":"sub","c":"` + key + `","x":"` + strings.Repeat("x", size) + `"}`)})
	}
	many := func(n int) *Tracker {
		k := g.Tracker("/")
		for i := range n {
			say(k, strconv.Itoa(i), 0)
		}
		return k
	}
	if k := many(maxEntries); !k.Complete() || len(k.Entries()) != maxEntries {
		t.Errorf("%d entries: complete %v", len(k.Entries()), k.Complete())
	}
	if k := many(maxEntries + 1); k.Complete() || len(k.Entries()) != maxEntries {
		t.Errorf("%d entries: complete %v", len(k.Entries()), k.Complete())
	}
	k := g.Tracker("/")
	say(k, "a", maxBytes-100)
	say(k, "a", maxBytes-100) // in place of the first
	if !k.Complete() {
		t.Error("one large entry does not fit")
	}
	say(k, "b", 100)
	if k.Complete() || len(k.Entries()) != 1 || k.size > maxBytes {
		t.Errorf("%d entries of %d bytes, complete %v", len(k.Entries()), k.size, k.Complete())
	}
	k = g.Tracker("/")
	if say(k, strings.Repeat("k", maxKey+1), 0); k.Complete() {
		t.Error("a key that is too long fits")
	}
	for name, message := range map[string]string{
		"selected":  `{"type":"sub","c":"a","x":"` + strings.Repeat("x", maxLook) + `"}`,
		"undecided": `{"x":"` + strings.Repeat("x", maxLook) + `","type":"sub","c":"a"}`,
	} {
		k := g.Tracker("/")
		if k.Inbound(day, Message{Data: []byte(message)}); k.Complete() || len(k.Entries()) > 0 {
			t.Errorf("%s in a large message: complete %v", name, k.Complete())
		}
	}
	k = g.Tracker("/")
	k.Inbound(day, Message{Data: []byte(`{"type":"blob","x":"` + strings.Repeat("x", maxLook) + `"}`)})
	if !k.Complete() {
		t.Error("a large message that cannot match matters")
	}
}

func TestGuideErrors(t *testing.T) {
	const sel = `"select":{"pointer":"/t","equals":"s"}`
	for _, c := range []struct{ rules, protocols, want string }{
		{`{`, "", "rules: unexpected EOF"},
		{`{"rules":[]}`, "", `0 in "rules", want 1 to 64`},
		{`{"rules":[{"path":"/a",` + sel + `}]} x`, "", "something follows"},
		{`{"rules":[{"path":"/a",` + sel + `,"keys":""}]}`, "", `unknown field "keys"`},
		{`{"rules":[{"path":"/a"}]}`, "", `rule 1: no "select"`},
		{`{"rules":[{"path":"a",` + sel + `}]}`, "", `rule 1: path "a": does not start with /`},
		{`{"rules":[{"path":"/a*b",` + sel + `}]}`, "", `path "/a*b": has a *`},
		{`{"rules":[{"path":"/a",` + sel + `},{"path":"/a",` + sel + `,"ttl":"1m"}]}`, "", "rule 2: has path, select and key of rule 1"},
		{`{"rules":[{"path":"/a",` + sel + `,"ttl":"1"}]}`, "", `ttl "1": not a duration`},
		{`{"rules":[{"path":"/a",` + sel + `,"merge":"x"}]}`, "", `merge "x": not last-write-wins or conflict-free`},
		{`{"rules":[{"path":"/a",` + sel + `,"key":"c"}]}`, "", `key "c": not an RFC 6901 pointer`},
		{`{"rules":[{"path":"/a",` + sel + `,"drop":{"regexp":"("}}]}`, "", "drop: regexp \"(\": error parsing"},
		{`{"rules":[{"path":"/a","select":{"pointer":"/t"}}]}`, "", `want either "pointer" and "equals", or "regexp"`},
		{`{"rules":[{"path":"/a","select":{"pointer":"/t~2","equals":1}}]}`, "", `pointer "/t~2"`},
		{`{"rules":[{"path":"/a","select":{"pointer":"/t","equals":[]}}]}`, "", "0 values"},
		{`{"rules":[{"path":"/a","select":{"pointer":"/t","equals":[{}]}}]}`, "", "{} is an object or a list"},
		{`{"rules":[{"path":"/a","select":{"regexp":"` + strings.Repeat("a", maxRegexp+1) + `"}}]}`, "", "regexp of 513 bytes"},
		{"", "http", `protocol "http": not one of actioncable, graphql-transport-ws, `},
		{"", "/a=phoenix,stomp", `protocol "stomp": want path=protocol`},
		{"", "a=phoenix", `path "a": does not start with /`},
	} {
		_, err := New([]byte(c.rules), c.protocols, time.Minute)
		if err == nil || !strings.HasPrefix(err.Error(), "snapshot: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%s, %s): %v, want %s", c.rules, c.protocols, err, c.want)
		}
	}
}

func TestGuideCovers(t *testing.T) {
	g := mustGuide(t, `{"rules":[{"path":"/chat/*","select":{"pointer":"/t","equals":"s"}}]}`, "/graphql=graphql-transport-ws, /p/=phoenix,/p/x=actioncable")
	for path, preset := range map[string]string{
		"/chat/": "", "/chat/a/b": "", "/graphql": "graphql-transport-ws", "/p/x": "phoenix",
	} {
		if k := g.Tracker(path); !g.Covers(path) || k == nil || k.protocol.name != preset {
			t.Errorf("%s: %v", path, k)
		}
	}
	var none *Policy
	for _, g := range []*Policy{g, none, mustGuide(t, "", "")} {
		for _, path := range []string{"/chat", "/graphql/", "/", ""} {
			if g.Covers(path) || g.Tracker(path) != nil {
				t.Errorf("%q is covered", path)
			}
		}
	}
	if !mustGuide(t, "", "phoenix").Covers("/any") {
		t.Error("one protocol does not cover all")
	}
}

// What no rule is about passes at no cost in memory.
func TestUnrelatedMessageAllocatesNothing(t *testing.T) {
	const rules = `{"rules":[
		{"path":"*","select":{"pointer":"/type","equals":["subscribe","login"]},"key":"/channel","drop":{"pointer":"/type","equals":"unsubscribe"},"dropOutbound":{"pointer":"/type","equals":"closed"}},
		{"path":"*","select":{"regexp":"^SUB (\\S+)"}}]}`
	for name, g := range map[string]*Policy{
		"rules": mustGuide(t, rules, ""), "graphql": mustGuide(t, "", "graphql-transport-ws"),
		"phoenix": mustGuide(t, "", "phoenix"), "actioncable": mustGuide(t, "", "actioncable"),
	} {
		k := g.Tracker("/")
		k.Attach(day, true)
		m := Message{Data: []byte(`{"id":"17","type":"next","payload":{"channel":"a","text":"hello"}}`)}
		k.Inbound(day, m)
		if n := testing.AllocsPerRun(100, func() {
			k.Inbound(day, m)
			if k.Outbound(day, m) || k.ToApp() != nil || !k.Deadline().IsZero() {
				t.Error("it meant something")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkUnrelated(b *testing.B) {
	g := mustGuide(b, `{"rules":[{"path":"*","select":{"pointer":"/type","equals":"subscribe"},"key":"/channel","drop":{"pointer":"/type","equals":"unsubscribe"}}]}`, "")
	k, m := g.Tracker("/"), Message{Data: []byte(`{"id":"17","type":"next","payload":{"channel":"a","text":"hello"}}`)}
	b.ReportAllocs()
	for b.Loop() {
		k.Inbound(day, m)
	}
}
