// Package natsstore is the journal in NATS JetStream (DESIGN §6):
// embedded in this process, or in a cluster outside.
//
// Each session is one subject, wsr.log.<shard>.<session id>, in one of a few
// streams. A stream keeps the newest messages of a subject by itself
// (MaxMsgsPerSubject), refuses new ones when it is full instead of dropping
// somebody else's (DiscardNew), and checks the subject's last sequence on
// every append, which is the fence.
//
// Sidecars that share the journal announce themselves in the key-value bucket
// WSR_LEASE (Announce), one key per address.
//
// A user in an external server needs to publish to
//
//	wsr.log.>
//	$KV.WSR_LEASE.*
//	$JS.API.INFO
//	$JS.API.STREAM.INFO.*
//	$JS.API.STREAM.CREATE.*           unless an operator makes the streams
//	$JS.API.STREAM.UPDATE.*           unless an operator lengthens their age
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
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/store"
)

// startPause is between two looks at servers that are just starting.
const startPause = 50 * time.Millisecond

// A Store is a journal in JetStream. It is safe for concurrent use.
type Store struct {
	*store.Journal
	log *log
}

// Open starts the embedded server or connects to the external ones, and makes
// the streams or checks them. Its error is one that waiting does not mend: a
// bad Config, a directory in use, credentials or permissions that are refused,
// a server that is another or too old, a stream that differs. External servers that are only out of
// reach are no error: sessions live on in memory, Ready says that the journal
// is away, and the first call that reaches it sets it up.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	l, err := openLog(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Store{Journal: store.NewJournal(l, l.cfg.Keys), log: l}, nil
}

// MaxPayload is the largest message in bytes that the server takes, or 0
// while it is not known because no server was reached yet.
func (s *Store) MaxPayload() int { return int(s.log.payload.Load()) }

// A log is the store.Log in JetStream.
type log struct {
	cfg    Config
	server *embedded // nil if external
	nc     *nats.Conn
	js     jetstream.JetStream

	setUp   atomic.Bool  // the streams were checked
	payload atomic.Int64 // max_payload of the server, bytes
	denials denials
	setting sync.Mutex // one setup at a time

	full    atomic.Pointer[refused] // the newest append was refused for want of room
	nudges  chan struct{}           // an append failed: Watch looks at once
	closing sync.Once
}

func openLog(ctx context.Context, cfg Config) (*log, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	l := &log{cfg: cfg, nudges: make(chan struct{}, 1)}
	if cfg.embedded() {
		var err error
		if l.server, err = startEmbedded(&l.cfg); err != nil {
			return nil, err
		}
	}
	err := l.connect()
	if err == nil {
		err = l.start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// start sets up for as long as one request may take, which covers a cluster
// that is about to elect.
func (l *log) start(ctx context.Context) error {
	ctx, done, err := l.denials.call(ctx, l.cfg.Timeout)
	if err != nil {
		return err
	}
	defer done()
	for {
		err := because(ctx, l.ensure(ctx))
		var refused *refusal
		switch {
		case err == nil:
			return nil
		case errors.As(err, &refused):
			return fmt.Errorf("natsstore: connect: %w", refused)
		case denied(err):
			return fmt.Errorf("natsstore: %s: %w", l.cfg.credentials(), err)
		case !errors.Is(err, store.ErrUnavailable):
			return err
		}
		select {
		case <-time.After(startPause):
			continue
		case <-ctx.Done():
		}
		if l.server != nil {
			return fmt.Errorf("natsstore: embedded journal: %w", err)
		}
		l.cfg.Logger.Warn("journal is out of reach, sessions live in memory", "error", err)
		return nil
	}
}

// ensure returns nil when the streams are known to be right. Whoever finds
// them unknown looks, and the others wait.
func (l *log) ensure(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	if !l.nc.IsConnected() {
		return unavailable(l.why())
	}
	if l.setUp.Load() {
		return nil
	}
	l.setting.Lock()
	defer l.setting.Unlock()
	if l.setUp.Load() {
		return nil
	}
	if err := l.checkServer(ctx); err != nil {
		return err
	}
	if l.server == nil {
		// First, since the streams may reserve all that the servers have.
		if _, err := l.openBucket(ctx); err != nil {
			return err
		}
	}
	for shard := range l.cfg.Shards {
		if err := l.ensureStream(ctx, shard); err != nil {
			return err
		}
	}
	l.payload.Store(l.nc.MaxPayload())
	l.setUp.Store(true)
	return nil
}

// why is the reason for not being connected.
func (l *log) why() error {
	switch {
	case l.nc.IsClosed():
		return nats.ErrConnectionClosed
	case l.nc.LastError() != nil:
		return l.cfg.explain(l.nc.LastError())
	}
	return nats.ErrDisconnected
}

// Ready implements store.Log: every stream has a leader, and the embedded
// server is healthy. If it is not, a repair is under way.
func (l *log) Ready(ctx context.Context) error {
	ctx, done, err := l.denials.call(ctx, l.cfg.Timeout)
	if err != nil {
		return err
	}
	defer done()
	if l.server != nil {
		if err := l.server.examine(); err != nil {
			return unavailable(err)
		}
	}
	if err := l.ensure(ctx); err != nil {
		return asUnavailable(because(ctx, err))
	}
	for shard := range l.cfg.Shards {
		if _, err := l.js.Stream(ctx, streamName(shard)); err != nil {
			if errors.Is(err, jetstream.ErrStreamNotFound) {
				l.setUp.Store(false) // somebody deleted it: make it again
			}
			return unavailable(fmt.Errorf("stream %s: %w", streamName(shard), because(ctx, err)))
		}
	}
	return nil
}

// Close implements store.Log.
func (l *log) Close() error {
	var err error
	l.closing.Do(func() {
		if l.nc != nil {
			l.nc.Close()
		}
		if l.server != nil {
			err = l.server.stop()
		}
	})
	return err
}

// unavailable marks err as one to try again after.
func unavailable(err error) error {
	return fmt.Errorf("natsstore: %w: %w", store.ErrUnavailable, err)
}

// asUnavailable is for callers that know no other kind of failure: a stream
// that turned out wrong long after the start must not end sessions.
func asUnavailable(err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return unavailable(err)
}
