package natsstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/store"
)

const (
	// keyBucket holds what is known of messages that act once.
	keyBucket = "WSR_IDEM"
	keyStream = "KV_" + keyBucket
	keyPrefix = "$KV." + keyBucket + "."

	// DefaultKeyBytes bounds the bucket of an external journal, and keyShare is
	// the part of an embedded one that it may take.
	DefaultKeyBytes = 256 << 20
	keyShare        = 20

	// maxKeyValue is the largest entry, sealed.
	maxKeyValue = idempotency.MaxEntry + 128

	keyAAD = "wsr key"
)

// Keys keeps what is known of messages that act once, for all sidecars that share
// the journal: one key of the bucket WSR_IDEM each, for as long as its rule says.
// It is safe for concurrent use.
type Keys struct {
	backend *backend
	ring    *keyring.Ring
	bucket  atomic.Pointer[jetstream.Stream] // nil: it is not known to be there
}

// Keys returns the journal's keys. The bucket is made when it is used first, with
// Config.KeyBytes.
func (s *Store) Keys() *Keys {
	return &Keys{backend: s.backend, ring: s.backend.cfg.Keys.Derive("key")}
}

// Put does what a call asks for. Whether it was written is not known after an
// error, which wraps one of those of package store; what is found then tells.
func (k *Keys) Put(ctx context.Context, c *idempotency.Call) (idempotency.Result, error) {
	if c.Looks() {
		return k.find(ctx, c.Key)
	}
	revision, err := k.write(ctx, c)
	switch {
	case err == nil:
		return idempotency.Result{Written: true, Revision: revision}, nil
	case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrBusy):
		return k.find(ctx, c.Key)
	}
	return idempotency.Result{}, err
}

// open returns the bucket, and makes it if it is missing. One that is wrong is used
// all the same: what counts is its compare-and-set.
func (k *Keys) open(ctx context.Context) (jetstream.Stream, error) {
	if s := k.bucket.Load(); s != nil {
		return *s, nil
	}
	want := k.backend.keeper.layout.keys()
	err := k.backend.keeper.keep(ctx, &want)
	var wrong *wrongStreamError
	if err != nil && !errors.As(err, &wrong) {
		return nil, err
	}
	s, err := k.backend.js.Stream(ctx, keyStream)
	if err != nil {
		return nil, unavailable(fmt.Errorf("bucket %s: %w", keyBucket, cause(ctx, err)))
	}
	k.bucket.Store(&s)
	return s, nil
}

// write puts the entry in the place of what is at the call's revision.
func (k *Keys) write(ctx context.Context, c *idempotency.Call) (uint64, error) {
	ctx, done, err := k.backend.request(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	if _, err := k.open(ctx); err != nil {
		return 0, err
	}
	name := c.Key.String()
	msg := &nats.Msg{Subject: keyPrefix + name, Data: k.ring.Seal(nil, idempotency.AppendEntry(nil, &c.Entry), []byte(keyAAD+name))}
	ack, err := k.backend.js.PublishMsg(ctx, msg, jetstream.WithMsgTTL(c.TTL), jetstream.WithExpectLastSequencePerSubject(c.Revision), jetstream.WithRetryAttempts(0))
	if err != nil {
		err = k.backend.recordFailure(k.backend.appendError(cause(ctx, err)))
		if !errors.Is(err, store.ErrFenced) && !errors.Is(err, store.ErrBusy) {
			k.bucket.Store(nil) // it may be gone
		}
		return 0, err
	}
	return ack.Sequence, nil
}

// find reads what is under a key.
func (k *Keys) find(ctx context.Context, key idempotency.Key) (idempotency.Result, error) {
	ctx, done, err := k.backend.request(ctx)
	if err != nil {
		return idempotency.Result{}, err
	}
	defer done()
	stream, err := k.open(ctx)
	if err != nil {
		return idempotency.Result{}, err
	}
	name := key.String()
	msg, err := stream.GetLastMsgForSubject(ctx, keyPrefix+name)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return idempotency.Result{}, nil
	case err != nil:
		return idempotency.Result{}, unavailable(cause(ctx, err))
	}
	e, err := k.unseal(name, msg.Data)
	if err != nil {
		// What nobody with our keys wrote is as if it were not there, and gives way.
		k.backend.cfg.Logger.Warn("a key of idempotency is skipped: other sidecars have other keys, or somebody else can write there", "audit", true, "error", err)
		return idempotency.Result{Revision: msg.Sequence}, nil
	}
	return idempotency.Result{Revision: msg.Sequence, Found: e}, nil
}

// unseal returns the entry under a name.
func (k *Keys) unseal(name string, value []byte) (*idempotency.Entry, error) {
	if len(value) > maxKeyValue {
		return nil, fmt.Errorf("natsstore: key of %d bytes: at most %d", len(value), maxKeyValue)
	}
	text, err := k.ring.Open(nil, value, []byte(keyAAD+name))
	if err != nil {
		return nil, fmt.Errorf("natsstore: key: %w", err)
	}
	return idempotency.ParseEntry(text)
}

// request begins a request to the journal.
func (b *backend) request(ctx context.Context) (context.Context, func(), error) {
	ctx, done, err := b.denials.call(ctx, b.cfg.Timeout)
	if err != nil {
		return nil, nil, err
	}
	if err := b.ensure(ctx); err != nil {
		done()
		return nil, nil, asUnavailable(cause(ctx, err))
	}
	if b.server == nil {
		return ctx, done, nil
	}
	if err := b.server.health(); err != nil {
		done()
		return nil, nil, unavailable(err)
	}
	if err := b.server.room.enter(ctx); err != nil {
		done()
		return nil, nil, err
	}
	return ctx, func() { b.server.room.leave(); done() }, nil
}

// keys is the specification of the bucket's stream. Each key has a time to live of
// its own, and none leaves a marker: what is over is as if it had not been.
func (l *Layout) keys() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              keyStream,
		Description:       "wsresilience: messages that act once",
		Subjects:          []string{keyPrefix + ">"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Replicas:          l.Replicas,
		MaxAge:            idempotency.MaxTTL,
		MaxMsgsPerSubject: 1,
		MaxMsgs:           -1,
		MaxMsgSize:        maxKeyValue,
		MaxBytes:          cmp.Or(l.KeyBytes, DefaultKeyBytes),
		Discard:           jetstream.DiscardNew,
		Duplicates:        duplicateWindow,
		AllowRollup:       true,
		DenyDelete:        true,
		AllowDirect:       true,
		AllowMsgTTL:       true,
		MaxConsumers:      -1,
	}
}
