package natsstore

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Implementation limits of the connection.
const (
	// reconnectWait and its jitter keep a fleet from dialling in step.
	reconnectWait   = 100 * time.Millisecond
	reconnectJitter = 200 * time.Millisecond

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
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.PingInterval(pingInterval),
		// Nothing is sent again behind our back: a stale compare-and-set
		// is of no use, and the owner retries with what is true then.
		nats.ReconnectBufSize(-1),
		// Credentials are renewed in their files; a refusal in between is
		// not the end. At the start it is, see refused.
		nats.IgnoreAuthErrorAbort(),
	}
	opts = append(opts, l.observers()...)
	if l.server != nil {
		return append(opts, nats.InProcessServer(l.server.server)), nil
	}
	opts = append(opts, nats.RetryOnFailedConnect(true))
	if l.cfg.CAFile != "" {
		opts = append(opts, nats.RootCAs(l.cfg.CAFile))
	}
	if l.cfg.CredsFile != "" {
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
			logger.Warn("journal connection", "error", err)
		}),
	}
}

// refused tells whether the server knows us and does not want us.
func refused(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired)
}
