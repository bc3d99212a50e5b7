package natsstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/wsresilience/wsresilience/store"
)

const (
	// checkInterval is the pause between two checks of a journal that is well.
	checkInterval = time.Second

	// checkTimeout bounds one check.
	checkTimeout = 1500 * time.Millisecond

	// minCheckPause is between any two checks, however many appends fail.
	minCheckPause = 100 * time.Millisecond

	// slowChecks is how many checks in a row must time out before the journal
	// counts as unavailable: one may be a leader that is busy.
	slowChecks = 2

	// fullFor is how long a refusal for want of room counts without another
	// check. An append that succeeds ends it too.
	fullFor = 10 * time.Second
)

// A refusedAppend is an append's error and its time.
type refusedAppend struct {
	err error
	at  time.Time
}

// Watch calls changed with the state of the journal at once, and then with
// every change, from one goroutine, until ctx ends. A connection that breaks,
// a broken server and a full stream show within a second or so; a slow answer
// alone is no change. why holds no credentials; it is nil if available.
// One Watch at a time.
func (s *Store) Watch(ctx context.Context, changed func(available bool, why error)) {
	b := s.backend
	status := b.nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	defer b.nc.RemoveStatusListener(status)
	known, up, slow := false, false, 0
	var running chan error // a check that takes too long
	for {
		why := b.checkWithin(ctx, &running)
		if ctx.Err() != nil {
			return
		}
		if slow++; !b.slow(why) {
			slow = 0
		}
		if decided := slow == 0 || slow >= slowChecks; decided && (!known || up != (why == nil)) {
			known, up = true, why == nil
			changed(up, why)
		}
		if !b.awaitCheck(ctx, status) {
			return
		}
	}
}

// errStuck is a check that waits for the connection, which is busy writing to a
// server that does not read.
var errStuck = fmt.Errorf("natsstore: %w: the server does not read what we send", store.ErrUnavailable)

// checkWithin is check, or errStuck if that does not return in time. running is
// then the check that is under way, which the next call goes on to wait for.
func (b *backend) checkWithin(ctx context.Context, running *chan error) error {
	if *running == nil {
		result := make(chan error, 1)
		*running = result
		go func() { result <- b.check(ctx) }()
	}
	timer := time.NewTimer(2 * checkTimeout)
	defer timer.Stop()
	select {
	case why := <-*running:
		*running = nil
		return why
	case <-timer.C:
		return errStuck
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check asks once.
func (b *backend) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := b.Ready(ctx)
	if r := b.full.Load(); r != nil && time.Since(r.at) < fullFor {
		return r.err
	}
	return err
}

// slow reports whether why says no more than that no answer came in time.
func (b *backend) slow(why error) bool {
	var broken *brokenServerError
	return errors.Is(why, context.DeadlineExceeded) && b.nc.IsConnected() && !errors.As(why, &broken)
}

// awaitCheck waits until the next check is due. It returns false when ctx has
// ended.
func (b *backend) awaitCheck(ctx context.Context, status <-chan nats.Status) bool {
	timer := time.NewTimer(minCheckPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		timer.Reset(checkInterval - minCheckPause)
	case <-status:
		return true
	case <-ctx.Done():
		return false
	}
	select {
	case <-timer.C:
	case <-status:
	case <-b.wakeups:
	case <-ctx.Done():
		return false
	}
	return true
}

// wakeWatch makes Watch check now. It does not block.
func (b *backend) wakeWatch() {
	select {
	case b.wakeups <- struct{}{}:
	default:
	}
}
