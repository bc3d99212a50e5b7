package natsstore

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/internal/backoff"
)

// Implementation limits of the connection.
const (
	// maxReconnectPause is the longest pause after every server of the list has
	// failed. It keeps a fleet whose user was revoked from flooding the servers
	// with handshakes, and is short beside a session's time to live.
	maxReconnectPause = 5 * time.Second

	// reconnectDoublings of 100 ms reach maxReconnectPause.
	reconnectDoublings = 7

	// pingInterval detects a dead server within half a minute (two missed).
	pingInterval = 10 * time.Second

	// stuckWrites, in request timeouts, is how long a write may take that a server
	// does not read. All calls of the connection wait for it.
	stuckWrites = 2

	// dialTimeout bounds the connect to one server of the list.
	dialTimeout = 2 * time.Second
)

// connect dials. Servers that are out of reach are dialled again and again in
// the background.
func (b *backend) connect() error {
	opts, err := b.options()
	if err != nil {
		return err
	}
	servers, err := b.cfg.servers()
	if err != nil {
		return err
	}
	if b.nc, err = nats.Connect(strings.Join(servers, ","), opts...); err != nil {
		return fmt.Errorf("natsstore: connect: %w", err)
	}
	if b.js, err = jetstream.New(b.nc, jetstream.WithDefaultTimeout(b.cfg.Timeout)); err != nil {
		return fmt.Errorf("natsstore: connect: %w", err)
	}
	b.keeper = newKeeper(b.js, &b.cfg, &b.changes)
	b.streams = b.keeper.layout.journal()
	if b.server != nil {
		b.streams = b.streams[1:] // nobody shares it
	}
	return nil
}

func (b *backend) options() ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name(b.cfg.Name),
		nats.SyncQueueLen(maxAnswer),
		nats.Timeout(dialTimeout),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.PingInterval(pingInterval),
		nats.FlusherTimeout(stuckWrites * b.cfg.Timeout),
		// Nothing is buffered and sent after a reconnect: a stale
		// compare-and-set is of no use, and the owner retries.
		nats.ReconnectBufSize(-1),
		// Credentials are renewed in their files, so a refusal meanwhile does
		// not end the connection. At the start it is final (see start).
		nats.IgnoreAuthErrorAbort(),
	}
	opts = append(opts, b.observers()...)
	if b.server != nil {
		return append(opts, nats.InProcessServer(b.server)), nil
	}
	opts = append(opts, nats.RetryOnFailedConnect(true))
	if b.cfg.CAFile != "" {
		opts = append(opts, nats.RootCAs(b.cfg.CAFile))
	}
	if b.cfg.CredsFile != "" {
		if err := checkCreds(b.cfg.CredsFile); err != nil {
			return nil, err
		}
		opts = append(opts, nats.UserCredentials(b.cfg.CredsFile))
	}
	if b.cfg.NKeyFile != "" {
		nkey, err := nats.NkeyOptionFromSeed(b.cfg.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("natsstore: NKey file %s: %w", b.cfg.NKeyFile, err)
		}
		opts = append(opts, nkey)
	}
	return opts, nil
}

// observers log what happens to the connection, with redacted URLs only.
func (b *backend) observers() []nats.Option {
	logger := b.cfg.Logger
	return []nats.Option{
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				logger.Warn("journal disconnected, sessions live in memory until it is back", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			logger.Info("journal connected", "server", nc.ConnectedUrlRedacted())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			switch {
			case !denied(err):
				logger.Warn("journal connection", "error", b.cfg.explain(err))
			case ofChange(err):
				b.changes.record(err) // the keeper says what that means
			case b.denials.record(err):
				logger.Warn("journal: permit the user what docs/OPERATING.md lists", "error", err)
			}
		}),
	}
}

// reconnectDelay grows with the failed rounds through the list.
func reconnectDelay(rounds int) (wait time.Duration) {
	series := backoff.New(backoff.Policy{Max: maxReconnectPause}, rand.Float64)
	for range min(rounds, reconnectDoublings) {
		wait, _ = series.Next()
	}
	return wait
}
