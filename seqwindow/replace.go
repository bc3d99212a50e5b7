package seqwindow

// Replace puts the same messages in another form, which were appended to an
// empty window that began at Acked, in place of what is held. Limits,
// positions stay; the cursor stands at the front again, so no write
// may be under way. It panics when the numbers differ.
func (s *Sender) Replace(other *Sender) {
	if other.acked != s.acked || other.head != s.head {
		panic("seqwindow: replace: the messages are not the same")
	}
	limits, highest, journaled := s.limits, s.highest, s.journaled
	s.drop()
	*s = *other
	*other = Sender{pool: s.pool, limits: s.limits}
	s.limits, s.highest = limits, highest
	s.SetJournaled(journaled)
}
