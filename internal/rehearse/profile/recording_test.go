package profile

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestScalars(t *testing.T) {
	text := `{"a" : {"b/c": [1, "x\n", {"d":null}] }, "e":true}`
	var got []string
	for _, s := range scalarsOf(text) {
		got = append(got, fmt.Sprintf("%s=%s %s", s.pointer, text[s.from:s.to], s.form()))
	}
	want := `[/a/b~1c/0=1 number /a/b~1c/1="x\n" string /a/b~1c/2/d=null other /e=true other]`
	if fmt.Sprint(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for _, text := range []string{"", "text", "5", `{"a":`, `{"a":1} {`, "[1]]"} {
		if list := scalarsOf(text); list != nil {
			t.Errorf("%s: %v", text, list)
		}
	}
}

// session is what a chat client says and hears: a greeting, numbered messages
// whose numbers come back elsewhere, and one that nobody answers.
func session() []Said {
	var list []Said
	at := time.Duration(0)
	say := func(up bool, format string, args ...any) {
		at += 100 * time.Millisecond
		list = append(list, Said{At: at, Up: up, Text: fmt.Sprintf(format, args...)})
	}
	say(true, `{"op":"join","room":"red"}`)
	say(false, `{"op":"joined","room":"red"}`)
	for i := range 4 {
		say(true, `{"op":"say","ref":%d,"text":"hello %d","to":"red"}`, 40+i, i*i*i)
		say(false, `{"op":"ack","data":{"ref":%d}}`, 40+i)
		say(true, `{"op":"typing"}`)
	}
	return list
}

func TestRecord(t *testing.T) {
	p, err := Record(session())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Hello) != 1 || p.Hello[0] != `{"op":"join","room":"red"}` {
		t.Errorf("hello %q", p.Hello)
	}
	if len(p.Messages) != 2 {
		t.Fatalf("messages %+v", p.Messages)
	}
	say, typing := p.Messages[0], p.Messages[1]
	if say.Name != "say" || say.Weight != 4 || say.Send != `{"op":"say","ref":{{n}},"text":"{{text 8}}","to":"red"}` || say.Answer == nil || say.Answer.Pointer != "/data/ref" {
		t.Errorf("%+v, answer %+v", say, say.Answer)
	}
	if !typing.Silent || typing.Send != `{"op":"typing"}` {
		t.Errorf("%+v", typing)
	}
	if d := time.Duration(p.Think); d < 100*time.Millisecond || d > 200*time.Millisecond {
		t.Errorf("think %v", d)
	}
	// What is written can be read.
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Parse(text); err != nil || again.Messages[0].Send != say.Send {
		t.Errorf("%v in\n%s", err, text)
	}
}

// An echo's answer is where the question was; strings become {{id}}.
func TestRecordEcho(t *testing.T) {
	var list []Said
	for i := range 3 {
		text := fmt.Sprintf(`{"id":"q%d","n":7}`, i)
		list = append(list, Said{At: time.Duration(i), Up: true, Text: text}, Said{At: time.Duration(i), Text: text})
	}
	p, err := Record(list)
	if err != nil || len(p.Messages) != 1 || p.Messages[0].Send != `{"id":"{{id}}","n":7}` || p.Messages[0].Answer.Pointer != "/id" {
		t.Errorf("%+v, %v", p, err)
	}
}

// Without any answer all is silent, and without a message there is no profile.
func TestRecordNothing(t *testing.T) {
	p, err := Record([]Said{{Up: true, Text: "ping"}, {Up: true, Text: "ping"}, {Text: "pong"}})
	if err != nil || len(p.Messages) != 1 || !p.Messages[0].Silent || p.Messages[0].Weight != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := Record([]Said{{Text: "welcome"}}); err == nil {
		t.Error("a profile of nothing")
	}
}
