package session

import (
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
)

// A Delivery is a message of the app that the client has dispatched.
type Delivery struct {
	Seq   uint32
	Bytes int           // of its frame
	Took  time.Duration // from when the app said it to the client's acknowledgement
}

// delivery looks for a message among those up to n that Config.Delivered is told of,
// before their acknowledgement drops them. One is enough of each.
func (s *Session) delivery(now time.Time, n seqwindow.Serial) (d Delivery, ok bool) {
	if s.cfg.Delivered == nil {
		return d, false
	}
	every, acked := s.cfg.DeliveredEvery, s.window.Acked()
	next := acked + seqwindow.Serial(every-uint32(acked)%every)
	if seqwindow.Less(n, next) {
		return d, false
	}
	s.window.Each(next-1, func(seq seqwindow.Serial, stamp uint32, parts [][]byte) bool {
		d, ok = Delivery{Seq: uint32(seq), Bytes: size(parts), Took: s.age(now, stamp)}, true
		return false
	})
	return d, ok
}
