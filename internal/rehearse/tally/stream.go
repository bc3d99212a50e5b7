package tally

// A Count is what became of the messages of one direction.
type Count struct {
	Sent, Got int // Got: different ones that arrived
	Lost      int // in silence
	Tail      int `json:",omitempty"` // the last words to or from an app socket that had to end
	Told      int `json:",omitempty"` // lost with a session whose client was told of its end
	Doubled   int // came twice to one receiver, or were never sent
	Again     int `json:",omitempty"` // inbound: read by a second app socket too
	Reordered int
}

// Add adds the messages of another account.
func (c *Count) Add(d Count) {
	c.Sent += d.Sent
	c.Got += d.Got
	c.Lost += d.Lost
	c.Tail += d.Tail
	c.Told += d.Told
	c.Doubled += d.Doubled
	c.Again += d.Again
	c.Reordered += d.Reordered
}

// Clean reports whether everything arrived once and in order, except for what
// the rules explain.
func (c *Count) Clean() bool {
	return c.Got+c.Tail == c.Sent && c.Lost == 0 && c.Doubled == 0 && c.Reordered == 0
}

// A stream is one numbered row of what the app sends by itself. What came before the
// first that was heard, and after the last, is not known.
type stream struct {
	begun              bool
	before             int64 // the number before the first that was heard
	got                Numbers
	doubled, reordered int
}

func (s *stream) hear(n int64) {
	if !s.begun {
		s.begun, s.before = true, n-1
	}
	high := s.got.Highest()
	switch n -= s.before; {
	case n < 1:
	case !s.got.Add(n):
		s.doubled++
	case n < high:
		s.reordered++
	}
}

func (s *stream) count() Count {
	sent, got := int(s.got.Highest()), int(s.got.Count())
	return Count{Sent: sent, Got: got, Lost: sent - got, Doubled: s.doubled, Reordered: s.reordered}
}
