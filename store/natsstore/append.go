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
	// headroom is for the header that carries the expected sequence; the
	// payload limit counts it.
	headroom = 1024

	// assumedPayload is a stock server's limit, until one is reached.
	assumedPayload = 1 << 20
)

// MaxData implements store.Log.
func (l *log) MaxData() int {
	payload := int(l.payload.Load())
	if payload == 0 {
		payload = assumedPayload
	}
	return payload - headroom
}

// Append implements store.Log. There is no message id: it would not make
// retries idempotent on one server, and costs memory on all.
func (l *log) Append(ctx context.Context, id store.ID, after store.Revision, data []byte) (store.Revision, error) {
	ctx, done, err := l.denials.call(ctx, l.cfg.Timeout)
	if err != nil {
		return 0, err
	}
	defer done()
	if err := l.ensure(ctx); err != nil {
		return 0, asUnavailable(because(ctx, err))
	}
	if l.server != nil {
		if err := l.server.trouble(); err != nil {
			return 0, unavailable(err)
		}
		var calm func()
		ctx, calm = l.orTrouble(ctx)
		defer calm()
	}
	msg := &nats.Msg{Subject: l.subject(id), Data: data}
	ack, err := l.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(uint64(after)))
	if err != nil {
		return 0, l.noted(l.appendError(because(ctx, err)))
	}
	l.full.Store(nil)
	return store.Revision(ack.Sequence), nil
}

// orTrouble ends ctx when an append waits and the embedded server turns out to
// be the reason.
func (l *log) orTrouble(ctx context.Context) (context.Context, func()) {
	ctx, end := context.WithCancelCause(ctx)
	timer := time.AfterFunc(stuckAfter, func() {
		if err := l.server.examine(); err != nil {
			end(&troubleError{err})
		}
	})
	return ctx, func() { timer.Stop(); end(nil) }
}

// A troubleError is the embedded server's, and the reason why a call ended.
type troubleError struct{ error }

func (e *troubleError) Unwrap() error { return e.error }

// noted lets Watch know of an append that failed.
func (l *log) noted(err error) error {
	if errors.Is(err, store.ErrFull) {
		l.full.Store(&refused{err, time.Now()})
	}
	if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrUnavailable) {
		l.nudge()
	}
	return err
}

// appendError says what an answer means to the chain.
func (l *log) appendError(err error) error {
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		l.setUp.Store(false) // without a leader, or deleted: look before the next
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
		return fmt.Errorf("natsstore: %w: %w", store.ErrFull, err)
	case codeStoreFailed:
		// The same code for "maximum bytes exceeded" and for a broken disk.
		if strings.Contains(api.Description, "maximum") {
			return fmt.Errorf("natsstore: %w: %w", store.ErrFull, err)
		}
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return fmt.Errorf("natsstore: %w: %w", store.ErrTooLarge, err)
	}
	return unavailable(err)
}

// fencedError takes the newest sequence from the only place where it stands.
func fencedError(description string) error {
	fenced := &store.FencedError{}
	_, err := fmt.Sscanf(description, "wrong last sequence: %d", &fenced.Newest)
	fenced.Known = err == nil
	return fenced
}
