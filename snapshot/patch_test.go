package snapshot_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// shapes is a policy whose messages are JSON, with a key.
func shapes(t testing.TB) *snapshot.Policy {
	return snapshottest.Policy(t, `{"rules":[
		{"path":"*","select":{"pointer":"/t","equals":"set"},"key":"/k","drop":{"pointer":"/t","equals":"del"}},
		{"path":"*","select":{"pointer":"/t","equals":"merge"},"key":"/k","drop":{"pointer":"/t","equals":"unmerge"},"merge":"conflict-free"},
		{"path":"*","select":{"regexp":"^raw (\\w+)"}}]}`, "")
}

// A journal is what a session's records amount to: a saved copy with patches.
type journal struct {
	t               *testing.T
	k               *snapshot.Tracker
	content         []byte
	wholes, patches int
}

// write journals what the Tracker has.
func (j *journal) write() {
	c := j.k.Change(false)
	if c.Patch == nil {
		j.k.Writing(c.Whole, false)
		j.content, j.wholes = c.Whole, j.wholes+1
	} else {
		if len(c.Patch) >= len(c.Whole) {
			j.t.Fatalf("a patch of %d bytes, and a copy of %d", len(c.Patch), len(c.Whole))
		}
		j.k.Writing(c.Patch, true)
		j.content, j.patches = append(bytes.Clone(j.content), c.Patch...), j.patches+1
	}
	if len(j.content) > snapshot.MaxSaved {
		j.t.Fatalf("%d bytes in the journal", len(j.content))
	}
	j.k.Written(true)
}

// check loads what is journaled.
func (j *journal) check(g *snapshot.Policy) {
	j.t.Helper()
	other := g.Tracker("/")
	if err := other.Load(j.content); err != nil {
		j.t.Fatal(err)
	}
	if got, want := other.Save(), j.k.Save(); !bytes.Equal(got, want) {
		j.t.Fatalf("journaled:\n%q\nwant:\n%q", got, want)
	}
}

// padding makes a snapshot large enough for patches.
func padding(k *snapshot.Tracker) {
	for i := range 20 {
		hear(k, snapshottest.Start, fmt.Sprintf("raw pad%d %s", i, strings.Repeat("x", 60)))
	}
}

// TestChangeIsPatched: what changed of a large snapshot takes little room, and is
// as it was, byte for byte.
func TestChangeIsPatched(t *testing.T) {
	g := shapes(t)
	long := strings.Repeat("é<&>", 200)
	for _, tc := range []struct {
		name, before, after string
		most                int // bytes of the patch
	}{
		{"an entry more", `raw a`, `raw b`, 420},
		{"one value of many", `{"t":"set","k":"a","view":{"zoom":1,"filter":"` + long + `"}}`, `{"t":"set","k":"a","view":{"zoom":2,"filter":"` + long + `"}}`, 420},
		{"a number as it was written", `{"t":"set","k":"a","n":1.0,"m":[1e2,"` + long + `"]}`, `{"t":"set","k":"a","n":1.00,"m":[1E2,"` + long + `"]}`, 420},
		{"a list that grows", `{"t":"set","k":"a","l":[1,2,"` + long + `"]}`, `{"t":"set","k":"a","l":[1,2,{"x":null},"` + long + `"]}`, 420},
		{"a list that shrinks", `{"t":"set","k":"a","l":[1,2,3,4,"` + long + `"]}`, `{"t":"set","k":"a","l":[1,"` + long + `"]}`, 420},
		{"names with slashes and tildes", `{"t":"set","k":"a","/~1":{"~":1},"x":"` + long + `"}`, `{"t":"set","k":"a","/~1":{"~":2},"x":"` + long + `"}`, 420},
		{"null and back", `{"t":"set","k":"a","n":null,"x":"` + long + `"}`, `{"t":"set","k":"a","n":{},"x":"` + long + `"}`, 420},
		{"a name more, and one gone", `{"t":"set","k":"a","old":1,"x":"` + long + `"}`, `{"t":"set","k":"a","x":"` + long + `","new":2}`, 420},
		{"dropped", `{"t":"set","k":"a","x":"` + long + `"}`, `{"t":"del","k":"a"}`, 420},
		{"dropped, with a mark", `{"t":"merge","k":"a","x":"` + long + `"}`, `{"t":"unmerge","k":"a"}`, 420},
		// Below, a structural patch would not give the same bytes.
		{"another order", `{"t":"set","k":"a","x":1,"y":2}`, `{"t":"set","k":"a","y":2,"x":1}`, 400},
		{"a name twice", `{"t":"set","k":"a","x":1,"x":2}`, `{"t":"set","k":"a","x":1,"x":3}`, 400},
		{"spaces", `{"t":"set", "k":"a"}`, `{"t":"set","k" : "a"}`, 400},
		{"an escape", `{"t":"set","k":"a","x":"\u0041"}`, `{"t":"set","k":"a","x":"A"}`, 400},
		{"no UTF-8", "raw a \xff", "raw a \xfe", 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j := journal{t: t, k: g.Tracker("/")}
			padding(j.k)
			hear(j.k, snapshottest.Start, tc.before)
			j.write()
			hear(j.k, snapshottest.Start.Add(time.Second), tc.after)
			before := len(j.content)
			j.write()
			if n := len(j.content) - before; j.patches != 1 || n > tc.most {
				t.Errorf("%d bytes, %d patches, want one of at most %d", n, j.patches, tc.most)
			}
			j.check(g)
		})
	}
}

// TestSmallIsNotPatched: a copy that is small is written whole, and so is one
// after which a record was refused, or in the format of the release before.
func TestSmallIsNotPatched(t *testing.T) {
	g := shapes(t)
	k := g.Tracker("/")
	hear(k, snapshottest.Start, "raw a")
	k.Writing(k.Change(false).Whole, false)
	k.Written(true)
	if hear(k, snapshottest.Start, "raw b"); k.Change(false).Patch != nil {
		t.Error("a patch of next to nothing")
	}
	padding(k)
	k.Writing(k.Change(false).Whole, false)
	k.Written(true)
	hear(k, snapshottest.Start, "raw c")
	if k.Change(false).Patch == nil {
		t.Fatal("no patch")
	}
	if k.Change(true).Patch != nil {
		t.Error("a patch for a sidecar that knows none")
	}
	k.Writing(k.Change(false).Patch, true)
	if k.Written(false); k.Change(false).Patch != nil {
		t.Error("a patch of what the journal may not have")
	}
	k.Writing(k.Change(true).Whole, false)
	k.Written(true)
	if hear(k, snapshottest.Start, "raw d"); k.Change(false).Patch != nil {
		t.Error("a patch of a copy in the former format")
	}
}

// TestPatchesOfAnything: whatever is said in whatever order, copy and patches
// amount to what the Tracker has, and never to more than a record has room for.
func TestPatchesOfAnything(t *testing.T) {
	g := shapes(t)
	values := []string{`1`, `"é\n<"`, `null`, `[]`, `[1,[2,{"a":3}]]`, `{"a":1}`, `{"b":{"c":[true,false]},"a":1}`, `{"a":1,"b":{"c":[false]}}`, `"` + strings.Repeat("y", 900) + `"`}
	patches := 0
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		j := journal{t: t, k: g.Tracker("/")}
		if seed%3 > 0 {
			padding(j.k)
		}
		now := snapshottest.Start
		for range 60 {
			now = now.Add(time.Duration(rnd.IntN(1000)) * time.Millisecond)
			kind := []string{"set", "merge", "del", "unmerge"}[rnd.IntN(4)]
			hear(j.k, now, fmt.Sprintf(`{"t":"%s","k":"%c","v":%s,"w":%s}`, kind, 'a'+rnd.IntN(4), values[rnd.IntN(len(values))], values[rnd.IntN(len(values))]))
			if rnd.IntN(3) > 0 {
				j.write()
				j.check(g)
			}
		}
		patches += j.patches
	}
	if patches < 120 {
		t.Errorf("only %d patches were tried", patches)
	}
}

// TestPatchOfAnotherCopy: a patch is for one copy, and one that is for another, or
// is none, is an error that leaves the content as it is.
func TestPatchOfAnotherCopy(t *testing.T) {
	g := shapes(t)
	k := g.Tracker("/")
	padding(k)
	whole := k.Change(false).Whole
	k.Writing(whole, false)
	k.Written(true)
	hear(k, snapshottest.Start, "raw a")
	patch := k.Change(false).Patch
	other := g.Tracker("/")
	if err := other.Load(append(bytes.Clone(whole), patch...)); err != nil {
		t.Fatal(err)
	}
	want := other.Save()
	op := func(s string) []byte { return append([]byte{0, 0, 0, byte(len(s))}, s...) }
	for name, behind := range map[string][]byte{
		"twice":              append(bytes.Clone(patch), patch...),
		"cut":                patch[:len(patch)-1],
		"no JSON":            op(`[`),
		"not a list":         op(`{}`),
		"no such place":      op(`[{"op":"remove","path":"/entries/99"}]`),
		"an entry doubled":   op(`[{"op":"copy","from":"/entries/0","path":"/entries/-"}]`),
		"an id of two bytes": op(`[{"op":"replace","path":"/id","value":"AAA="}]`),
		"no document":        op(`[{"op":"replace","path":"","value":7}]`),
		"a state of none":    op(`[{"op":"replace","path":"/entries/0/state","value":9}]`),
	} {
		if err := other.Load(append(bytes.Clone(whole), behind...)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if !bytes.Equal(other.Save(), want) {
		t.Error("what could not be loaded changed the content")
	}
}

// TestFormer: what the release before wrote is read, and has an id from then on;
// and what it has to read has none.
func TestFormer(t *testing.T) {
	g := everything(t)
	k := g.Tracker("/")
	hear(k, snapshottest.Start, "set a 1", "sub x")
	former := k.Change(true).Whole
	if former[0] != 1 || len(former) != len(k.Save())-24 {
		t.Fatalf("format %d, %d bytes", former[0], len(former))
	}
	other := g.Tracker("/")
	if err := other.Load(former); err != nil || payloads(other) != payloads(k) {
		t.Fatal(err, payloads(other))
	}
	if id := other.ID(); !id.Time().Equal(snapshottest.Start) || other.ID() == k.ID() {
		t.Errorf("id %v of %v", id, id.Time())
	}
	if other.Load(append(bytes.Clone(former), k.Change(false).Whole...)) == nil {
		t.Error("something behind a copy that has no patches")
	}
}

func FuzzPatch(f *testing.F) {
	g := shapes(f)
	f.Add([]byte(`[{"op":"test","path":"/version","value":20}]`))
	f.Add([]byte(`[{"op":"add","path":"/entries/-","value":{"rule":1,"born":1,"version":1,"at":1,"json":{"a":1}}},{"op":"move","from":"/entries/0","path":"/entries/1"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		k := g.Tracker("/")
		padding(k)
		n := len(text)
		if k.Load(append(append(k.Save(), byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), text...)) != nil {
			return
		}
		checkBounds(t, k)
		saved := k.Save()
		if again := g.Tracker("/"); again.Load(saved) != nil || !bytes.Equal(again.Save(), saved) {
			t.Fatal("what was loaded is not saved as it was")
		}
	})
}
