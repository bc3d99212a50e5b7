package natsstore

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// watchInterval is between two looks at a journal that seems well.
	watchInterval = time.Second

	// watchTimeout of one look.
	watchTimeout = 1500 * time.Millisecond

	// watchPause is between two looks at least, however many appends fail.
	watchPause = 100 * time.Millisecond

	// slowLooks is how many looks in a row must go without an answer before
	// the journal counts as away: one may be a leader that is busy.
	slowLooks = 2

	// fullFor is how long a refusal for want of room stands for itself. An
	// append that succeeds ends it too.
	fullFor = 10 * time.Second
)

// A refused is an append's error and its time.
type refused struct {
	err error
	at  time.Time
}

// Watch calls changed with the state of the journal at once, and then with
// every change, from one goroutine, until ctx ends. A connection that breaks,
// a server in trouble and a full stream show within a second or so; a slow
// answer alone is no change. why holds no credentials; it is nil if available.
// One Watch at a time.
func (s *Store) Watch(ctx context.Context, changed func(available bool, why error)) {
	l := s.log
	status := l.nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	defer l.nc.RemoveStatusListener(status)
	known, up, slow := false, false, 0
	for {
		why := l.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if slow++; !l.slow(why) {
			slow = 0
		}
		if decided := slow == 0 || slow >= slowLooks; decided && (!known || up != (why == nil)) {
			known, up = true, why == nil
			changed(up, why)
		}
		if !l.rest(ctx, status) {
			return
		}
	}
}

// look asks once.
func (l *log) look(ctx context.Context) error {
	if r := l.full.Load(); r != nil && time.Since(r.at) < fullFor {
		return r.err
	}
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	return l.Ready(ctx)
}

// slow tells whether why says no more than that no answer came in time.
func (l *log) slow(why error) bool {
	var trouble *troubleError
	return errors.Is(why, context.DeadlineExceeded) && l.nc.IsConnected() && !errors.As(why, &trouble)
}

// rest waits until the next look is due. It returns false when ctx has ended.
func (l *log) rest(ctx context.Context, status <-chan nats.Status) bool {
	timer := time.NewTimer(watchPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		timer.Reset(watchInterval - watchPause)
	case <-status:
		return true
	case <-ctx.Done():
		return false
	}
	select {
	case <-timer.C:
	case <-status:
	case <-l.nudges:
	case <-ctx.Done():
		return false
	}
	return true
}

// nudge makes Watch look. It never waits.
func (l *log) nudge() {
	select {
	case l.nudges <- struct{}{}:
	default:
	}
}
