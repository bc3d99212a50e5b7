package natsstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/wsresilience/wsresilience/store"
)

const (
	// maxPageBytes is about how much one request may return. The server sends
	// without flow control and cuts a connection that has 64 MB waiting: some
	// thirty readers at once are far from it.
	maxPageBytes = 2 << 20

	// maxFruitless is how many requests in a row may bring no message. An
	// answer can be lost as a whole or from some message on, with its server or
	// with the connection, and a server that cannot count what is stored does
	// not answer at all; the next request may reach another replica.
	maxFruitless = 3

	// readTimeouts bounds a whole read, in request timeouts: a slow answer that
	// keeps coming is not lost.
	readTimeouts = 5
)

// maxAnswer is how many messages of an answer wait to be taken: far more than a ring
// has. nats.go makes room for so many with each read, which by default is 512 KiB:
// a storm of resumes reads by the hundred.
const maxAnswer = 1024

// Headers of a batch: how many messages follow in the subject, and the
// sequence of the message before it in this answer.
const (
	pendingHeader  = "Nats-Num-Pending"
	previousHeader = "Nats-Last-Sequence"
)

var (
	// errIncomplete is an answer from which messages are missing.
	errIncomplete = errors.New("messages of an answer were lost on the way")

	// errSilent is an answer that did not come, or stopped.
	errSilent = errors.New("no answer")
)

// Read implements store.Backend by batched direct gets (ADR-31): one request a
// page, no consumer, answered by any replica.
func (b *backend) Read(ctx context.Context, id store.ID, after store.Revision, limit int) ([]store.Message, error) {
	ctx, done, err := b.denials.call(ctx, readTimeouts*b.cfg.Timeout)
	if err != nil {
		return nil, err
	}
	defer done()
	if b.server != nil {
		if err := b.server.room.enter(ctx); err != nil {
			return nil, err
		}
		defer b.server.room.leave()
	}
	var out []store.Message
	for asked := 1; len(out) < limit; asked++ {
		if err := b.ensure(ctx); err != nil {
			return nil, asUnavailable(cause(ctx, err))
		}
		page, more, err := b.page(ctx, id, after, limit-len(out))
		out = append(out, page...)
		if len(page) > 0 {
			after, asked = page[len(page)-1].Revision, 0
		}
		lost := errors.Is(err, errSilent) || errors.Is(err, errIncomplete)
		switch {
		case err == nil && !more:
			return out, nil
		case err != nil && (!lost || asked >= maxFruitless):
			return nil, unavailable(fmt.Errorf("read after %d: %w", after, cause(ctx, err)))
		}
	}
	return out, nil
}

// page makes one request. more reports whether messages are left after it. With
// errSilent and errIncomplete, the page holds what came before.
func (b *backend) page(ctx context.Context, id store.ID, after store.Revision, limit int) (page []store.Message, more bool, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	silence := b.cfg.Timeout / maxFruitless
	timer := time.AfterFunc(silence, func() { end(errSilent) })
	defer timer.Stop()
	answer, err := jetstreamext.GetBatch(ctx, b.js, streamName(b.shard(id)), limit,
		jetstreamext.GetBatchSubject(b.subject(id)),
		jetstreamext.GetBatchSeq(uint64(after)+1),
		jetstreamext.GetBatchMaxBytes(maxPageBytes))
	if err != nil {
		return nil, false, err
	}
	previous := uint64(0)
	for msg, err := range answer {
		timer.Reset(silence)
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return page, false, nil
		}
		if err != nil {
			return page, true, contextError(ctx, err)
		}
		before, pending, err := batchPosition(msg)
		if err != nil || before != previous {
			return page, true, errors.Join(errIncomplete, err)
		}
		previous = msg.Sequence
		page = append(page, store.Message{Revision: store.Revision(msg.Sequence), Data: msg.Data})
		if pending == 0 || len(page) == limit {
			return page, pending > 0, nil // without waiting for the end mark
		}
	}
	// The end mark, or the end of ctx: the iterator does not say which.
	if err := contextError(ctx, nil); err != nil || len(page) > 0 {
		return page, true, err
	}
	return nil, true, errIncomplete
}

// contextError returns the cause for which ctx ended, or err if it has not.
func contextError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// batchPosition returns the sequence before msg in its answer and the number of
// messages after it.
func batchPosition(msg *jetstream.RawStreamMsg) (before, pending uint64, err error) {
	before, err = strconv.ParseUint(msg.Header.Get(previousHeader), 10, 64)
	if err == nil {
		pending, err = strconv.ParseUint(msg.Header.Get(pendingHeader), 10, 64)
	}
	return before, pending, err
}
