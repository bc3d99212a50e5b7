// Package drain decides how a sidecar that is about to stop spends the time
// that is left: who is moved when, and when it is over. Facts go in and one
// step comes out, as in package admission; it does no I/O and reads no clock.
package drain

import "time"

// A Schedule is how the time of a drain is spent, in this order.
type Schedule struct {
	Notice     time.Duration // all clients are taken, while load balancers learn that this pod goes
	Move       time.Duration // clients are asked to come elsewhere, spread over this
	Stragglers time.Duration // those that have not moved are moved
}

const (
	// maxNotice is enough for load balancers and kube-proxy, however long a
	// drain is.
	maxNotice = 5 * time.Second

	// minStragglers is what a hand-over takes of an app that does not answer
	// its close, with a journal that is slow.
	minStragglers = 2 * time.Second

	// maxPatience with the app's close stays below the 10 s that a client waits
	// for the answer to its handshake.
	maxPatience = 8 * time.Second

	// closing is what is left at the end of a drain for the apps to close and
	// the journal to be written.
	closing = 1500 * time.Millisecond
)

// Patience is how long an app may take for the answers that it owes when its
// session is handed over, in a drain that may take total.
func Patience(total time.Duration) time.Duration { return min(total/5, maxPatience) }

// Plan makes a schedule of the time that a drain may take (WSR_DRAIN_SECONDS).
func Plan(total time.Duration) Schedule {
	p := Schedule{Notice: min(total/5, maxNotice), Stragglers: max(total/10, min(minStragglers, total/3))}
	p.Move = total - p.Notice - p.Stragglers
	return p
}

// Limits of the pace.
const (
	// MoveDelay is what a GOAWAY gives its client to come elsewhere: they are
	// sent one after the other, so that it only has to blur the rate.
	MoveDelay = 500 * time.Millisecond

	// lookAgain is after how long clients that are left alone are counted again:
	// one that leaves its session is not signalled.
	lookAgain = 500 * time.Millisecond

	// AskAgain is when a client that came back to this pod is asked again.
	AskAgain = 2 * time.Second

	// pace is the least time between two moves: what is due meanwhile is done
	// at once.
	pace = 20 * time.Millisecond
)

// Facts are what is known of a drain.
type Facts struct {
	// Set at its beginning.
	Schedule Schedule
	Peers    bool // there are sidecars that could take sessions over
	Began    time.Time

	// True now. The caller sets it before each Next.
	Now       time.Time
	Resilient int // sessions that are left here
	Plain     int // connections that are left
	Tunnels   int // clients that are passed through to other sidecars
	Created   int // sessions and plain connections that there ever were
	Attached  int // clients that are here, of both

	// What the steps have done.
	Refusing   bool          // Refuse: new clients are refused
	Listed     time.Time     // List: when
	Clients    int           // and how many are in the list
	Answers    time.Duration // and how long apps take to answer; 0: not known
	Moved      int           // Move: how many of them were moved
	NextAsk    time.Time     // Remind: when it is due again
	HandedOver int           // HandOver: Created then
}

// A Step is what the caller does next: one of the types below.
type Step interface{ step() }

type (
	// Wait waits until then, or until there are no sessions left, or a new
	// one.
	Wait struct{ Until time.Time }
	// Refuse refuses new clients from now on.
	Refuse struct{}
	// List puts all sessions and tunnels into a list, in any order.
	List struct{}
	// Move moves the next N of the list: sessions whose client is here are
	// asked to come elsewhere, the others are handed over; tunnels are closed,
	// since nothing can be said to their clients.
	Move struct{ N int }
	// Remind asks those that were asked AskAgain ago and are still here, or
	// here again. NextAsk is when the next one is due.
	Remind struct{}
	// HandOver hands over all sessions that are left, and closes plain
	// connections.
	HandOver struct{}
	// Done says that the drain is over. Left could not be handed over in time.
	Done struct{ Left int }
)

func (Wait) step()     {}
func (Refuse) step()   {}
func (List) step()     {}
func (Move) step()     {}
func (Remind) step()   {}
func (HandOver) step() {}
func (Done) step()     {}

// Moving is when clients have to have moved.
func (f *Facts) Moving() time.Time { return f.Began.Add(f.Schedule.Notice + f.Schedule.Move) }

// End is when the drain is over at the latest.
func (f *Facts) End() time.Time { return f.Moving().Add(f.Schedule.Stragglers) }

// Patience is how long the apps of the sessions that are handed over now may take
// for what they owe.
func (f *Facts) Patience() time.Duration { return max(0, f.End().Sub(f.Now)-closing) }

// lastAsked is when the last client is asked to come elsewhere: as early as
// leaves its app the whole of its patience, or twice what apps take, if that is
// less, but not before half of the time for moves has passed. The more time there
// is, the fewer move at a time.
func (f *Facts) lastAsked() time.Time {
	p := f.Schedule
	patience := Patience(p.Notice + p.Move + p.Stragglers)
	if f.Answers > 0 {
		patience = min(patience, 2*f.Answers)
	}
	end := f.End().Add(-closing - patience)
	if half := f.Moving().Add(-p.Move / 2); end.Before(half) {
		end = half
	}
	if end.After(f.Moving()) {
		end = f.Moving()
	}
	return end.Add(-MoveDelay)
}

// Next returns the step that follows from f.
func Next(f *Facts) Step {
	notice := f.Began.Add(f.Schedule.Notice)
	switch {
	case f.Now.Before(notice):
		return Wait{notice}
	case !f.Refusing:
		return Refuse{}
	case !f.Now.Before(f.Moving()):
		return stragglers(f)
	case !f.Peers && f.Attached > 0:
		// No sidecar could take them over: they are left alone, until they leave.
		next := f.Now.Add(lookAgain)
		if next.After(f.Moving()) {
			next = f.Moving()
		}
		return Wait{next}
	case !f.Peers:
		return stragglers(f)
	case f.Listed.IsZero():
		return List{}
	case f.Resilient+f.Tunnels > 0:
		return move(f)
	case f.Plain > 0:
		return Wait{f.Moving()} // plain connections are left alone until then
	}
	return stragglers(f)
}

// move moves the clients of the list at an even rate.
func move(f *Facts) Step {
	last := f.Moving()
	span := f.lastAsked().Sub(f.Listed)
	if due := share(f.Clients, f.Now.Sub(f.Listed), span); due > f.Moved {
		return Move{due - f.Moved}
	}
	next := f.NextAsk
	switch {
	case f.Moved < f.Clients:
		next = f.Listed.Add(span / time.Duration(f.Clients) * time.Duration(f.Moved))
	case !f.Now.Before(f.NextAsk):
		return Remind{}
	case f.Resilient == 0:
		next = f.Now // the end of the last tunnel is not signalled
	}
	if soonest := f.Now.Add(pace); next.Before(soonest) {
		next = soonest
	}
	if next.After(last) {
		next = last
	}
	return Wait{next}
}

// share is how many of n are due when some of a span has passed.
func share(n int, passed, span time.Duration) int {
	if passed >= span {
		return n
	}
	return min(n, int(float64(n)*float64(passed)/float64(span))+1)
}

// stragglers hands over what is left. Sessions that come late, by a handshake
// that was under way, are handed over too.
func stragglers(f *Facts) Step {
	left := f.Resilient + f.Plain
	switch {
	case left == 0 || !f.Now.Before(f.End()):
		return Done{left}
	case f.HandedOver < f.Created:
		return HandOver{}
	}
	return Wait{f.End()}
}
