package seqwindow

import "fmt"

// Unsent reports whether anything is left to be written to the connection.
func (s *Sender) Unsent() bool { return s.sent != s.head }

// MidMessage reports whether a message has been written in part. Nothing else
// may be written before PendingMessage.
func (s *Sender) MidMessage() bool { return s.left > 0 }

// PendingMessage appends to dst the rest of the message that has been written
// in part, and nothing when there is none.
func (s *Sender) PendingMessage(dst [][]byte) [][]byte {
	p := s.cursor
	return p.appendBody(dst, int(s.left))
}

// Pending appends to dst what is to be written next, in order and without
// record headers: whole slices up to limit bytes, and at least one (which is
// shorter than a chunk) if anything is unsent. The slices stay valid until
// their message leaves the window; see Sender.
func (s *Sender) Pending(dst [][]byte, limit int) [][]byte {
	p, seq, left := s.cursor, s.sent, int(s.left)
	for total := 0; left > 0 || seq != s.head; {
		if left == 0 {
			left, _ = p.readHeader()
		}
		b := p.take(left)
		if total += len(b); total > limit && total > len(b) {
			break
		}
		dst = append(dst, b)
		if left -= len(b); left == 0 {
			seq++
		}
	}
	return dst
}

// Advance notes that n of the bytes that Pending returned were written. It
// panics when n is more than what was unsent.
func (s *Sender) Advance(n int) {
	for n > 0 {
		if s.left == 0 {
			if !s.Unsent() {
				panic(fmt.Sprintf("seqwindow: advance %d bytes beyond message %d, the last", n, s.head))
			}
			size, _ := s.cursor.readHeader()
			s.left = uint32(size)
		}
		step := min(n, int(s.left))
		s.cursor.skip(step)
		n -= step
		if s.left -= uint32(step); s.left == 0 {
			s.sent++
			if Less(s.highest, s.sent) {
				s.highest = s.sent
			}
		}
	}
}
