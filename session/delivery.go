package session

import (
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
)

// A Delivery is a message that came to its end here: one of the app that the client
// has dispatched, or one of the client that the app's socket has taken.
type Delivery struct {
	FromClient bool
	Seq        uint32
	Bytes      int           // of its frame
	Took       time.Duration // from when the app said it to the client's acknowledgement, or from when it had come from the client until the app's socket took it
}

// delivery looks for a message among those up to n that Config.Delivered is told of,
// before their acknowledgement drops them. One is enough of each.
func (s *Session) delivery(now time.Time, n seqwindow.Serial) (d Delivery, ok bool) {
	if s.cfg.Delivered == nil {
		return d, false
	}
	return s.sample(now, &s.window, s.window.Acked(), n)
}

// handing is delivery for messages of the client, of which the app's socket has taken
// those that the queue has sent and not dropped yet.
func (s *Session) handing(now time.Time) (d Delivery, ok bool) {
	if s.cfg.Delivered == nil {
		return d, false
	}
	d, ok = s.sample(now, &s.queue, s.queue.Acked(), s.queue.Sent())
	d.FromClient = true
	return d, ok
}

// handingDirect is handing for the next n messages, which the app's socket took from
// where they stood in the client's bytes: at once.
func (s *Session) handingDirect(n int) (d Delivery, ok bool) {
	if s.cfg.Delivered == nil {
		return d, false
	}
	last := s.queue.Sent()
	next := s.sampled(last)
	if seqwindow.Less(last+seqwindow.Serial(n), next) {
		return d, false
	}
	for _, part := range s.app.direct {
		s.eachFrame(part, func(raw []byte) {
			if last++; last == next {
				d, ok = Delivery{FromClient: true, Seq: uint32(next), Bytes: len(raw)}, true
			}
		})
	}
	return d, ok
}

// tellHanded tells of raw, if the message that the app's socket took last is one of
// those.
func (s *Session) tellHanded(raw []byte) {
	if last := s.queue.Sent(); s.cfg.Delivered != nil && s.sampled(last-1) == last {
		s.cfg.Delivered(s.id, Delivery{FromClient: true, Seq: uint32(last), Bytes: len(raw)})
	}
}

// sampled is the first message behind one that Config.Delivered is told of.
func (s *Session) sampled(behind seqwindow.Serial) seqwindow.Serial {
	every := s.cfg.DeliveredEvery
	return behind + seqwindow.Serial(every-uint32(behind)%every)
}

func (s *Session) sample(now time.Time, w *seqwindow.Sender, behind, last seqwindow.Serial) (d Delivery, ok bool) {
	next := s.sampled(behind)
	if seqwindow.Less(last, next) {
		return d, false
	}
	w.Each(next-1, func(seq seqwindow.Serial, stamp uint32, parts [][]byte) bool {
		d, ok = Delivery{Seq: uint32(seq), Bytes: size(parts), Took: s.age(now, stamp)}, true
		return false
	})
	return d, ok
}
