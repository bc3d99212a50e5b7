package proxy

import (
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// unread knows since when a socket has not been read to its end, as that of an app
// whose client is slow. What ended it may be that long ago. Its times are
// milliseconds since the session began, and one. The zero value has been read.
type unread struct {
	since uint32 // when the first of several pauses began, which followed each other; 0: there was none
	until uint32 // when the last ended, or stillPaused
}

const (
	// unreadGap is how long after a pause there may be bytes of before it.
	unreadGap = 2 * time.Second

	stillPaused = ^uint32(0)
)

func millis(d time.Duration) uint32 { return uint32(d.Milliseconds()) + 1 }

// paused reports whether the socket is not read.
func (u *unread) paused() bool { return u.until == stillPaused }

// note takes that at a time, counted from the beginning of the session, the socket
// is read or not.
func (u *unread) note(at time.Duration, paused bool) {
	switch now := millis(at); {
	case !paused:
		u.until = now
	case u.paused():
	default:
		if u.since == 0 || now-u.until > millis(unreadGap) {
			u.since = now
		}
		u.until = stillPaused
	}
}

// at returns for how long, at a time, the socket may have had bytes that were not
// read; ok is false if it has none.
func (u *unread) at(at time.Duration) (age time.Duration, ok bool) {
	now := millis(at)
	if u.since == 0 || !u.paused() && now-u.until > millis(unreadGap) {
		return 0, false
	}
	return time.Duration(now-u.since) * time.Millisecond, true
}

// pauseAppLocked reads the app's socket or not. The caller holds the lock.
func (c *sessionDriver) pauseAppLocked(now time.Time, on bool) {
	if on != c.appUnread.paused() {
		c.appUnread.note(monotime.At(now).Sub(c.born), on)
	}
	c.app.pause(on)
}

// appUnreadSinceLocked returns since when the app's socket was not read to its end;
// zero if it was. The caller holds the lock.
func (c *sessionDriver) appUnreadSinceLocked(now time.Time) time.Time {
	age, ok := c.appUnread.at(monotime.At(now).Sub(c.born))
	if !ok {
		return time.Time{}
	}
	return now.Add(-age)
}
