package store

// A LeaseState is what is known of a sidecar that shares the journal. It
// decides whether its sessions may be adopted, and nothing else: what keeps
// two owners apart is the compare-and-set on the session's records (I5).
type LeaseState int

const (
	// LeaseUnknown: nothing is known, since the journal is out of reach or its
	// news have not come yet. Nobody adopts; the client tries again.
	LeaseUnknown LeaseState = iota
	// LeaseLive: it has announced itself within the lease's time.
	LeaseLive
	// LeaseGone: it never did, it said goodbye, or its time is over.
	LeaseGone
)
