package heartbeat

import "errors"

// ErrStale means that a beat is a repetition, or older than one already seen.
var ErrStale = errors.New("heartbeat: seq: not newer than the last accepted")

// Newest is the receiver's check on incoming beats. It makes three promises:
// a beat is accepted at most once, never after a newer one, and the wrap of
// the counter is not a gap. The zero value accepts any first beat; start a
// new one for each connection, since the sender may have restarted.
type Newest struct {
	seq  uint32
	seen bool
}

// Accept returns nil for a beat that is newer than all accepted before, and
// ErrStale for any other, which is dropped without an answer and audited
// (PROTOCOL §4.4).
//
// RFC 1982 section 3.2 leaves two numbers that are exactly 2^31 apart
// unordered; such a beat is not known to be newer, so it is stale.
func (n *Newest) Accept(p Payload) error {
	if n.seen && int32(p.Seq-n.seq) <= 0 {
		return ErrStale
	}
	n.seq, n.seen = p.Seq, true
	return nil
}
