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
	// pageBytes is about how much one request may bring. The server sends
	// without flow control and cuts a connection that has 64 MB waiting: some
	// thirty readers at once are far from it.
	pageBytes = 2 << 20

	// asks is how often a read asks in a row without getting a message on.
	// An answer can be lost as a whole or from some message on, with its
	// server or with the connection, and a server that cannot count what is
	// stored says nothing at all; the requests may go to other replicas.
	asks = 3

	// readTimeouts bounds a whole read, in request timeouts: a slow answer
	// that keeps coming is not lost.
	readTimeouts = 5
)

// Headers of a batch: how many messages follow in the subject, and the
// sequence of the message before it in this answer.
const (
	pendingHeader  = "Nats-Num-Pending"
	previousHeader = "Nats-Last-Sequence"
)

var (
	// errBroken is an answer with a hole in it.
	errBroken = errors.New("messages of an answer were lost on the way")

	// errSilent is an answer that did not come, or did not go on.
	errSilent = errors.New("no answer")
)

// Read implements store.Log by batched direct gets (ADR-31): one request a
// page, no consumer, answered by any replica.
func (l *log) Read(ctx context.Context, id store.ID, after store.Revision, limit int) ([]store.Message, error) {
	ctx, done, err := l.denials.call(ctx, readTimeouts*l.cfg.Timeout)
	if err != nil {
		return nil, err
	}
	defer done()
	var out []store.Message
	for asked := 1; len(out) < limit; asked++ {
		if err := l.ensure(ctx); err != nil {
			return nil, asUnavailable(because(ctx, err))
		}
		page, more, err := l.page(ctx, id, after, limit-len(out))
		out = append(out, page...)
		if len(page) > 0 {
			after, asked = page[len(page)-1].Revision, 0
		}
		lost := errors.Is(err, errSilent) || errors.Is(err, errBroken)
		switch {
		case err == nil && !more:
			return out, nil
		case err != nil && (!lost || asked >= asks):
			return nil, unavailable(fmt.Errorf("read after %d: %w", after, because(ctx, err)))
		}
	}
	return out, nil
}

// page is one request. more tells whether messages are left after it. With
// errSilent and errBroken, what came before stands.
func (l *log) page(ctx context.Context, id store.ID, after store.Revision, limit int) (page []store.Message, more bool, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	silence := l.cfg.Timeout / asks
	timer := time.AfterFunc(silence, func() { end(errSilent) })
	defer timer.Stop()
	answer, err := jetstreamext.GetBatch(ctx, l.js, streamName(l.shard(id)), limit,
		jetstreamext.GetBatchSubject(l.subject(id)),
		jetstreamext.GetBatchSeq(uint64(after)+1),
		jetstreamext.GetBatchMaxBytes(pageBytes))
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
			return page, true, ended(ctx, err)
		}
		before, pending, err := place(msg)
		if err != nil || before != previous {
			return page, true, errors.Join(errBroken, err)
		}
		previous = msg.Sequence
		page = append(page, store.Message{Revision: store.Revision(msg.Sequence), Data: msg.Data})
		if pending == 0 || len(page) == limit {
			return page, pending > 0, nil // no need to wait for the end mark
		}
	}
	// The end mark, or the context: of that the iterator says nothing.
	if err := ended(ctx, nil); err != nil || len(page) > 0 {
		return page, true, err
	}
	return nil, true, errBroken
}

// ended prefers the reason for which the context ended to what it looks like.
func ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// place is where in its answer a message stands.
func place(msg *jetstream.RawStreamMsg) (before, pending uint64, err error) {
	before, err = strconv.ParseUint(msg.Header.Get(previousHeader), 10, 64)
	if err == nil {
		pending, err = strconv.ParseUint(msg.Header.Get(pendingHeader), 10, 64)
	}
	return before, pending, err
}
