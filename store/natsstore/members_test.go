package natsstore

import (
	"slices"
	"testing"
	"time"
)

// Operators see who shares the journal, those that live first, and who has gone.
func TestMembers(t *testing.T) {
	s := newScenario(t)
	s.pass(40*time.Second, "me", "b")
	s.revision++
	s.m.update(s.now, "c", entry{revision: s.revision, announcement: announcement{Version: leaseVersion, Owner: "c", Since: s.now, Draining: true}})
	s.revision++
	s.m.update(s.now, "left", entry{revision: s.revision, released: true})
	s.pass(10*time.Second, "me", "b")
	var got []string
	for _, m := range s.m.list(s.now) {
		line := m.Owner + " " + m.Lease.String()
		if m.Self {
			line += " self"
		}
		if m.Draining {
			line += " draining"
		}
		got = append(got, line+" "+m.Renewed.String())
	}
	want := []string{"b live 0s", "me live self 0s", "c live draining 10s", "left released 10s"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	s.now = s.now.Add(time.Minute) // no word from NATS
	for _, m := range s.m.list(s.now) {
		if m.Lease.String() != "unknown" {
			t.Errorf("%+v, want unknown", m)
		}
	}
}
