package presets_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/presets"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// TestDocumented: each preset has a row in docs/SNAPSHOT.md, and its name, which
// is saved, is the one that it has always had.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/SNAPSHOT.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range presets.All() {
		names = append(names, p.Name)
		if !bytes.Contains(doc, []byte("\n| `"+p.Name+"` | ")) {
			t.Errorf("%s has no row", p.Name)
		}
	}
	if got, want := strings.Join(names, " "), "actioncable graphql-transport-ws mqtt phoenix socket.io stomp"; got != want {
		t.Errorf("presets %s, want %s", got, want)
	}
}

// TestUnrelatedMessageAllocatesNothing: what means nothing to a preset passes at
// no cost in memory.
func TestUnrelatedMessageAllocatesNothing(t *testing.T) {
	for _, name := range []string{"graphql-transport-ws", "phoenix", "actioncable"} {
		k := snapshottest.Policy(t, "", name, presets.All()...).Tracker("/")
		k.Attach(snapshottest.Start, true)
		m := snapshot.Message{Data: []byte(`{"id":"17","type":"next","payload":{"channel":"a","text":"hello"}}`)}
		k.Inbound(snapshottest.Start, m)
		if n := testing.AllocsPerRun(100, func() {
			k.Inbound(snapshottest.Start, m)
			if k.Outbound(snapshottest.Start, m) || k.ToApp() != nil || !k.Deadline().IsZero() {
				t.Error("it meant something")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// FuzzPresets plays messages, a line each, to every preset: the first byte
// says who speaks. Nothing panics, and the bounds are kept.
func FuzzPresets(f *testing.F) {
	f.Add("<{\"type\":\"connection_init\"}\n>{\"type\":\"connection_ack\"}\n<{\"id\":\"1\",\"type\":\"subscribe\",\"payload\":{\"query\":\"subscription{a}\"}}\nr\n>{\"type\":\"connection_ack\"}\nd\n>{\"type\":\"ping\",\"payload\":{}}")
	f.Add("<[\"1\",\"1\",\"a\",\"phx_join\",{}]\n>[\"1\",\"1\",\"a\",\"phx_reply\",{\"status\":\"ok\"}]\nr\n>[\"1\",\"1\",\"a\",\"phx_reply\",{\"status\":\"ok\"}]\n>[\"1\",\"1\",\"a\",\"phx_close\",{}]")
	f.Add("<{\"topic\":\"a\",\"event\":\"phx_join\",\"payload\":{},\"ref\":\"1\"}\nd\nt\n<{\"topic\":\"a\",\"event\":\"phx_leave\",\"ref\":\"2\"}")
	f.Add("<{\"command\":\"subscribe\",\"identifier\":\"a\"}\nr\n>{\"type\":\"welcome\"}\n>{\"type\":\"confirm_subscription\",\"identifier\":\"a\"}\nl")
	f.Add("<CONNECT\\n\nr\n>0{\"sid\":\"x\"}\n<40\n>2\nb\x10\x02")
	policies := map[string]*snapshot.Policy{}
	for _, p := range presets.All() {
		policies[p.Name] = snapshottest.Policy(f, "", p.Name, p)
	}
	f.Fuzz(func(t *testing.T, script string) {
		for name, g := range policies {
			k, now := g.Tracker("/"), snapshottest.Start
			for line := range strings.SplitSeq(script, "\n") {
				if line != "" {
					k = fuzzStep(t, g, k, now, line)
					now = now.Add(time.Second)
				}
			}
			snapshottest.CheckBounds(t, k, name)
		}
	})
}

// fuzzStep is one line of FuzzPresets.
func fuzzStep(t *testing.T, g *snapshot.Policy, k *snapshot.Tracker, now time.Time, line string) *snapshot.Tracker {
	data := []byte(line[1:])
	switch line[0] {
	case '<':
		k.Inbound(now, snapshot.Message{Data: data})
	case 'b':
		k.Inbound(now, snapshot.Message{Binary: true, Data: data})
	case '>':
		k.Outbound(now, snapshot.Message{Data: data})
	case 'B':
		k.Outbound(now, snapshot.Message{Binary: true, Data: data})
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
	if n := len(k.ToApp()); n > 4*snapshot.MaxEntries {
		t.Errorf("%d messages said at once", n)
	}
	return k
}
