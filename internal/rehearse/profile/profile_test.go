package profile

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	p, err := Parse([]byte(`{
		"name": "chat", "plain": 3, "think": "200ms",
		"login": {"url": "http://h/login", "body": "user{{client}}", "token": {"pointer": "/token"}},
		"messages": [
			{"send": "{\"id\":\"{{id}}\"}", "weight": 3},
			{"name": "typing", "send": "t", "silent": true}
		],
		"answer": {"pointer": "/id"}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	if p.Plain != 3 || p.Resilient != 0 || p.Late != DefaultLate || p.Login.Method != "POST" || p.Messages[0].Name != "message 1" {
		t.Errorf("%+v", p)
	}
	if got := p.Pick(0.74).Name + p.Pick(0.76).Name; got != "message 1typing" {
		t.Errorf("drawn: %s", got)
	}
	if n := len(p.Answers()); n != 1 {
		t.Errorf("%d places of answers", n)
	}
	if got, _ := p.Answers()[0].Find([]byte(`{"id":"3-7"}`)); got != "3-7" {
		t.Errorf("found %q: an answer that is named twice is compiled once", got)
	}
}

func TestRefused(t *testing.T) {
	const ok = `"messages":[{"send":"{{n}}","answer":{"regexp":"(.*)"}}]`
	for text, want := range map[string]string{
		`{}`:                              "no messages",
		`{` + ok + `,"colour":1}`:         `there is no field "colour"; a profile has name plain`,
		`{` + ok + `,"think":"fast"}`:     "want a time",
		`{` + ok + `,"plain":-1}`:         "allowed are",
		`{` + ok + `,"spread":2}`:         "allowed are",
		`{` + ok + `,"query":"{{no}}"}`:   "allowed are id",
		`{` + ok + `,"hello":["{{n"]}`:    "{{ without }}",
		`{"messages":[{"send":"{{n}}"}]}`: "where does the number stand",
		`{"messages":[{"send":"x","answer":{"pointer":"/id"}}]}`:               "put {{id}}",
		`{"messages":[{"send":"{{n}}","answer":{"pointer":"id"}}]}`:            "JSON pointer",
		`{"messages":[{"send":"{{n}}","answer":{}}]}`:                          "one of the two",
		`{"messages":[{"send":"{{n}}","answer":{"regexp":"("}}]}`:              "missing closing",
		`{"messages":[{"send":"{{n}}{{random 5}}","answer":{"pointer":"/"}}]}`: "random FROM TO",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestTemplate(t *testing.T) {
	f := &Fields{Client: 4, N: 9, Token: "tk", Now: time.UnixMilli(77), Random: rand.New(rand.NewPCG(1, 2))}
	got := Template(`{{id}} {{n}} {{client}} {{token}} {{ time }} {{random 5 5}} {{text 3}} {{pick a|a}} {"a":{}}`).Expand(f)
	if !regexp.MustCompile(`^4-9 9 4 tk 77 5 [a-z]{3} a {"a":{}}$`).MatchString(got) {
		t.Errorf("%q", got)
	}
}

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		m    Match
		text string
		want string
		ok   bool
	}{
		{Match{Pointer: "/data/0/id"}, `{"data":[{"id":"1-2"}]}`, "1-2", true},
		{Match{Pointer: "/a~1b"}, `{"a/b":5}`, "5", true},
		{Match{Pointer: "/id"}, `{"id":null}`, "", false},
		{Match{Pointer: "/error"}, `{"error":false}`, "", false},
		{Match{Pointer: "/id"}, `no JSON`, "", false},
		{Match{Regexp: `id=(\S+)`}, `ack id=1-3 ok`, "1-3", true},
		{Match{Regexp: `ERR`}, `ERR 5`, "ERR", true},
		{Match{Regexp: `id=`}, `nothing`, "", false},
	} {
		if err := tt.m.compile(); err != nil {
			t.Fatal(err)
		}
		if got, ok := tt.m.Find([]byte(tt.text)); got != tt.want || ok != tt.ok {
			t.Errorf("%+v in %s: %q %t, want %q %t", tt.m, tt.text, got, ok, tt.want, tt.ok)
		}
	}
}

func TestKeys(t *testing.T) {
	for text, want := range map[string]int{Key(3, 8): 8, "8": 8, "4-8": -1, "3-": -1, "x": -1, "-1": -1, "3--1": -1} {
		n, ok := ParseKey(text, 3)
		if ok != (want >= 0) || ok && n != want {
			t.Errorf("%q: %d %t, want %d", text, n, ok, want)
		}
	}
}
