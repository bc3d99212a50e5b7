package natsstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// denialPause is how long every call fails at once after the server denied
// one. A user without the permission stays so until an operator acts, and
// until then neither the server nor the log gets a line per session.
const denialPause = 2 * time.Second

// denials tracks what the server does not permit our user. The server reports
// that asynchronously and never answers the request, which would otherwise
// wait until its timeout. The zero value is ready; it is safe for concurrent use.
type denials struct {
	mu    sync.Mutex
	err   error     // the newest denial
	until time.Time // calls fail with it until then
	calls map[*context.CancelCauseFunc]struct{}
}

// call bounds one call by timeout and by the next denial, which ends it
// whatever subject it names: the caller tries again, and one whose own subject
// is permitted then succeeds. call fails with a denial that is still fresh.
func (d *denials) call(ctx context.Context, timeout time.Duration) (context.Context, func(), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Now().Before(d.until) {
		return nil, nil, unavailable(d.err)
	}
	ctx, stop := context.WithTimeout(ctx, timeout)
	ctx, end := context.WithCancelCause(ctx)
	if d.calls == nil {
		d.calls = map[*context.CancelCauseFunc]struct{}{}
	}
	d.calls[&end] = struct{}{}
	return ctx, func() {
		d.mu.Lock()
		delete(d.calls, &end)
		d.mu.Unlock()
		end(nil)
		stop()
	}, nil
}

// record takes in a denial and ends the calls that wait. It reports whether it
// is the first; those that follow within the pause are of calls that were
// under way.
func (d *denials) record(err error) (first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	first = !now.Before(d.until)
	d.err, d.until = err, now.Add(denialPause)
	for end := range d.calls {
		(*end)(err)
	}
	return first
}

// forget lets the next call find out by itself.
func (d *denials) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.until = time.Time{}
}

// cause returns the reason for err: the denial or the broken server that ended
// the call under ctx, or err itself.
func cause(ctx context.Context, err error) error {
	var broken *brokenServerError
	if cause := context.Cause(ctx); err != nil && (denied(cause) || errors.As(cause, &broken)) {
		return cause
	}
	return err
}

// denied reports whether the server did not permit our user a subject.
func denied(err error) bool { return errors.Is(err, nats.ErrPermissionViolation) }
