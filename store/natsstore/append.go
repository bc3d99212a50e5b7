package natsstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/store"
)

// Error codes of nats-server (server/errors.json) that nats.go does not name.
const (
	codeAccountResources      jetstream.ErrorCode = 10002
	codeNoSuitablePeers       jetstream.ErrorCode = 10005
	codeInsufficientResources jetstream.ErrorCode = 10023
	codeStorageExceeded       jetstream.ErrorCode = 10047
	codeStoreFailed           jetstream.ErrorCode = 10077
)

const (
	// headerRoom is for the header that carries the expected sequence, which
	// counts towards the payload limit.
	headerRoom = 1024

	// assumedPayload is a stock server's limit, until a server was reached.
	assumedPayload = 1 << 20
)

// MaxData implements store.Backend.
func (b *backend) MaxData() int {
	payload := int(b.payload.Load())
	if payload == 0 {
		payload = assumedPayload
	}
	return payload - headerRoom
}

// Append implements store.Backend. There is no message id: it would not make
// retries idempotent on one server, and costs memory on all.
func (b *backend) Append(ctx context.Context, id store.ID, after store.Revision, data []byte) (store.Revision, error) {
	ctx, done, err := b.denials.call(ctx, b.cfg.Timeout)
	if err != nil {
		return 0, err
	}
	defer done()
	if err := b.ensure(ctx); err != nil {
		return 0, asUnavailable(cause(ctx, err))
	}
	if b.server != nil {
		if err := b.server.health(); err != nil {
			return 0, unavailable(err)
		}
		if err := b.server.room.enter(ctx); err != nil {
			return 0, err
		}
		defer b.server.room.leave()
		var cancel func()
		ctx, cancel = b.failIfServerBroken(ctx)
		defer cancel()
	}
	seq, err := b.publish(ctx, &nats.Msg{Subject: b.subject(id), Data: data}, uint64(after))
	if err != nil {
		return 0, b.recordFailure(b.appendError(cause(ctx, err)))
	}
	b.full.Store(nil)
	return store.Revision(seq), nil
}

// failIfServerBroken cancels ctx if the embedded server is found broken while
// an append waits.
func (b *backend) failIfServerBroken(ctx context.Context) (context.Context, func()) {
	ctx, end := context.WithCancelCause(ctx)
	timer := time.AfterFunc(stuckAfter, func() {
		if err := b.server.checkHealthAgain(); err != nil {
			end(&brokenServerError{err})
		}
	})
	return ctx, func() { timer.Stop(); end(nil) }
}

// A brokenServerError ends a call because the embedded server is broken.
type brokenServerError struct{ error }

func (e *brokenServerError) Unwrap() error { return e.error }

// recordFailure tells Watch of an append that failed, and returns its error.
func (b *backend) recordFailure(err error) error {
	if errors.Is(err, store.ErrFull) {
		b.full.Store(&refusedAppend{err, time.Now()})
	}
	if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrUnavailable) {
		b.wakeWatch()
	}
	return err
}

// appendError translates a server's answer into the errors of package store.
func (b *backend) appendError(err error) error {
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		b.setUp.Store(false) // without a leader, or deleted: check before the next append
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return unavailable(err)
	}
	switch api.ErrorCode {
	case jetstream.JSErrCodeStreamWrongLastSequence:
		return fencedError(api.Description)
	case jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		// A cluster answers so while another write of the subject is on its
		// way: whether that one gets there is not known yet.
		return fmt.Errorf("natsstore: %w: %w", store.ErrBusy, err)
	case codeAccountResources, codeInsufficientResources, codeStorageExceeded:
		return full(err)
	case codeStoreFailed:
		// The same code for "maximum bytes exceeded" and for a broken disk.
		if strings.Contains(api.Description, "maximum") {
			return full(err)
		}
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return fmt.Errorf("natsstore: %w: %w", store.ErrTooLarge, err)
	}
	return unavailable(err)
}

// full marks err as a refusal for want of room.
func full(err error) error {
	return fmt.Errorf("natsstore: %w: %w; raise max_bytes of the streams %s*, or the storage of the account or server",
		store.ErrFull, err, streamPrefix)
}

// fencedError reads the newest sequence from the description, the only place
// where the server puts it.
func fencedError(description string) error {
	fenced := &store.FencedError{}
	_, err := fmt.Sscanf(description, "wrong last sequence: %d", &fenced.Newest)
	fenced.Known = err == nil
	return fenced
}
