package snapshot_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/presets"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// everything is a policy with all that can be in a saved copy.
func everything(t testing.TB) *snapshot.Policy {
	return snapshottest.Policy(t, `{"rules":[
		{"path":"*","select":{"regexp":"^set (\\w+)"},"drop":{"regexp":"^del (\\w+)"},"merge":"conflict-free"},
		{"path":"*","select":{"regexp":"^sub (\\w+)"},"drop":{"regexp":"^unsub (\\w+)"}},
		{"path":"*","select":{"regexp":"^tmp (\\w+)"},"ttl":"1m"}]}`, "graphql-transport-ws", presets.All()...)
}

// hear lets a Tracker hear many messages at one moment.
func hear(k *snapshot.Tracker, now time.Time, messages ...string) {
	for _, m := range messages {
		k.Inbound(now, snapshot.Message{Data: []byte(m)})
	}
}

// payloads returns what is held, in order.
func payloads(k *snapshot.Tracker) string { return strings.Join(k.Payloads(), ", ") }

// TestSavedContinues: a Tracker that loaded what another saved answers every
// further step as the other does.
func TestSavedContinues(t *testing.T) {
	g := everything(t)
	steps := []string{
		`{"type":"connection_init"}`, "set a 1", "set b 1", "del a", "sub x", "unsub x", "sub y", "tmp q", "set a 2",
		`{"id":"1","type":"subscribe","payload":{"query":"subscription{a}"}}`, `{"id":"1","type":"complete"}`,
		`{"id":"2","type":"subscribe","payload":{"query":"mutation{a}"}}`, `{"id":"2","type":"complete"}`,
	}
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		k, now := g.Tracker("/"), snapshottest.Start
		for range 40 {
			now = now.Add(time.Duration(rnd.IntN(20_000)) * time.Millisecond)
			other := g.Tracker("/")
			if err := other.Load(k.Save()); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(k.Save(), other.Save()) {
				t.Fatalf("seed %d: a saved copy changes when it is loaded", seed)
			}
			step := steps[rnd.IntN(len(steps))]
			for _, k := range []*snapshot.Tracker{k, other} {
				k.Tick(now)
				hear(k, now, step)
			}
			if payloads(k) != payloads(other) || k.Complete() != other.Complete() {
				t.Fatalf("seed %d, %s: %s and %s", seed, step, payloads(k), payloads(other))
			}
			k.Restore(now)
			other.Restore(now)
			if a, b := fmt.Sprint(k.ToApp()), fmt.Sprint(other.ToApp()); a != b {
				t.Fatalf("seed %d: they say %s and %s", seed, a, b)
			}
		}
	}
}

// TestMerge: of a conflict-free rule an older copy takes nothing back, be it a
// change or a drop; of others the loaded copy counts.
func TestMerge(t *testing.T) {
	g := everything(t)
	old := g.Tracker("/")
	hear(old, snapshottest.Start, "set a 1", "set b 1", "set c 1", "sub x 1", "sub y 1")
	k := g.Tracker("/")
	if err := k.Load(old.Save()); err != nil {
		t.Fatal(err)
	}
	hear(k, snapshottest.Start, "set a 2", "del b", "set d 2", "unsub x 2", "sub y 2", "sub z 2")
	before := k.Version()
	if err := k.Load(old.Save()); err != nil {
		t.Fatal(err)
	}
	if got, want := payloads(k), "set a 2, , set c 1, sub x 1, sub y 1, set d 2"; got != want {
		t.Errorf("merged: %s\nwant:   %s", got, want)
	}
	if k.Version() != before || !k.Complete() {
		t.Errorf("version %d after %d, complete %v", k.Version(), before, k.Complete())
	}
	hear(k, snapshottest.Start, "set b 3")
	if got, want := payloads(k), "set a 2, set c 1, sub x 1, sub y 1, set d 2, set b 3"; got != want {
		t.Errorf("kept again: %s\nwant:       %s", got, want)
	}
	k = g.Tracker("/")
	hear(k, snapshottest.Start, "set a 1", "del a")
	if k.Tick(snapshottest.Start.Add(5 * time.Minute)); len(k.Entries()) != 0 {
		t.Error("the mark of a drop outlives every copy that it is for")
	}
}

// TestMergeCommutes: whoever loads whose copy of a conflict-free rule, and how
// often, the outcome is the same.
func TestMergeCommutes(t *testing.T) {
	g := snapshottest.Policy(t, `{"rules":[{"path":"*","select":{"regexp":"^set (\\w+)"},"drop":{"regexp":"^del (\\w+)"},"merge":"conflict-free"}]}`, "", presets.All()...)
	content := func(k *snapshot.Tracker) string {
		all := k.Contents()
		slices.Sort(all)
		return strings.Join(all, "\n")
	}
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		var copies [3][]byte
		for i := range copies {
			k := g.Tracker("/")
			for range rnd.IntN(8) {
				verb := []string{"set", "del"}[rnd.IntN(2)]
				hear(k, snapshottest.Start, fmt.Sprintf("%s %c %d", verb, 'a'+rnd.IntN(3), i))
			}
			copies[i] = k.Save()
		}
		merged := func(order ...int) string {
			k := g.Tracker("/")
			for _, i := range order {
				if err := k.Load(copies[i]); err != nil {
					t.Fatal(err)
				}
			}
			return content(k)
		}
		want := merged(0, 1, 2)
		for _, order := range [][]int{{2, 1, 0}, {1, 0, 2}, {2, 2, 0, 1, 1}, {0, 1, 2, 0}} {
			if got := merged(order...); got != want {
				t.Fatalf("seed %d, order %v:\n%s\nwant\n%s", seed, order, got, want)
			}
		}
	}
}

// TestLoadOfAnotherConfiguration: what nobody understands any more is left out
// and not passed over in silence.
func TestLoadOfAnotherConfiguration(t *testing.T) {
	from := everything(t).Tracker("/")
	hear(from, snapshottest.Start, "sub x", `{"type":"connection_init"}`)
	k := snapshottest.Policy(t, "", "graphql-transport-ws", presets.All()...).Tracker("/")
	if err := k.Load(from.Save()); err != nil || k.Complete() || payloads(k) != `{"type":"connection_init"}` {
		t.Errorf("without the rules: %v, complete %v, %s", err, k.Complete(), payloads(k))
	}
	k = snapshottest.Policy(t, "", "phoenix", presets.All()...).Tracker("/")
	if err := k.Load(from.Save()); err != nil || k.Complete() || payloads(k) != "" {
		t.Errorf("another preset: %v, complete %v, %s", err, k.Complete(), payloads(k))
	}
}

func TestLoadErrors(t *testing.T) {
	g := everything(t)
	k := g.Tracker("/")
	hear(k, snapshottest.Start, "sub x", "set a", "del a")
	good := k.Save()
	for n := range good {
		if k.Load(good[:n]) == nil {
			t.Errorf("%d of %d bytes are enough", n, len(good))
		}
	}
	for name, b := range map[string][]byte{
		"another format": append([]byte{3}, good[1:]...),
		"flags":          append([]byte{good[0], 2}, good[2:]...),
		"more":           append(slices.Clone(good), 0),
	} {
		if err := k.Load(b); err == nil || !strings.HasPrefix(err.Error(), "snapshot: saved copy of ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !bytes.Equal(k.Save(), good) {
		t.Error("a copy that cannot be loaded changes the content")
	}
}

// TestSavedFits: whatever fits the bounds fits a record.
func TestSavedFits(t *testing.T) {
	g := everything(t)
	k := g.Tracker("/")
	for i := range 2 * snapshot.MaxEntries {
		hear(k, snapshottest.Start, fmt.Sprintf("sub %0*d %s", 150, i, strings.Repeat("x", 50)))
	}
	if n := len(k.Save()); n > snapshot.MaxSaved || n < snapshot.MaxBytes {
		t.Errorf("%d bytes saved", n)
	}
}

// TestEntriesShowNoPayload: I9.
func TestEntriesShowNoPayload(t *testing.T) {
	k := everything(t).Tracker("/")
	hear(k, snapshottest.Start, "sub secret", "set secret", "del secret", `{"id":"secret","type":"subscribe","payload":{"query":"subscription{secret}"}}`,
		`{"type":"connection_init"}`, `{"id":"x","type":"subscribe","payload":{"query":"{secret}"}}`)
	all := k.Entries()
	if s := fmt.Sprint(all); len(all) != 5 || strings.Contains(s, "secret") {
		t.Errorf("entries: %v", s)
	}
	if e := all[3]; e.Key != "graphql-transport-ws init" || e.State != "held" || e.Size != 26 || !e.Kept.Equal(snapshottest.Start) {
		t.Errorf("entry: %+v", e)
	}
}
