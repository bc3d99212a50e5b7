package snapshot

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// talk plays a script of play's steps for protocols that are not lines of
// text. A verb that ends in /b is a binary message, in /x one in hex; \n and
// \0 stand for themselves. More steps:
//
//	gets TEXT                      the client must be delivered this, next
//	midway, aligned                must be so
//	restarts CODE, ends CODE       what the app's close means
func talk(t *testing.T, g *Policy, script string) *Tracker {
	t.Helper()
	k, now := g.Tracker("/"), day
	var said, heard []Message
	k.Attach(now, true)
	for n, line := range strings.Split(strings.TrimSpace(script), "\n") {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if verb == "" {
			continue
		}
		verb, m := spoken(t, verb, rest)
		if verb == "gets" {
			if len(heard) == 0 || heard[0].Binary != m.Binary || !bytes.Equal(heard[0].Data, m.Data) {
				t.Fatalf("line %d, %s: the client was delivered %v", n+1, line, heard)
			}
			heard = heard[1:]
			continue
		}
		if len(heard) > 0 {
			t.Fatalf("line %d, %s: the client was delivered %q before", n+1, line, heard[0].Data)
		}
		if verb != "hears" && len(said) > 0 {
			t.Fatalf("line %d, %s: the app was told %q before", n+1, line, said[0].Data)
		}
		switch verb {
		case "client":
			k.Inbound(now, m)
			clear(m.Data)
		case "app", "app!":
			if got := k.Outbound(now, m); got != (verb == "app!") {
				t.Errorf("line %d, %s: swallowed %v", n+1, line, got)
			}
			clear(m.Data)
		case "hears":
			if len(said) == 0 {
				t.Fatalf("line %d, %s: the app was told nothing", n+1, line)
			}
			if said[0].Binary != m.Binary || !bytes.Equal(said[0].Data, m.Data) {
				t.Errorf("line %d, %s: the app was told %q (%x)", n+1, line, said[0].Data, said[0].Data)
			}
			said = said[1:]
			continue
		case "attach", "detach":
			k.Attach(now, verb == "attach")
		case "wait":
			d, err := time.ParseDuration(rest)
			if err != nil {
				t.Fatal(err)
			}
			now = tickUntil(t, k, now, now.Add(d))
		case "move":
			k = moved(t, g, k)
			k.Attach(now, true)
			k.Restore(now)
		case "restore":
			k.Restore(now)
		case "midway", "aligned":
			if k.InFlight() != (verb == "midway") {
				t.Errorf("line %d: not %s", n+1, verb)
			}
		case "restarts", "ends":
			code, err := strconv.ParseUint(rest, 10, 16)
			if err != nil || k.Restarts(uint16(code)) != (verb == "restarts") {
				t.Errorf("line %d: not %s", n+1, line)
			}
		default:
			expectState(t, k, n+1, verb)
		}
		said = append(said, k.ToApp()...)
		heard = append(heard, k.ToClient()...)
	}
	if len(heard) > 0 {
		t.Errorf("the client was delivered %q at the end", heard[0].Data)
	}
	if len(said) > 0 {
		t.Errorf("the app was told %q at the end", said[0].Data)
	}
	return k
}

// spoken reads the message of a step.
func spoken(t *testing.T, verb, text string) (string, Message) {
	t.Helper()
	verb, form, _ := strings.Cut(verb, "/")
	switch form {
	case "x":
		data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return verb, Message{Binary: true, Data: data}
	case "b":
		return verb, Message{Binary: true, Data: []byte(text)}
	}
	return verb, Message{Data: []byte(strings.NewReplacer(`\n`, "\n", `\0`, "\x00").Replace(text))}
}

// moved is what another pod has after it loaded what was saved.
func moved(t *testing.T, g *Policy, k *Tracker) *Tracker {
	t.Helper()
	other := g.Tracker("/")
	if err := other.Load(k.Save()); err != nil {
		t.Fatal(err)
	}
	return other
}

// chat encodes messages for chatter: each has its first byte for who says it
// and how, and a length.
func chat(messages ...string) []byte {
	var b []byte
	for _, m := range messages {
		b = append(b, m[0], byte(len(m)-1))
		b = append(b, m[1:]...)
	}
	return b
}

// overhear calls fn with each message of what chat encodes.
func overhear(b []byte, fn func(mode byte, m Message)) {
	for len(b) >= 2 {
		n := min(int(b[1]), len(b)-2)
		fn(b[0], Message{Binary: b[0]&1 == 1, Data: bytes.Clone(b[2 : 2+n])})
		b = b[2+n:]
	}
}

// chatter lets a conversation happen in both directions, and then restores it
// in place and on another pod. Both must say and swallow the same, and the
// bounds must hold. Within a unit of the protocol they differ in one message:
// in place the app hears the beginning again, and elsewhere the client says it
// again. The bits of a message's first byte: binary, from the app,
// and what else happens: the client comes or goes, or a second passes.
func chatter(t *testing.T, protocol string, before, after []byte) {
	g := mustGuide(t, "", protocol)
	k, now := g.Tracker("/"), day
	k.Attach(now, true)
	overhear(before, func(mode byte, m Message) {
		if mode&2 == 0 {
			k.Inbound(now, m)
		} else {
			k.Outbound(now, m)
		}
		if mode&4 != 0 {
			k.Attach(now, mode&8 == 0)
		}
		if mode&16 != 0 {
			now = now.Add(time.Second)
			k.Tick(now)
		}
		clear(m.Data)
		if len(k.entries) > maxEntries || k.size > maxBytes || len(k.Save()) > MaxSaved {
			t.Fatalf("%d entries of %d bytes", len(k.entries), k.size)
		}
	})
	k.ToApp()
	other := moved(t, g, k)
	other.Attach(now, k.attached())
	k.Restore(now)
	other.Restore(now)
	same := func(what string, a, b any) {
		if a, b := fmt.Sprint(a), fmt.Sprint(b); a != b {
			t.Fatalf("%s: %s in place, %s on another pod", what, a, b)
		}
	}
	stream, midway := k.preset.(*mqtt)
	midway = midway && len(stream.up.part) > 0
	said := func() {
		here, there := k.ToApp(), other.ToApp()
		if midway && !k.Restoring() {
			midway, here = false, here[:len(here)-1]
		}
		same("said", here, there)
		same("delivered", k.ToClient(), other.ToClient())
	}
	k.ToClient()
	said()
	overhear(after, func(_ byte, m Message) {
		same("swallowed", k.Outbound(now, m), other.Outbound(now, m))
		said()
		same("restoring", k.Restoring(), other.Restoring())
		same("failed", k.Failed(), other.Failed())
	})
}
