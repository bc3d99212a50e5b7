package snapshot_test

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// TestID: an id is that of the first keeping, unlike any other, and goes along to
// whoever loads the snapshot.
func TestID(t *testing.T) {
	g := shapes(t)
	k := g.Tracker("/")
	if v := k.View(); !v.Began.IsZero() || !v.Complete || v.Version != 0 {
		t.Errorf("at first: %+v", v)
	}
	hear(k, snapshottest.Start, "raw a")
	hear(k, snapshottest.Start.Add(time.Hour), "raw b")
	id := k.ID()
	if !id.Time().Equal(snapshottest.Start) || !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id.String()) {
		t.Errorf("id %v of %v", id, id.Time())
	}
	other := g.Tracker("/")
	hear(other, snapshottest.Start.Add(time.Minute), "raw c")
	if other.ID() == id {
		t.Error("two snapshots have one id")
	}
	younger := other.Save()
	if err := other.Load(k.Save()); err != nil || other.ID() != id {
		t.Errorf("loaded: %v, %v", other.ID(), err)
	}
	if err := other.Load(younger); err != nil || other.ID() != id {
		t.Errorf("a younger one was loaded: %v, %v", other.ID(), err)
	}
	if v := other.View(); v.ID != id.String() || !v.Began.Equal(snapshottest.Start) || v.Version != other.Version() || len(v.Entries) != 1 || v.Bytes != 5 {
		t.Errorf("view: %+v", v)
	}
}

// TestLife: a snapshot about which the client says nothing for its life falls back
// to nothing, on whichever sidecar, and what follows is another one that does not
// claim to be complete.
func TestLife(t *testing.T) {
	g := shapes(t).WithLife(time.Hour)
	at := func(d time.Duration) time.Time { return snapshottest.Start.Add(d) }
	k := g.Tracker("/")
	hear(k, at(0), "raw a", "raw b")
	if hear(k, at(7*time.Minute), "raw a"); !k.View().Expires.Equal(at(time.Hour)) {
		t.Errorf("renewed at once: it expires at %v", k.View().Expires)
	}
	version := k.Version()
	if hear(k, at(10*time.Minute), "raw a"); k.Version() != version+1 || !k.Deadline().Equal(at(70*time.Minute)) {
		t.Errorf("said again: version %d after %d, deadline %v", k.Version(), version, k.Deadline())
	}
	other := g.Tracker("/")
	if err := other.Load(k.Save()); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*snapshot.Tracker{k, other} {
		id := k.ID()
		if k.Tick(at(70*time.Minute - 1)); payloads(k) != "raw a, raw b" {
			t.Fatalf("too early: %s", payloads(k))
		}
		if k.Tick(at(70 * time.Minute)); payloads(k) != "" || k.Complete() || k.Version() <= version+1 || !k.Deadline().IsZero() {
			t.Errorf("at its end: %s, complete %v, version %d, deadline %v", payloads(k), k.Complete(), k.Version(), k.Deadline())
		}
		hear(k, at(2*time.Hour), "raw c")
		if k.ID() == id || !k.ID().Time().Equal(at(2*time.Hour)) || k.Complete() {
			t.Errorf("what follows: %v of %v, complete %v", k.ID(), k.ID().Time(), k.Complete())
		}
	}
	late := g.Tracker("/")
	saved := snapshotOf(g, at(0), "raw a")
	if err := late.Load(saved); err != nil {
		t.Fatal(err)
	}
	if late.Restore(at(2 * time.Hour)); len(late.ToApp()) != 0 || late.Complete() {
		t.Error("a snapshot past its life is said to an app")
	}
	forever := shapes(t).Tracker("/")
	if hear(forever, at(0), "raw a"); !forever.Deadline().IsZero() || !forever.View().Expires.IsZero() {
		t.Error("a snapshot expires though nothing is set")
	}
}

// snapshotOf returns a saved copy of what a client says.
func snapshotOf(g *snapshot.Policy, now time.Time, messages ...string) []byte {
	k := g.Tracker("/")
	hear(k, now, messages...)
	return bytes.Clone(k.Save())
}
