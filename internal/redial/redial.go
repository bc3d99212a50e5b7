// Package redial decides when an app whose socket broke is dialled again, and
// when that is given up. It is handed the time and returns deadlines; it does
// no I/O and reads no clock.
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
	// from us.
	minLifetime = 10 * time.Second

	// maxDetachedCrashes is how often it is tried while no client is there to
	// miss the app.
	maxDetachedCrashes = 3
)

// A History is what became of a session's app sockets. The zero value is that
// of a session that has its first one.
type History struct {
	made    time.Time // when the newest replacement was made; zero: none was
	crashes int       // replacements in a row that ended before minLifetime
	since   time.Time // when the first of them ended
}

// Made notes that the session has a new socket.
func (h *History) Made(now time.Time) { h.made = now }

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
	s = Search{Due: now, End: now.Add(patience), pauses: backoff.New(backoff.Policy{Max: maxPause}, random)}
	for range h.crashes {
		pause, _ := s.pauses.Next()
		s.Due = now.Add(pause) // after a crash, later from the first attempt on
	}
	return s, true
}

// A Search is the attempts to reach an app until it is back.
type Search struct {
	Due time.Time // of the next attempt
	End time.Time // then the search is given up, a running attempt too

	pauses backoff.Backoff
}

// Failed notes that an attempt failed; denied means that the app did not accept
// the client's credentials. It sets Due anew, or reports false if other
// attempts would fail too.
func (s *Search) Failed(now time.Time, denied bool) bool {
	if denied {
		return false // the credentials are out of date: the client has to come itself
	}
	pause, _ := s.pauses.Next()
	s.Due = now.Add(pause)
	return now.Before(s.End)
}
