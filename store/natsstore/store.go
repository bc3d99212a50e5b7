// Package natsstore is the journal in NATS JetStream (DESIGN §6):
// embedded in this process, or in a cluster outside.
//
// Each session is one subject, wsr.log.<shard>.<session id>, in one of a few
// streams. A stream keeps the newest messages of a subject by itself
// (MaxMsgsPerSubject), refuses new ones when it is full instead of dropping
// those of other sessions (DiscardNew), and checks the subject's last sequence
// on every append, which is the fence (I5).
//
// Sidecars that share the journal announce themselves in the key-value bucket
// WSR_LEASE (Announce), one key per process.
//
// A user in an external server needs to publish to
//
//	wsr.log.>
//	$KV.WSR_LEASE.*
//	$KV.WSR_IDEM.*                    if Keys is used
//	$JS.API.INFO
//	$JS.API.STREAM.INFO.*
//	$JS.API.STREAM.CREATE.*           unless somebody else makes the streams (MakeStreams)
//	$JS.API.STREAM.UPDATE.*           likewise
//	$JS.API.DIRECT.GET.>
//	$JS.API.CONSUMER.CREATE.KV_WSR_LEASE.>
//	$JS.API.CONSUMER.DELETE.KV_WSR_LEASE.*
//	$JS.FC.KV_WSR_LEASE.>
//
// and to subscribe to _INBOX.> and nothing else.
package natsstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/store"
)

// startPause is the pause between two tries while servers are just starting.
const startPause = 50 * time.Millisecond

// A Store is a journal in JetStream. It is safe for concurrent use.
type Store struct {
	*store.SealedStore
	backend *backend
}

// Open starts the embedded server or connects to the external ones, and makes
// the streams or checks them. It fails only if retrying cannot help: a bad
// Config, a directory in use, credentials or permissions that are refused, a
// server with another name or too old. External servers that are only out of
// reach, and streams that are not as they have to be, are no error, since others
// may be the cause: sessions live in memory, Ready says why the journal is
// unavailable, and the first call that can sets it up.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	b, err := openBackend(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{SealedStore: store.NewSealedStore(b, b.cfg.Keys), backend: b}
	log := &foreignLog{log: b.cfg.Logger}
	s.OnForeign(func(f store.Foreign) {
		log.record(f)
		b.cfg.Foreign(f)
	})
	return s, nil
}

// MaxPayload is the largest message in bytes that the server takes, or 0
// while it is not known because no server was reached yet.
func (s *Store) MaxPayload() int { return int(s.backend.payload.Load()) }

// Share returns how many bytes of records the journal takes from one session:
// the fuller it is the fewer. It is as of the last check (Watch).
func (s *Store) Share() int64 { return s.backend.share.Load() }

// A backend is the store.Backend in JetStream.
type backend struct {
	cfg    Config
	server *embedded // nil if external
	nc     *nats.Conn
	js     jetstream.JetStream

	setUp   atomic.Bool  // the streams were checked
	setUpMu sync.Mutex   // one setup at a time
	payload atomic.Int64 // max_payload of the server, bytes
	denials denials
	keeper  *keeper
	changes denials // of the keeper's
	streams []jetstream.StreamConfig
	share   atomic.Int64
	fill    atomic.Pointer[[]StreamFill] // likewise

	full    atomic.Pointer[refusedAppend] // the newest append, if it was refused for want of room
	wakeups chan struct{}                 // an append failed: Watch checks at once
	closing sync.Once
}

func openBackend(ctx context.Context, cfg Config) (*backend, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	b := &backend{cfg: cfg, wakeups: make(chan struct{}, 1)}
	b.share.Store(math.MaxInt64)
	if cfg.embedded() {
		var err error
		if b.server, err = startEmbedded(&b.cfg); err != nil {
			return nil, err
		}
	}
	err := b.connect()
	if err == nil {
		err = b.start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// start tries to set up for as long as one request may take, which covers a
// cluster that is about to elect a leader.
func (b *backend) start(ctx context.Context) error {
	ctx, done, err := b.denials.call(ctx, b.cfg.Timeout)
	if err != nil {
		return err
	}
	defer done()
	for {
		err := cause(ctx, b.ensure(ctx))
		var setting *settingError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &setting):
			return fmt.Errorf("natsstore: connect: %w", setting)
		case denied(err):
			return fmt.Errorf("natsstore: %s: %w; permit the user what docs/OPERATING.md lists", b.cfg.credentials(), err)
		case !errors.Is(err, store.ErrUnavailable):
			return err
		}
		select {
		case <-time.After(startPause):
			continue
		case <-ctx.Done():
		}
		if b.server != nil {
			return fmt.Errorf("natsstore: embedded journal: %w", err)
		}
		b.cfg.Logger.Warn("journal is unavailable, sessions live in memory; check that NATS runs, is reachable from here and has room", "error", err)
		return nil
	}
}

// ensure returns nil when the streams are known to be right. The first caller
// that does not know checks them, and the others wait for it.
func (b *backend) ensure(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	if !b.nc.IsConnected() {
		return unavailable(b.disconnectReason())
	}
	if b.setUp.Load() {
		return nil
	}
	b.setUpMu.Lock()
	defer b.setUpMu.Unlock()
	if b.setUp.Load() {
		return nil
	}
	if err := b.checkServer(ctx); err != nil {
		return err
	}
	if err := b.makeStreams(ctx); err != nil {
		return err
	}
	b.payload.Store(b.nc.MaxPayload())
	b.setUp.Store(true)
	return nil
}

// makeStreams makes what is missing. Streams that are wrong are used all the
// same, since what is read is checked.
func (b *backend) makeStreams(ctx context.Context) error {
	if b.server != nil { // nobody else changes them, and they follow the settings
		for _, want := range b.streams {
			if _, err := b.js.CreateOrUpdateStream(ctx, want); err != nil {
				return b.keeper.streamError(want.Name, err)
			}
		}
	}
	err := b.keeper.keepAll(ctx, b.streams)
	b.noteFill()
	var wrong *wrongStreamError
	if errors.As(err, &wrong) {
		return nil
	}
	return err
}

// disconnectReason returns why there is no connection.
func (b *backend) disconnectReason() error {
	switch {
	case b.nc.IsClosed():
		return nats.ErrConnectionClosed
	case b.nc.LastError() != nil:
		return b.cfg.explain(b.nc.LastError())
	}
	return nats.ErrDisconnected
}

// Ready implements store.Backend: every stream has a leader and is as it has to
// be, and the embedded server is healthy. If it is not, a repair is under way.
func (b *backend) Ready(ctx context.Context) error {
	ctx, done, err := b.denials.call(ctx, b.cfg.Timeout)
	if err != nil {
		return err
	}
	defer done()
	if b.server != nil {
		if err := b.server.checkHealth(); err != nil {
			return unavailable(err)
		}
	}
	if err := b.ensure(ctx); err != nil {
		return asUnavailable(cause(ctx, err))
	}
	err = cause(ctx, b.keeper.keepAll(ctx, b.streams))
	b.noteFill()
	if b.server != nil && err == nil {
		b.server.streamsMade()
	}
	return err
}

// Close implements store.Backend.
func (b *backend) Close() error {
	var err error
	b.closing.Do(func() {
		if b.nc != nil {
			b.nc.Close()
		}
		if b.server != nil {
			err = b.server.stop()
		}
	})
	return err
}

// unavailable marks err as one to try again after.
func unavailable(err error) error {
	return fmt.Errorf("natsstore: %w: %w", store.ErrUnavailable, err)
}

// asUnavailable marks err as one to try again after, whatever it is: a stream
// that turns out wrong long after the start must not end sessions.
func asUnavailable(err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return unavailable(err)
}
