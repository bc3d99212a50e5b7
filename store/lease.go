package store

// A LeaseState is what is known of a sidecar that shares the journal, one process
// of it (package instance). It
// decides whether its sessions may be adopted, and nothing else: what keeps
// two owners apart is the compare-and-set on the session's records (I5).
type LeaseState int

const (
	// LeaseUnknown: nothing is known, since the journal is out of reach or its
	// updates have not come yet. No sidecar adopts; the client tries again.
	LeaseUnknown LeaseState = iota
	// LeaseLive: it renewed its lease in time. Clients are forwarded to it, and
	// its sessions are adopted only when it was unreachable for a lease's time.
	LeaseLive
	// LeaseGone: it has no lease, or the lease ran out. Its sessions may be
	// adopted. It may live all the same, out of the journal's reach.
	LeaseGone
	// LeaseReleased: it gave its lease up, so the process is gone.
	LeaseReleased
)

func (s LeaseState) String() string {
	switch s {
	case LeaseLive:
		return "live"
	case LeaseGone:
		return "gone"
	case LeaseReleased:
		return "released"
	}
	return "unknown"
}

// Over reports whether the sessions of the owner may be adopted.
func (s LeaseState) Over() bool { return s == LeaseGone || s == LeaseReleased }
