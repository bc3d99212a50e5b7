package transport

// busiest returns how busy the busiest loop is, in percent.
func (s *loops) busiest() (most uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.all {
		most = max(most, l.load())
	}
	return most
}
