package snapshot

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// FuzzLoad: what loads is within the bounds, and is saved as it was loaded.
func FuzzLoad(f *testing.F) {
	g := everything(f)
	k := g.Tracker("/")
	f.Add(k.Save())
	hear(k, day, "set a 1", "del a", "sub b", "tmp c", `{"type":"connection_init"}`, `{"id":"1","type":"subscribe","payload":{}}`)
	f.Add(k.Save())
	f.Fuzz(func(t *testing.T, b []byte) {
		k := g.Tracker("/")
		if k.Load(b) != nil {
			return
		}
		checkBounds(t, k)
		saved := k.Save()
		again := g.Tracker("/")
		if err := again.Load(saved); err != nil || !bytes.Equal(again.Save(), saved) {
			t.Fatalf("loaded twice: %v", err)
		}
		k.Entries()
		k.Restore(day)
		k.Tick(day.Add(time.Hour))
		checkBounds(t, k)
	})
}

// FuzzNew: what is configured never panics, and an error names the package.
func FuzzNew(f *testing.F) {
	f.Add(`{"rules":[{"path":"/chat/*","select":{"pointer":"/type","equals":["a",1,null,true]},"key":"/c","drop":{"regexp":"x"},"ttl":"1h","merge":"conflict-free"}]}`, "/a=phoenix, *=actioncable")
	f.Add(`{"rules":[{"path":"*","select":{"regexp":"(a)(b)?"},"await":{"pointer":"","equals":"x"},"swallow":{"pointer":"/0/~1~0","equals":-1e9}}]}`, "stomp")
	f.Fuzz(func(t *testing.T, rules, protocols string) {
		g, err := New([]byte(rules), protocols, time.Minute)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "snapshot: ") {
				t.Errorf("error %v", err)
			}
			return
		}
		if k := g.Tracker("/chat/a"); k != nil {
			hear(k, day, rules, `{"type":"a","c":1}`, "ab")
			checkBounds(t, k)
		}
	})
}

// FuzzOperation: any document ends.
func FuzzOperation(f *testing.F) {
	f.Add("query Q($a: [I!] = 1) @d(x: \"}\") { a } subscription S { b }", "S")
	f.Add("\"\"\" \\\"\"\" ", "")
	f.Fuzz(func(t *testing.T, document, name string) {
		if isSubscription(document, name) && !strings.Contains(document, "subscription") {
			t.Error("a subscription out of nothing")
		}
	})
}

// FuzzPresets plays messages, a line each, to every preset: the first byte
// says who speaks. Nothing panics, and the bounds are kept.
func FuzzPresets(f *testing.F) {
	f.Add("<{\"type\":\"connection_init\"}\n>{\"type\":\"connection_ack\"}\n<{\"id\":\"1\",\"type\":\"subscribe\",\"payload\":{\"query\":\"subscription{a}\"}}\nr\n>{\"type\":\"connection_ack\"}\nd\n>{\"type\":\"ping\",\"payload\":{}}")
	f.Add("<[\"1\",\"1\",\"a\",\"phx_join\",{}]\n>[\"1\",\"1\",\"a\",\"phx_reply\",{\"status\":\"ok\"}]\nr\n>[\"1\",\"1\",\"a\",\"phx_reply\",{\"status\":\"ok\"}]\n>[\"1\",\"1\",\"a\",\"phx_close\",{}]")
	f.Add("<{\"topic\":\"a\",\"event\":\"phx_join\",\"payload\":{},\"ref\":\"1\"}\nd\nt\n<{\"topic\":\"a\",\"event\":\"phx_leave\",\"ref\":\"2\"}")
	f.Add("<{\"command\":\"subscribe\",\"identifier\":\"a\"}\nr\n>{\"type\":\"welcome\"}\n>{\"type\":\"confirm_subscription\",\"identifier\":\"a\"}\nl")
	f.Add("<CONNECT\\n\nr\n>0{\"sid\":\"x\"}\n<40\n>2\nb\x10\x02")
	var guides []*Policy
	for _, p := range protocols() {
		guides = append(guides, mustGuide(f, "", p.name))
	}
	f.Fuzz(func(t *testing.T, script string) {
		for _, g := range guides {
			k, now := g.Tracker("/"), day
			for line := range strings.SplitSeq(script, "\n") {
				if line != "" {
					k = fuzzStep(t, g, k, now, line)
					now = now.Add(time.Second)
				}
			}
			checkBounds(t, k)
		}
	})
}

// fuzzStep is one line of FuzzPresets.
func fuzzStep(t *testing.T, g *Policy, k *Tracker, now time.Time, line string) *Tracker {
	data := []byte(line[1:])
	switch line[0] {
	case '<':
		k.Inbound(now, Message{Data: data})
	case 'b':
		k.Inbound(now, Message{Binary: true, Data: data})
	case '>':
		k.Outbound(now, Message{Data: data})
	case 'B':
		k.Outbound(now, Message{Binary: true, Data: data})
	case 'a', 'd':
		k.Attach(now, line[0] == 'a')
	case 'r':
		k.Restore(now)
	case 'l':
		saved := k.Save()
		if k = g.Tracker("/"); k.Load(saved) != nil || !bytes.Equal(k.Save(), saved) {
			t.Error("what was saved does not load as it was")
		}
	default:
		k.Tick(k.Deadline())
	}
	if n := len(k.ToApp()); n > 4*maxEntries {
		t.Errorf("%d messages said at once", n)
	}
	return k
}

// checkBounds checks what a Tracker holds against the limits.
func checkBounds(t *testing.T, k *Tracker) {
	t.Helper()
	size := 0
	for i := range k.entries {
		size += k.entries[i].cost()
		if len(k.entries[i].key) > maxKey {
			t.Errorf("a key of %d bytes", len(k.entries[i].key))
		}
	}
	if size != k.size || size > maxBytes || len(k.entries) > maxEntries || len(k.Save()) > MaxSaved {
		t.Errorf("%d entries of %d bytes, counted as %d, saved in %d", len(k.entries), size, k.size, len(k.Save()))
	}
}
