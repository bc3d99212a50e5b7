// Package reauth decides when the app is asked again whether the client of a
// living session may keep it (WSR_REAUTH_EVERY), and what follows from the
// answer. Facts go in and one step comes out, as in package admission; it does
// no I/O and reads no clock.
package reauth

import "time"

const (
	// grace is how long a client whom the app refuses may take to come with a
	// new handshake: a page may have to ask somebody for a new ticket first.
	grace = 30 * time.Second

	// maxRetry bounds the wait after a question that got no answer.
	maxRetry = 30 * time.Second
)

// A Schedule is the pace of the questions, the same for all sessions.
type Schedule struct {
	Every  time.Duration  // the longest time between two questions about a session; 0: none is asked
	Random func() float64 // in [0, 1)
}

// ScanEvery is how often it is to be seen which sessions are due.
func (s Schedule) ScanEvery() time.Duration {
	return max(50*time.Millisecond, min(s.Every/16, 5*time.Second))
}

// next is when a client that the app has just allowed is asked about again. It
// varies by nearly half of the interval: sessions that began together are not
// to be asked about together. What is left of it is for the scan.
func (s Schedule) next(now time.Time) time.Time {
	wait := s.Every/2 + time.Duration(s.Random()*float64(s.Every/2))
	return now.Add(max(s.Every/4, wait-s.ScanEvery()))
}

// A Watch is how far the questions about one session are. The zero value asks
// at once; Allowed begins it.
type Watch struct {
	due     time.Time // of the next step
	refused bool      // the app refuses the handshake that the session has
	asking  bool
}

// Facts are what is known of a session now.
type Facts struct {
	Now      time.Time
	Attached bool // the client is there
	Leaving  bool // the session is over here, or nearly
}

// A Step is what the driver does next: [Ask], [Renew], [Disconnect], or
// [End]; nil is nothing.
type Step interface{ step() }

type (
	// Ask asks the app. Then comes Answered.
	Ask struct{}
	// Renew asks the client to come with a new handshake.
	Renew struct{}
	// Disconnect ends the client's connection, which it has kept for too long:
	// when it comes back it is asked about.
	Disconnect struct{}
	// End ends the session.
	End struct{}
)

func (Ask) step()        {}
func (Renew) step()      {}
func (Disconnect) step() {}
func (End) step()        {}

// Next decides about the next step. A client that is away is not asked about: it
// is when it comes back.
func (w *Watch) Next(f Facts) Step {
	switch {
	case f.Leaving || !f.Attached || w.asking || f.Now.Before(w.due):
		return nil
	case w.refused:
		return Disconnect{}
	}
	w.asking = true
	return Ask{}
}

// An Answer is what came of a question.
type Answer uint8

const (
	// Allowed: the client may keep its session.
	Allowed Answer = 1 + iota
	// Refused: not with this handshake.
	Refused
	// Unknown: the app could not be asked, or cannot tell. That is no reason to
	// end a session.
	Unknown
)

// Answered notes what came of Ask, about the handshake that the session has.
// renewable reports whether its client can be told to come again.
func (w *Watch) Answered(now time.Time, a Answer, renewable bool, s Schedule) Step {
	w.asking = false
	switch {
	case a == Allowed:
		w.Allowed(now, s)
	case a == Unknown:
		w.due = now.Add(min(s.Every/4, maxRetry))
	case !renewable:
		return End{}
	default:
		w.refused, w.due = true, now.Add(grace)
		return Renew{}
	}
	return nil
}

// Superseded notes that the answer to Ask is about a handshake that the session
// has no more.
func (w *Watch) Superseded() { w.asking = false }

// Allowed notes that the app has allowed the handshake that the session has.
func (w *Watch) Allowed(now time.Time, s Schedule) {
	w.refused, w.due = false, s.next(now)
}

// Refused reports whether the app refuses the handshake that the session has, so
// that another refusal is final.
func (w *Watch) Refused() bool { return w.refused }
