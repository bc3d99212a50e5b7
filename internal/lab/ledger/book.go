package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// A Count is what became of the messages of one direction.
type Count = tally.Count

// Rules say how a book is judged. The zero value is for a session whose apps
// may be replaced at any time, while messages are still under way.
type Rules struct {
	// Final says that nothing is under way any more: what has not come is lost.
	Final bool

	// OnlyKilled accepts the end of an app socket as the reason for missing or
	// repeated messages only if the app was killed, and then for at most
	// LastWords missing ones in a row. Without it the end of any socket that
	// has a successor is a reason for what the app wrote last.
	OnlyKilled bool
	LastWords  uint32
}

// A Socket is one app socket of a session.
type Socket struct {
	ID     uint32
	Order  int    // among the session's, from 1: as they became known
	Wrote  uint32 // messages, as its app says
	Killed bool   // its app was
	Closed bool

	opened, lastRead int64 // Unix ns; 0: not known
	heardAs          int   // the client's count of sockets when it first heard this one
	heard, read      tally.Numbers
}

// HasRead reports whether the app read anything.
func (s *Socket) HasRead() bool { return s.read.Count() > 0 }

// A Book is all that is known of one session. What the client and the
// different apps report comes by different ways, so nothing relies on the order
// in which they are told. The zero value is ready; it is not safe for
// concurrent use.
type Book struct {
	Foreign int // messages of another session, or none of ours
	Unsent  int // messages that an app had no socket for

	sockets []*Socket
	byID    map[uint32]*Socket
	known   int // sockets, ever
	spoken  int // the order of the newest socket that the client heard
	heard   int // sockets that the client heard

	sent, tried uint32 // by the client: accepted by its connection, given to it
	in          tally.Numbers
	out, extra  Count // what is only known when it happens; extra is inbound
	unexplained int   // of messages that came again: no app was killed
	past        Count // outbound, of sockets that are forgotten
}

// Next gives out the number of the client's next message.
func (b *Book) Next() uint32 {
	b.tried++
	return b.tried
}

// Accept notes that the client's connection took message n.
func (b *Book) Accept(n uint32) { b.sent, b.tried = max(b.sent, n), max(b.tried, n) }

// Sent returns how many messages the client's connection took.
func (b *Book) Sent() uint32 { return b.sent }

// Reached returns the highest number that an app read.
func (b *Book) Reached() uint32 { return uint32(b.in.Highest()) }

// Sockets returns the app sockets that are remembered, as they became known.
func (b *Book) Sockets() []*Socket { return b.sockets }

// Known returns how many app sockets there ever were.
func (b *Book) Known() int { return b.known }

// Socket returns the account of an app socket, which begins with its first
// mention.
func (b *Book) Socket(id uint32) *Socket {
	if s := b.byID[id]; s != nil {
		return s
	}
	if b.byID == nil {
		b.byID = map[uint32]*Socket{}
	}
	b.known++
	s := &Socket{ID: id, Order: b.known}
	b.sockets = append(b.sockets, s)
	b.byID[id] = s
	return s
}

// Has reports whether an app socket is known.
func (b *Book) Has(id uint32) bool { return b.byID[id] != nil }

// Heard counts a message that came to the client. It returns how many went
// missing right before it, those included that the app wrote last to a socket
// before this one.
func (b *Book) Heard(t Tag) (missing int) {
	s := b.Socket(t.Stream)
	if s.Order < b.spoken {
		b.out.Reordered++ // its successor had spoken
	}
	if s.heardAs == 0 {
		b.heard++
		s.heardAs = b.heard
	}
	for _, old := range b.sockets {
		if old.Order >= b.spoken && old.Order < s.Order {
			missing += old.tail()
		}
	}
	b.spoken = max(b.spoken, s.Order)
	high, n := s.heard.Highest(), int64(t.N)
	switch fresh := s.heard.Add(n); {
	case !fresh:
		b.out.Doubled++
	case n > high:
		missing += int(n - high - 1)
	case s.Order == b.spoken: // else it is counted already
		b.out.Reordered++
	}
	return missing
}

// Take enters a record of an app, and returns how many of the client's messages
// went missing right before the one that was read.
func (b *Book) Take(r Record) (missing int) {
	s := b.Socket(r.Sock)
	switch r.Kind {
	case Opened:
		s.opened = r.At
	case Writes:
		s.Wrote = max(s.Wrote, r.N)
	case Failed:
		s.Wrote = min(s.Wrote, r.N-1)
		b.Unsent++
	case Unsent:
		b.Unsent++
	case Read:
		return b.took(s, r)
	case Closed:
		s.Closed = true
	case Foreign:
		b.Foreign++
	}
	return 0
}

// took counts a message that an app read.
func (b *Book) took(s *Socket, r Record) (missing int) {
	s.lastRead = max(s.lastRead, r.At)
	if r.N == 0 {
		b.extra.Doubled++ // it was never sent
		return 0
	}
	n, high, highHere := int64(r.N), b.in.Highest(), s.read.Highest()
	switch {
	case !s.read.Add(n):
		b.extra.Doubled++
		return 0
	case n < highHere:
		b.extra.Reordered++
	}
	if b.in.Add(n) {
		return max(0, int(n-high-1))
	}
	if b.extra.Again++; !b.explained(s, n) {
		b.unexplained++
	}
	return 0
}

// explained reports whether s may read what another socket read: the app of
// one of the two was killed before the message could be acknowledged.
func (b *Book) explained(s *Socket, n int64) bool {
	found := false
	for _, o := range b.sockets {
		if o == s || !o.read.Has(n) {
			continue
		}
		if !o.Killed && !s.Killed {
			return false
		}
		found = true
	}
	return found
}

// Forget gives up the oldest sockets, until no more than keep are left. What
// they said counts on; a message of one of them that comes later counts as that
// of a new socket.
func (b *Book) Forget(keep int, r Rules) {
	for len(b.sockets) > keep {
		s := b.sockets[0]
		b.past.Add(b.outbound(s, r, true))
		delete(b.byID, s.ID)
		b.sockets = b.sockets[1:]
	}
}

// tail returns how many messages the app wrote after the last that came.
func (s *Socket) tail() int { return max(0, int(s.Wrote)-int(s.heard.Highest())) }

// before orders sockets by their opening, as far as it is known.
func before(a, b *Socket) int {
	if a.opened != 0 && b.opened != 0 {
		return cmp.Compare(a.opened, b.opened)
	}
	return cmp.Compare(a.Order, b.Order)
}

// opening returns the sockets in the order of their opening.
func (b *Book) opening() []*Socket {
	list := slices.Clone(b.sockets)
	slices.SortStableFunc(list, before)
	return list
}

// Counts judges the book: what apps sent to the client, and what the client
// sent to apps.
func (b *Book) Counts(r Rules) (out, in Count) {
	out = b.past
	list := b.opening()
	latest := 0
	for i, s := range list {
		c := b.outbound(s, r, i < len(list)-1)
		if s.heardAs != 0 && s.heardAs < latest {
			c.Reordered++ // the client heard a younger one first
		}
		latest = max(latest, s.heardAs)
		out.Add(c)
	}
	out.Doubled += b.out.Doubled
	out.Reordered += b.out.Reordered
	return out, b.inbound(r)
}

// outbound judges what an app wrote to one socket, which may have a successor.
func (b *Book) outbound(s *Socket, r Rules, replaced bool) Count {
	high, wrote := s.heard.Highest(), int64(s.Wrote)
	c := Count{Sent: int(max(wrote, high)), Got: int(s.heard.Count()), Lost: int(s.heard.Holes(high))}
	if r.Final && high > wrote {
		c.Doubled += int(high - wrote) // no app wrote those
	}
	if s.Order >= b.spoken && !r.Final {
		return c // the rest may be under way
	}
	tail, reason := s.tail(), replaced
	if r.OnlyKilled {
		reason = s.Killed && tail <= int(r.LastWords)
	}
	if reason {
		c.Tail += tail
	} else {
		c.Lost += tail
	}
	return c
}

func (b *Book) inbound(r Rules) Count {
	c := b.extra
	c.Sent, c.Got = int(b.sent), int(b.in.UpTo(int64(b.tried)))
	last := int64(b.sent)
	if !r.Final {
		last = min(last, b.in.Highest())
	}
	c.Lost = int(b.in.Holes(last))
	c.Doubled += int(b.in.Count()) - c.Got // those were never sent
	if r.OnlyKilled {
		c.Tail = b.unread(last, r.LastWords)
		c.Lost -= c.Tail
		c.Again -= b.unexplained
		c.Doubled += b.unexplained
	}
	return c
}

// unread counts what was handed to an app that was killed before it read it.
func (b *Book) unread(last int64, lastWords uint32) (n int) {
	for first, end := range b.in.Gaps(last) {
		for _, s := range b.sockets {
			if s.Killed && s.read.Highest()+1 == first && end-first < int64(lastWords) {
				n += int(end-first) + 1
				break
			}
		}
	}
	return n
}

// Overlaps counts the sockets that were spoken to although their successor had
// been opened more than slack before: two owners at once (I5).
func (b *Book) Overlaps(slack time.Duration) (n int) {
	list := b.opening()
	for i, s := range list[:max(0, len(list)-1)] {
		if next := list[i+1].opened; next != 0 && s.lastRead > next+int64(slack) {
			n++
		}
	}
	return n
}

// Open counts the app sockets that never heard of their end.
func (b *Book) Open() (n int) {
	for _, s := range b.sockets {
		if !s.Closed {
			n++
		}
	}
	return n
}

// A Mark is how far the messages of a book were.
type Mark struct {
	known   int
	out, in uint32
}

// Mark returns how far everything is.
func (b *Book) Mark() Mark {
	m := Mark{known: b.known, in: b.tried}
	if n := len(b.sockets); n > 0 {
		m.out = max(b.sockets[n-1].Wrote, uint32(b.sockets[n-1].heard.Highest()))
	}
	return m
}

// Passed reports whether something that was sent after m has arrived, both
// ways.
func (b *Book) Passed(m Mark) bool {
	for _, s := range b.sockets {
		high := uint32(s.heard.Highest())
		if s.Order > m.known && high > 0 || s.Order == m.known && high > m.out {
			return b.Reached() > m.in
		}
	}
	return false
}
