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
// until then neither the server nor the log is to hear of it per session.
const denialPause = 2 * time.Second

// denials is what the server does not permit our user. It says so beside the
// request, which without us would wait for an answer until its time is up.
// The zero value is ready; it is safe for concurrent use.
type denials struct {
	mu    sync.Mutex
	err   error     // the newest
	until time.Time // calls fail with it until then
	calls map[*context.CancelCauseFunc]struct{}
}

// call bounds one call by timeout and by the next denial, which ends it
// whatever it was for: the caller tries again, and one whose own subject is
// permitted then gets through. Its error is a denial that is still fresh.
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

// note takes a denial in and ends the calls that wait. It returns false for
// those that follow within the pause: they are of calls that were under way.
func (d *denials) note(err error) (first bool) {
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

// because is err, or the denial or the trouble that ended the call under ctx
// and is the reason for it.
func because(ctx context.Context, err error) error {
	var trouble *troubleError
	if cause := context.Cause(ctx); err != nil && (denied(cause) || errors.As(cause, &trouble)) {
		return cause
	}
	return err
}

func denied(err error) bool { return errors.Is(err, nats.ErrPermissionViolation) }
