package idempotency

import "time"

// A Call is a question to the store, which the driver puts off the session's
// thread: that Entry takes the place of what is under Key at Revision, 0 being
// nothing.
type Call struct {
	Key      Key
	Revision uint64
	Entry    Entry
	TTL      time.Duration

	// Settles says that nobody waits for the result, so that the driver tries it
	// again by itself while the store is away: what a session that has ended
	// leaves.
	Settles bool

	// Outcome says that what is found is wanted with its outcome; otherwise it is
	// enough to know that it is done.
	Outcome bool

	// Alone says that the memory of this sidecar may answer while the store is away.
	Alone bool

	// Here says that the memory of this sidecar answers: it has the claim.
	Here bool

	number uint32
}

// A Result is the store's answer.
type Result struct {
	Written  bool
	Revision uint64 // of what is there now; 0: nothing
	Found    *Entry // what is there, if it was not written; nil: nothing
	Here     bool   // it was the memory of this sidecar that answered

	// OwnerGone reports whether the process that claimed what was found is gone.
	OwnerGone bool

	// Away: the store cannot be reached, and what is not known must not pass.
	Away bool
}
