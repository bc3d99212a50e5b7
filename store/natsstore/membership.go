package natsstore

import (
	"maps"
	"net"
	"net/netip"
	"time"

	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/store"
)

// A membership is the set of sidecars that share the journal, as the updates
// of a watch tell it. It has no clock of its own and does no I/O, and is not
// safe for concurrent use.
//
// A missing renewal proves that an owner is gone only while our own renewals
// arrive through the same watch: these are the heartbeats. Time is counted
// from heartbeat to heartbeat, and of an interruption, in which no owner could
// renew, only a part. Without a heartbeat within the lease's time nothing is
// known of anybody.
type membership struct {
	ttl  time.Duration
	self string // our own name

	synced  bool
	entries map[string]entry
	resync  map[string]entry // while a new watch sends all keys again; else nil

	clock             time.Duration // the time that counts, up to lastHeartbeat
	lastHeartbeat     time.Time
	heartbeatRevision uint64        // of the newest heartbeat
	stableSince       time.Time     // no heartbeat was missed from here on
	settleTime        time.Duration // from stableSince until an absence proves something

	reads   map[string]uint8 // by format, the newest version that all that live read
	changed bool             // since the caller looked

	addresses map[netip.Addr]bool // of the others that live, as of the newest heartbeat, and of those that came since

	newerSeen map[string]time.Duration // by format, when one that read newer versions than we do lived last; on clock
}

// An entry is the newest that is known of one owner's key.
type entry struct {
	revision     uint64
	announcement               // zero if released
	unread       bool          // announcement could not be read, in whole
	released     bool          // the owner gave its lease up
	renewedAt    time.Duration // on the membership's clock
}

const (
	// renewalsPerTTL is how many renewals go into a lease's time.
	renewalsPerTTL = 4

	// slackDivisor is the part of the TTL that a renewal may be late: 1/8.
	slackDivisor = 8

	// releaseTTL is how long a release is remembered, which is longer than any
	// token names its owner.
	releaseTTL = time.Hour
)

func newMembership(ttl time.Duration, self string) *membership {
	return &membership{ttl: ttl, self: self, entries: map[string]entry{}, newerSeen: map[string]time.Duration{}, addresses: map[netip.Addr]bool{}}
}

// beginSync is for a new watch, which sends all keys again.
func (m *membership) beginSync() { m.resync = map[string]entry{} }

// endSync is for a watch that has sent all keys there were. What it has not sent
// expired, or was deleted by somebody, and proves nothing: it is not renewed.
func (m *membership) endSync() {
	if m.resync != nil {
		maps.Copy(m.entries, m.resync)
		m.resync = nil
	}
	m.synced = true
	m.findReads()
	m.findAddresses()
}

// update takes in what owner's key holds now. A revision that is known already
// is no renewal.
func (m *membership) update(now time.Time, owner string, e entry) {
	e.renewedAt = m.clockAt(now)
	known, ok := m.entries[owner]
	switch {
	case ok && known.revision == e.revision:
		e.renewedAt = known.renewedAt
	case ok && e.At <= known.At && e.At > 0:
		e = known // said before, and said again by somebody else
	}
	if m.resync != nil {
		m.resync[owner] = e
	} else {
		m.entries[owner] = e
		m.narrow(&e)
		m.sawNewer(&e, e.renewedAt)
		m.addAddress(owner, &e)
	}
	if owner == m.self && !e.released && e.revision > m.heartbeatRevision {
		m.heartbeatRevision = e.revision
		m.heartbeat(now)
	}
}

// expire takes in that owner's key is gone. Anybody may delete it, so that this
// counts only for a lease that is about to run out.
func (m *membership) expire(now time.Time, owner string) {
	if e, ok := m.entries[owner]; ok && !e.released && m.clockAt(now)-e.renewedAt >= m.ttl-m.ttl/slackDivisor {
		delete(m.entries, owner)
	}
}

// clockAt returns the time that counts. After the newest heartbeat that is at
// most one and a half times the pause until the next.
func (m *membership) clockAt(now time.Time) time.Duration {
	if m.lastHeartbeat.IsZero() {
		return 0
	}
	return m.clock + min(now.Sub(m.lastHeartbeat), m.ttl/renewalsPerTTL*3/2)
}

// heartbeat takes in that all updates until now have come.
func (m *membership) heartbeat(now time.Time) {
	switch {
	case m.lastHeartbeat.IsZero():
		m.stableSince, m.settleTime = now, m.ttl/2
	case now.Sub(m.lastHeartbeat) > m.ttl/2:
		// Other sidecars may have to reconnect first.
		m.stableSince, m.settleTime = now, m.ttl/2+maxReconnectPause
	}
	m.clock = m.clockAt(now)
	m.lastHeartbeat = now
	for owner, e := range m.entries {
		if m.clock-e.renewedAt > releaseTTL {
			delete(m.entries, owner)
		}
	}
	m.findReads()
	m.findAddresses()
}

// findAddresses finds anew where the others that live are.
func (m *membership) findAddresses() {
	m.addresses = make(map[netip.Addr]bool, len(m.entries))
	for owner, e := range m.entries {
		if m.holds(&e) {
			m.addAddress(owner, &e)
		}
	}
}

// addAddress takes in where an owner is. A name that is to be looked up says nothing.
func (m *membership) addAddress(owner string, e *entry) {
	if e.released || owner == m.self {
		return
	}
	host, _, err := net.SplitHostPort(instance.Address(owner))
	if err != nil {
		return
	}
	if a, err := netip.ParseAddr(host); err == nil {
		m.addresses[a.Unmap().WithZone("")] = true
	}
}

// newest returns the newest version of a format that all that live read, as far as
// is known; 0 before anything is.
func (m *membership) newest(format string) uint8 { return m.reads[format] }

// narrow takes in what one more sidecar reads. That there is one less is found at
// the next heartbeat.
func (m *membership) narrow(e *entry) {
	if e.released {
		return
	}
	for format, newest := range m.reads {
		if e.Reads[format].Newest < newest {
			m.reads[format], m.changed = e.Reads[format].Newest, true
		}
	}
}

// findReads finds anew what all that live read of what this process does.
func (m *membership) findReads() {
	self, ok := m.entries[m.self]
	if !m.synced || !ok {
		return
	}
	before, changed := m.reads, m.changed
	m.reads = make(map[string]uint8, len(self.Reads))
	for format, r := range self.Reads {
		m.reads[format] = r.Newest
	}
	for _, e := range m.entries {
		if m.holds(&e) {
			m.narrow(&e)
			m.sawNewer(&e, m.clock)
		}
	}
	m.changed = changed || !maps.Equal(before, m.reads)
}

// sawNewer takes in that an owner that reads newer versions than we do lives.
// What cannot be read of an announcement may say that.
func (m *membership) sawNewer(e *entry, at time.Duration) {
	for format, own := range m.entries[m.self].Reads {
		if !e.released && (e.unread || e.Reads[format].Newest > own.Newest) {
			m.newerSeen[format] = at
		}
	}
}

// noneNewer returns for how long no sidecar that lives has read a newer version of
// a format than we do; 0: one may.
func (m *membership) noneNewer(now time.Time, format string) time.Duration {
	if _, read := m.entries[m.self].Reads[format]; !read || !m.fresh(now) || m.resync != nil {
		return 0
	}
	return m.clockAt(now) - m.newerSeen[format]
}

// holds reports whether e is a lease that did not run out.
func (m *membership) holds(e *entry) bool {
	return !e.released && m.clock-e.renewedAt <= m.ttl+m.ttl/slackDivisor
}

// state returns what is known of owner.
func (m *membership) state(now time.Time, owner string) store.LeaseState {
	if !m.fresh(now) {
		return store.LeaseUnknown
	}
	e, ok := m.entries[owner]
	switch {
	case ok && e.released:
		return store.LeaseReleased
	case ok && m.holds(&e):
		return store.LeaseLive
	case m.lastHeartbeat.Sub(m.stableSince) < m.settleTime:
		return store.LeaseUnknown
	}
	return store.LeaseGone
}

// fresh reports whether the newest heartbeat is not older than a lease.
func (m *membership) fresh(now time.Time) bool {
	return m.synced && !m.lastHeartbeat.IsZero() && now.Sub(m.lastHeartbeat) <= m.ttl
}
