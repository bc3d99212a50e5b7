// Package redial decides what the end of an app's socket means, when the app is
// dialled again, and when that is given up. Facts go in and one step comes out,
// as in package admission; it does no I/O and reads no clock.
package redial

import (
	"time"

	"github.com/wsresilience/wsresilience/internal/backoff"
)

const (
	// maxPause is the longest pause between attempts to reach an app that
	// restarts. An app that is back should not wait for its clients.
	maxPause = 2 * time.Second

	// minLifetime is how long a new socket must have lived for its end to be
	// an accident. One that ends sooner ends for a reason: the app is in a
	// crash loop, or another client took this one's place there, and took it
	// from us. It is also how long an app must be up before a session whose
	// client is away dials it: the client may have a successor there.
	minLifetime = 10 * time.Second

	// settling is for how long an app has to refuse a handshake before its client
	// is asked for another one: one that has just started may know nobody for a
	// moment. It is asked again every settlingPause.
	settling      = time.Second
	settlingPause = 250 * time.Millisecond

	// leaving is how long an app whose pod stops is looked at, where others of its
	// sockets live: it may be closing them one after the other.
	leaving = time.Second

	// maxDetachedCrashes is how often it is tried while no client is there to
	// miss the app.
	maxDetachedCrashes = 3
)

// A History is what became of a session's app sockets. The zero value is that
// of a session that has its first one.
type History struct {
	made    time.Time // when the newest replacement was made; zero: none was
	unclear bool      // it was made without a sign that the app had restarted, but for a close code
	crashes int       // replacements in a row that ended before minLifetime
	since   time.Time // when the first of them ended
}

// Made notes that a search gave the session a new socket.
func (h *History) Made(now time.Time, s *Search) {
	h.made, h.unclear = now, s.cause == unclear || s.alone
}

// Lost notes that the app's socket broke and returns the search for another
// one, which may take patience in all. It reports false if there is no sense
// in that: the app is in a crash loop for longer than patience, or for several
// times while no client is attached.
func (h *History) Lost(now time.Time, attached bool, patience time.Duration, random func() float64) (s Search, ok bool) {
	switch {
	case h.made.IsZero() || now.Sub(h.made) >= minLifetime:
		h.crashes = 0
	default:
		if h.crashes++; h.crashes == 1 {
			h.since = now
		}
	}
	if h.crashes > 0 && now.Sub(h.since) >= patience || !attached && h.crashes >= maxDetachedCrashes {
		return Search{}, false
	}
	s = Search{
		Due: now, End: now.Add(patience), pauses: backoff.New(backoff.Policy{Max: maxPause}, random),
		broke: now, patience: patience, again: h.crashes > 0 && h.unclear,
	}
	for range h.crashes {
		pause, _ := s.pauses.Next()
		s.Due = now.Add(pause) // after a crash, later from the first attempt on
	}
	return s, true
}

// Leave returns the search for why an app has ended a socket while its pod stops.
func Leave(now time.Time) Search { return Search{broke: now, stops: true} }

// A Search is the attempts to reach an app until it is back.
type Search struct {
	Due time.Time // of the next attempt
	End time.Time // then the search is given up, a running attempt too

	pauses   backoff.Backoff
	broke    time.Time
	unread   time.Time // since when the socket had not been read to its end; zero: it had
	patience time.Duration
	again    bool // the socket before had been replaced on suspicion, a moment ago
	alone    bool // the app's close code says that it restarts, and nothing else does
	stops    bool // the pod was about to stop when the socket ended
	cause    cause
	probes   int       // how many of probeAfter are done
	denied   time.Time // when the app first refused the client's handshake; zero: it has not, or was away since
	idle     bool      // no attempt was made since End was set, as the client is away
}

// UnreadSince tells since when the socket had not been read to its end, as when a
// client is slow: an app that was away since then has ended it by that.
func (s *Search) UnreadSince(t time.Time) { s.unread = t }

// probeAfter is when, counted from the break, it is seen whether the app takes
// connections. A process that ends closes its sockets in some order, and a
// supervisor may have the next one up within 50 ms. The last time is for an app
// whose pod stops.
var probeAfter = [...]time.Duration{0, 20 * time.Millisecond, together, leaving}

// probes is how many of probeAfter there are for other apps.
const probes = len(probeAfter) - 1

// Facts are what is known of a session whose app's socket is gone.
type Facts struct {
	Now      time.Time
	Said     bool // the app's close said that it restarts
	Certain  bool // and not by its code alone
	Attached bool // the client is there
	Denied   bool // the app did not accept the client's handshake, and there is no newer one
	Evidence
}

// A Step is what the driver does next: [Wait], [Probe], [Dial], [HandOver],
// [GiveUp] or [Close].
type Step interface{ step() }

type (
	// Wait is to ask again at Until, or when the client comes or goes. The zero
	// Until is never.
	Wait struct{ Until time.Time }
	// Probe is to see whether the app takes a connection, without a handshake.
	Probe struct{}
	// Dial is to make the client's handshake with the app.
	Dial struct{}
	// HandOver is to give the session to another pod: the app stops with this
	// one, or may do so.
	HandOver struct{}
	// GiveUp is to end the session: the app did not come back.
	GiveUp struct{}
	// Close is to end the session as the app has: it lives, and meant it.
	Close struct{}
)

func (Wait) step()     {}
func (Probe) step()    {}
func (Dial) step()     {}
func (HandOver) step() {}
func (GiveUp) step()   {}
func (Close) step()    {}

// Next decides about the next step.
func (s *Search) Next(f *Facts) Step {
	if s.stops {
		return s.nextOfLeaving(f)
	}
	if s.cause == undecided || s.cause == unclear {
		if step := s.decide(f); step != nil {
			return step
		}
	}
	switch {
	case s.cause == meant:
		return Close{}
	case f.Denied && f.Attached: // it is asked to come with a new handshake
		return s.attempt(f.Now, Wait{s.End})
	case f.Denied:
		s.idle = true
		return Wait{}
	case f.Attached:
		return s.attempt(f.Now, Dial{})
	case s.cause == unclear, s.alone:
		s.idle = true
		return Wait{}
	case f.UpSince.IsZero() && !f.TriedAt.Before(s.broke):
		return s.attempt(f.Now, Probe{})
	}
	up := s.broke
	if f.UpSince.After(up) {
		up = f.UpSince
	}
	if at := up.Add(minLifetime); f.Now.Before(at) {
		s.idle = true
		return Wait{at}
	}
	return s.attempt(f.Now, Dial{})
}

// decide finds the cause, or returns the step that shows it.
func (s *Search) decide(f *Facts) Step {
	switch {
	case f.Down, f.Certain, f.Said && f.Attached && !s.again:
		s.cause, s.alone = restarting, f.Said && !f.Certain && !f.Down && f.cause() == meant
		return nil
	case s.cause == unclear:
		return nil
	}
	if step := s.probe(f, probeAfter[:probes]); step != nil {
		return step
	}
	s.cause = f.cause()
	switch {
	case f.Said: // it may be the word for an end of this one socket
		if s.alone = s.cause == meant; !s.alone || !s.again {
			s.cause = restarting
		}
	case s.cause == unclear && s.again:
		s.cause = meant // twice in a row, of an app that lives
	}
	return nil
}

// Evidence returns what the app's sockets show of the break at now.
func (s *Search) Evidence(now time.Time, of *Sockets) Evidence {
	within := together
	if s.stops {
		within = leaving
	}
	e := of.evidence(now, s.broke, within)
	e.Down = e.Down || !s.unread.IsZero() && of.refusedAt.After(s.unread)
	return e
}

// probe returns the step by which the app is looked for at these times, or nil
// when that is done.
func (s *Search) probe(f *Facts, after []time.Duration) Step {
	for s.probes < len(after) {
		at := s.broke.Add(after[s.probes])
		if f.Now.Before(at) {
			return Wait{at}
		}
		if f.TriedAt.Before(at) {
			return Probe{}
		}
		s.probes++
	}
	return nil
}

// nextOfLeaving is Next for an app whose pod stops. It is expected to end its
// sockets, and another pod has another app: so in doubt the session goes there.
// Only an app that still takes connections after a while, and has left its other
// sockets alone, has meant this one.
func (s *Search) nextOfLeaving(f *Facts) Step {
	if f.Down || f.Certain {
		return HandOver{}
	}
	if step := s.probe(f, probeAfter[:probes]); step != nil {
		return step
	}
	if f.cause() != meant || f.Said && f.Opened < f.Broke {
		return HandOver{} // a close code that says so is believed, unless a successor shows
	}
	if step := s.probe(f, probeAfter[:]); step != nil {
		return step
	}
	return Close{}
}

// attempt returns step when it is due.
func (s *Search) attempt(now time.Time, step Step) Step {
	if s.idle { // the app is looked for from now on
		s.idle, s.End = false, now.Add(s.patience)
	}
	switch {
	case !now.Before(s.End):
		return GiveUp{}
	case !now.Before(s.Due):
		return step
	case s.End.Before(s.Due):
		return Wait{s.End}
	}
	return Wait{s.Due}
}

// Denied notes that the app is there and does not accept the client's handshake,
// and reports whether that is its word. The client then has as much time to come
// with a new one as the app to come back.
func (s *Search) Denied(now time.Time) bool {
	if s.denied.IsZero() {
		s.denied = now
	}
	if now.Sub(s.denied) < settling {
		s.Due = now.Add(settlingPause)
		if end := s.denied.Add(settling + settlingPause); s.End.Before(end) {
			s.End = end
		}
		return false
	}
	s.denied = time.Time{}
	s.Due, s.End = now, now.Add(s.patience)
	return true
}

// Failed notes that an attempt failed. It sets Due anew, or reports false if
// the search is given up.
func (s *Search) Failed(now time.Time) bool {
	if s.stops {
		return false // it is not waited for
	}
	pause, _ := s.pauses.Next()
	s.Due, s.denied = now.Add(pause), time.Time{}
	return now.Before(s.End)
}
