package seqwindow

import "fmt"

// Journaled returns the last message that the journal has, or that needs none
// because it is acknowledged.
func (s *Sender) Journaled() Serial { return s.journaled }

// SetJournaled notes that the journal has all messages up to seq. A seq before
// Acked means Acked. Going back is allowed, for a journal that has to be
// written anew. A seq beyond Head panics.
func (s *Sender) SetJournaled(seq Serial) {
	if Less(seq, s.acked) {
		seq = s.acked
	}
	if !LessEq(seq, s.head) {
		panic(fmt.Sprintf("seqwindow: journaled %d: head is %d", seq, s.head))
	}
	s.journaledEnd = s.after(seq)
	s.journaled = seq
}

// OldestUnjournaled returns the first message that the journal lacks, and its stamp: its
// age decides when the journal is due (WSR_PERSIST_AFTER).
func (s *Sender) OldestUnjournaled() (seq Serial, stamp uint32, ok bool) {
	if s.journaled == s.head {
		return 0, 0, false
	}
	p := s.journaledEnd
	_, stamp = p.readHeader()
	return s.journaled + 1, stamp, true
}

// Each shows the messages after the given one, or all when that is before
// Acked, in order, until fn returns false. The parts are valid during the call
// only, and fn must not change the window. Starting at Acked or from Journaled on
// costs nothing, elsewhere a walk over the headers.
func (s *Sender) Each(after Serial, fn func(seq Serial, stamp uint32, parts [][]byte) bool) {
	if Less(after, s.acked) {
		after = s.acked
	}
	if !Less(after, s.head) {
		return
	}
	parts := s.pool.getParts()
	defer s.pool.putParts(parts)
	p := s.after(after)
	for seq := after; seq != s.head; {
		seq++
		size, stamp := p.readHeader()
		*parts = p.appendBody((*parts)[:0], size)
		if !fn(seq, stamp, *parts) {
			return
		}
	}
}

// after returns the end of message seq, which is held or is Acked.
func (s *Sender) after(seq Serial) position {
	p, at := s.front, s.acked
	if LessEq(s.journaled, seq) {
		p, at = s.journaledEnd, s.journaled
	}
	for ; at != seq; at++ {
		size, _ := p.readHeader()
		p.skip(size)
	}
	return p
}
