package session

// extra is what few sessions have. The others have nil: a word more in each
// Session costs 128 bytes.
type extra struct {
	echo *echo // nil: the client knows wsr.v1
}

// echo returns what there is of a client that does not know wsr.v1; nil: it does.
func (s *Session) echo() *echo {
	if s.extra == nil {
		return nil
	}
	return s.extra.echo
}
