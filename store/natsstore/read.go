package natsstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/wsresilience/wsresilience/store"
)

// pageBytes is about how much one request may bring. The server sends without
// flow control and cuts a connection that has 64 MB waiting, so a herd of
// readers must not ask for that much together.
const pageBytes = 8 << 20

// pendingHeader counts the messages that follow in the subject.
const pendingHeader = "Nats-Num-Pending"

// errBroken is an answer with a hole in it.
var errBroken = errors.New("messages of an answer were lost on the way")

// Read implements store.Log by batched direct gets (ADR-31): one request, no
// consumer, answered by any replica.
func (l *log) Read(ctx context.Context, id store.ID, after store.Revision, limit int) ([]store.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	if err := l.ensure(ctx); err != nil {
		return nil, asUnavailable(err)
	}
	var out []store.Message
	for more := true; more && len(out) < limit; {
		page, pending, err := l.page(ctx, id, after, limit-len(out))
		if err != nil {
			return nil, unavailable(fmt.Errorf("read: %w", err))
		}
		out = append(out, page...)
		more = pending > 0
		if len(out) > 0 {
			after = out[len(out)-1].Revision
		}
	}
	return out, nil
}

// page is one request. pending is how many messages are left after it.
func (l *log) page(ctx context.Context, id store.ID, after store.Revision, limit int) (page []store.Message, pending uint64, err error) {
	answer, err := jetstreamext.GetBatch(ctx, l.js, streamName(l.shard(id)), limit,
		jetstreamext.GetBatchSubject(l.subject(id)),
		jetstreamext.GetBatchSeq(uint64(after)+1),
		jetstreamext.GetBatchMaxBytes(pageBytes))
	if err != nil {
		return nil, 0, err
	}
	for msg, err := range answer {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return page, 0, nil
		}
		if err != nil {
			return nil, 0, err
		}
		left, err := left(msg)
		if err != nil || pending > 0 && left != pending-1 {
			return nil, 0, errors.Join(errBroken, err)
		}
		pending = left
		page = append(page, store.Message{Revision: store.Revision(msg.Sequence), Data: msg.Data})
		if pending == 0 || len(page) == limit {
			return page, pending, nil // no need to wait for the end mark
		}
	}
	// The page was full, or the time is up: of that the iterator says nothing.
	if err := ctx.Err(); err != nil {
		return nil, 0, fmt.Errorf("%d messages came, %d are missing: %w", len(page), pending, err)
	}
	if len(page) == 0 {
		return nil, 0, errBroken
	}
	return page, pending, nil
}

func left(msg *jetstream.RawStreamMsg) (uint64, error) {
	return strconv.ParseUint(msg.Header.Get(pendingHeader), 10, 64)
}
