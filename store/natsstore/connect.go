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
	// reconnectMax is the longest pause after the whole list was tried in
	// vain. It keeps a fleet whose user was revoked from hammering the
	// servers with handshakes, and is short beside a session's time to live.
	reconnectMax = 5 * time.Second

	// reconnectRounds is when reconnectMax is reached: 100 ms doubled so often.
	reconnectRounds = 7

	// pingInterval finds a dead server within half a minute (two missed).
	pingInterval = 10 * time.Second

	// dialTimeout of one server of the list.
	dialTimeout = 2 * time.Second
)

// connect dials. A server that is out of reach is dialled again and again in
// the background.
func (l *log) connect() error {
	opts, err := l.options()
	if err != nil {
		return err
	}
	servers, err := l.cfg.servers()
	if err != nil {
		return err
	}
	if l.nc, err = nats.Connect(strings.Join(servers, ","), opts...); err != nil {
		return fmt.Errorf("natsstore: connect: %w", err)
	}
	if l.js, err = jetstream.New(l.nc, jetstream.WithDefaultTimeout(l.cfg.Timeout)); err != nil {
		return fmt.Errorf("natsstore: connect: %w", err)
	}
	return nil
}

func (l *log) options() ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name(l.cfg.Name),
		nats.Timeout(dialTimeout),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.PingInterval(pingInterval),
		// Nothing is sent again behind our back: a stale compare-and-set
		// is of no use, and the owner retries with what is true then.
		nats.ReconnectBufSize(-1),
		// Credentials are renewed in their files; a refusal in between is
		// not the end. At the start it is, see start.
		nats.IgnoreAuthErrorAbort(),
	}
	opts = append(opts, l.observers()...)
	if l.server != nil {
		return append(opts, nats.InProcessServer(l.server)), nil
	}
	opts = append(opts, nats.RetryOnFailedConnect(true))
	if l.cfg.CAFile != "" {
		opts = append(opts, nats.RootCAs(l.cfg.CAFile))
	}
	if l.cfg.CredsFile != "" {
		if err := checkCreds(l.cfg.CredsFile); err != nil {
			return nil, err
		}
		opts = append(opts, nats.UserCredentials(l.cfg.CredsFile))
	}
	if l.cfg.NKeyFile != "" {
		nkey, err := nats.NkeyOptionFromSeed(l.cfg.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("natsstore: NKey file %s: %w", l.cfg.NKeyFile, err)
		}
		opts = append(opts, nkey)
	}
	return opts, nil
}

// observers log what happens to the connection, with redacted URLs only.
func (l *log) observers() []nats.Option {
	logger := l.cfg.Logger
	return []nats.Option{
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				logger.Warn("journal disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			logger.Info("journal connected", "server", nc.ConnectedUrlRedacted())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if !denied(err) || l.denials.note(err) {
				logger.Warn("journal connection", "error", l.cfg.explain(err))
			}
		}),
	}
}

// reconnectDelay grows with the rounds through the list that were in vain.
func reconnectDelay(rounds int) (wait time.Duration) {
	series := backoff.New(backoff.Policy{Max: reconnectMax}, rand.Float64)
	for range min(rounds, reconnectRounds) {
		wait, _ = series.Next()
	}
	return wait
}
