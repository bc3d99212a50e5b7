package idempotency

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/match"
)

const selectPay = `"path":"/pay","select":{"pointer":"/type","equals":"pay"}`

// TestBadRules: what is wrong is said, and nothing is taken for something else.
func TestBadRules(t *testing.T) {
	for rules, want := range map[string]string{
		`{}`:                                   `0 in "rules", want 1 to 64`,
		`{"rules":[]}`:                         `0 in "rules"`,
		`[]`:                                   "cannot unmarshal",
		`{"rules":[{"path":"/"}]} x`:           "something follows the object",
		`{"rules":[{"pfad":"/"}]}`:             `unknown field "pfad"`,
		`{"rules":[{"path":"x"}]}`:             `rule 1: path "x": does not start with /`,
		`{"rules":[{"path":"/"}]}`:             `no "key"`,
		`{"rules":[{"path":"/","key":"/id"}]}`: `no "select"`,
		`{"rules":[{` + selectPay + `,"key":"id"}]}`:                                                               `key "id": not an RFC 6901 pointer`,
		`{"rules":[{` + selectPay + `,"key":""}]}`:                                                                 `key "": not an RFC 6901 pointer`,
		`{"rules":[{` + selectPay + `,"key":"/id","scope":"all"}]}`:                                                `scope "all": not user, session or path`,
		`{"rules":[{` + selectPay + `,"key":"/id","scope":"user"}]}`:                                               `no "user"`,
		`{"rules":[{` + selectPay + `,"key":"/id","scope":"path","user":"header:X"}]}`:                             `"user" goes with the scope user`,
		`{"rules":[{` + selectPay + `,"key":"/id","user":"origin"}]}`:                                              `user "origin": want header:NAME`,
		`{"rules":[{` + selectPay + `,"key":"/id","user":"header:a b"}]}`:                                          `user "header:a b"`,
		`{"rules":[{` + selectPay + `,"key":"/id","ttl":"1"}]}`:                                                    `ttl "1": not a duration`,
		`{"rules":[{` + selectPay + `,"key":"/id","ttl":"-1h"}]}`:                                                  `ttl "-1h"`,
		`{"rules":[{` + selectPay + `,"key":"/id","ttl":"200h"}]}`:                                                 `of 1s to 168h0m0s`,
		`{"rules":[{` + selectPay + `,"key":"/id","reply":{}}]}`:                                                   `reply: no "pointer"`,
		`{"rules":[{` + selectPay + `,"key":"/id","reply":{"pointer":"re"}}]}`:                                     `reply: pointer "re"`,
		`{"rules":[{` + selectPay + `,"key":"/id","reply":{"pointer":"/re","request":"x"}}]}`:                      `reply: request "x"`,
		`{"rules":[{` + selectPay + `,"key":"/id","reply":{"pointer":"/re","select":{}}}]}`:                        `reply: select: want either`,
		`{"rules":[{` + selectPay + `,"key":"/id","repeat":"answer"}]}`:                                            `no "reply" says`,
		`{"rules":[{` + selectPay + `,"key":"/id","repeat":"again"}]}`:                                             `want {"say": MESSAGE}, or want "answer" or "drop"`,
		`{"rules":[{` + selectPay + `,"key":"/id","repeat":{"say":1,"x":2}}]}`:                                     `want {"say": MESSAGE}`,
		`{"rules":[{` + selectPay + `,"key":"/id","repeat":{"say":"` + strings.Repeat("x", match.MaxSay) + `"}}]}`: "at most 4096",
		`{"rules":[{` + selectPay + `,"key":"/id","inDoubt":"maybe"}]}`:                                            `inDoubt "maybe": not repeat or refuse`,
		`{"rules":[{` + selectPay + `,"key":"/id","doubt":"x"}]}`:                                                  `doubt: want {"say": MESSAGE}`,
		`{"rules":[{` + selectPay + `,"key":"/id"},{` + selectPay + `,"key":"/id","ttl":"1m"}]}`:                   "rule 2: has path, select and key of rule 1",
		strings.Repeat(" ", match.MaxRulesText+1):                                                                  "at most 262144",
	} {
		if _, err := New([]byte(rules)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.120s: %v; want %q", rules, err, want)
		}
	}
}

func TestRuleDefaults(t *testing.T) {
	p, err := New([]byte(`{"rules":[{` + selectPay + `,"key":"/id"},{"path":"/chat/*","select":{"regexp":"^!"},"key":"fingerprint","user":"cookie:sid","reply":{"pointer":"/re"},"ttl":"90s","inDoubt":"repeat"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	a, b := p.rules[0], p.rules[1]
	if a.TTL != time.Hour || a.scope != scopeSession || a.Repeat != RepeatDrop || a.Again {
		t.Errorf("%+v", a)
	}
	if b.TTL != 90*time.Second || b.scope != scopeUser || b.Repeat != RepeatAnswer || !b.Again || b.reply.request[0] != "re" {
		t.Errorf("%+v", b)
	}
	if none, err := New(nil); none != nil || err != nil || none.Gate("/", Claimant{}, nil) != nil {
		t.Error("no rules are not none")
	}
	if p.Gate("/elsewhere", Claimant{}, nil) != nil {
		t.Error("a path without rules has a gate")
	}
}

// TestKeys: what makes two messages one, and what does not.
func TestKeys(t *testing.T) {
	rules := func(rest string) string { return `{"rules":[{"path":"*","select":{"regexp":"."},` + rest + `}]}` }
	key := func(rules, user string, session byte, data string) (k Key, ok bool) {
		p, err := New([]byte(rules))
		if err != nil {
			t.Fatal(err)
		}
		g := p.Gate("/", Claimant{Session: [16]byte{session}}, func(kind, name string) string { return user })
		m, ok := g.keyOf(Message{Data: []byte(data)}, "")
		return m.key, ok
	}
	session, path, user, print := rules(`"key":"/id"`), rules(`"key":"/id","scope":"path"`), rules(`"key":"/id","user":"header:x"`), rules(`"key":"fingerprint","scope":"path"`)
	type who struct {
		rules, user string
		session     byte
		data        string
	}
	for _, c := range []struct {
		a, b who
		same bool
	}{
		{who{session, "", 1, `{"id":"a"}`}, who{session, "", 1, `{"n":1,"id":"\u0061"}`}, true},
		{who{session, "", 1, `{"id":"a"}`}, who{session, "", 2, `{"id":"a"}`}, false},
		{who{session, "", 1, `{"id":"1"}`}, who{session, "", 1, `{"id":1}`}, false},
		{who{path, "", 1, `{"id":7}`}, who{path, "", 2, `{"id":7}`}, true},
		{who{path, "", 1, `{"id":{"a":1}}`}, who{path, "", 2, `{"id":{"a":1}}`}, true},
		{who{path, "", 1, `{"id":7}`}, who{session, "", 1, `{"id":7}`}, false},
		{who{user, "ann", 1, `{"id":7}`}, who{user, "ann", 2, `{"id":7}`}, true},
		{who{user, "ann", 1, `{"id":7}`}, who{user, "bob", 1, `{"id":7}`}, false},
		{who{user, "", 1, `{"id":7}`}, who{user, "", 2, `{"id":7}`}, false},
		{who{print, "", 1, `x`}, who{print, "", 2, `x`}, true},
		{who{print, "", 1, `x`}, who{print, "", 1, `y`}, false},
	} {
		a, ok1 := key(c.a.rules, c.a.user, c.a.session, c.a.data)
		b, ok2 := key(c.b.rules, c.b.user, c.b.session, c.b.data)
		if !ok1 || !ok2 || (a == b) != c.same {
			t.Errorf("%v and %v: %v %v, the same: %v", c.a, c.b, ok1, ok2, a == b)
		}
	}
	for _, data := range []string{`{}`, `{"id":null}`, `{"id":`, `{"id":"` + strings.Repeat("x", maxKey) + `"}`, `x`} {
		if _, ok := key(session, "", 1, data); ok {
			t.Errorf("%.40s has a key", data)
		}
	}
}

func TestBadStates(t *testing.T) {
	const about = `"entity":"/id","state":"/s"`
	for rule, want := range map[string]string{
		selectPay + `,"entity":"/id"`:                                      `"entity", "state" and "transitions" go together`,
		selectPay + `,` + about + `,"transitions":{"":["a"]},"key":"/id"`:  `goes with neither "key" nor "reply"`,
		`"path":"/",` + about + `,"transitions":{"":["a"]}`:                `no "select"`,
		selectPay + `,"entity":"id","state":"/s","transitions":{"":["a"]}`: `entity "id"`,
		selectPay + `,` + about + `,"transitions":{}`:                      "from 0 states",
		selectPay + `,` + about + `,"transitions":{"a":["b"]}`:             `none from ""`,
		selectPay + `,` + about + `,"transitions":{"":[""]}`:               `from "" to ""`,
		selectPay + `,` + about + `,"transitions":{"":"a"}`:                "cannot unmarshal",
	} {
		if _, err := New([]byte(`{"rules":[{` + rule + `}]}`)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", rule, err, want)
		}
	}
}

// FuzzPosition: what an entry has of an entity is read as it was written, and
// nothing else as a state.
func FuzzPosition(f *testing.F) {
	f.Add((&position{at: "paid", before: "new"}).append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := positionOf(&Entry{Outcome: b})
		if again := positionOf(&Entry{Outcome: p.append(nil)}); !reflect.DeepEqual(again, p) {
			t.Errorf("%x: %+v, then %+v", b, p, again)
		}
	})
}
