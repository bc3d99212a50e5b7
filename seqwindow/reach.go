package seqwindow

// HighestSent returns the last message that was ever wholly written to a
// connection: a peer that resumes can have no more than that.
func (s *Sender) HighestSent() Serial { return s.highest }

// Replace puts the same messages in another form, which were appended to an
// empty window that began at Acked, in place of what is held. Limits,
// positions and mark stay; the cursor stands at the front again, so no write
// may be under way. It panics when the numbers differ.
func (s *Sender) Replace(other *Sender) {
	if other.acked != s.acked || other.head != s.head {
		panic("seqwindow: replace: the messages are not the same")
	}
	limits, highest, marked := s.limits, s.highest, s.marked
	s.drop()
	*s = *other
	*other = Sender{pool: s.pool, limits: s.limits}
	s.limits, s.highest = limits, highest
	s.SetJournaled(marked)
}
