package natsstore

import (
	"cmp"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/internal/formats"
	"github.com/wsresilience/wsresilience/store"
)

// A Member is what is known of one sidecar that shares the journal.
type Member struct {
	Owner    string
	Self     bool
	Lease    store.LeaseState
	Draining bool
	Since    time.Time     // when the process announced itself; zero if it has gone
	Renewed  time.Duration // how long ago its lease was renewed or given up, as far as was seen
	Reads    map[string]formats.Range
}

// Members lists the sidecars that share the journal, as far as is known, and those
// that left within the last hour: those that live first, by age. It does not wait.
func (l *Leases) Members() []Member {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.members.list(time.Now())
}

func (m *membership) list(now time.Time) []Member {
	list := make([]Member, 0, len(m.entries))
	for owner, e := range m.entries {
		list = append(list, Member{
			Owner: owner, Self: owner == m.self, Lease: m.state(now, owner), Draining: e.Draining && !e.released,
			Since: e.Since, Renewed: max(m.clockAt(now)-e.renewedAt, 0), Reads: e.Reads,
		})
	}
	slices.SortFunc(list, func(a, b Member) int {
		return cmp.Or(cmp.Compare(place(a.Lease), place(b.Lease)), a.Since.Compare(b.Since), cmp.Compare(a.Owner, b.Owner))
	})
	return list
}

// place is where a lease stands in a list.
func place(s store.LeaseState) int {
	if s.Over() {
		return 1
	}
	return 0
}
