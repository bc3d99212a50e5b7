package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/observe"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store/natsstore"
)

// adminTimeout bounds every request to the admin port.
const adminTimeout = 10 * time.Second

// sidecar is one running sidecar: the proxy, its journal and the admin port.
type sidecar struct {
	cfg     *config.Config
	log     *slog.Logger
	metrics *observe.Metrics
	journal *natsstore.Store
	proxy   *proxy.Server
	serving atomic.Bool

	listener, adminListener net.Listener
	admin                   *http.Server
}

// newSidecar opens everything that a sidecar needs, and listens. Close is for
// one that never runs.
func newSidecar(ctx context.Context, cfg *config.Config, log *slog.Logger, metrics *observe.Metrics) (*sidecar, error) {
	s := &sidecar{cfg: cfg, log: log, metrics: metrics}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *sidecar) open(ctx context.Context) error {
	ring, err := s.keys()
	if err != nil {
		return err
	}
	s.journal, err = natsstore.Open(ctx, natsstore.Config{
		URL: string(s.cfg.NATSURL), CredsFile: string(s.cfg.NATSCreds), NKeyFile: string(s.cfg.NATSNKey), CAFile: string(s.cfg.NATSCA),
		Keys: ring, Replicas: s.cfg.NATSReplicas, SessionTTL: s.cfg.SessionTTL,
		Embedded: natsstore.Embedded{Dir: s.cfg.DataDir}, Name: "wsresilience-sidecar " + string(s.cfg.Advertise), Logger: s.log,
	})
	if err != nil {
		return err
	}
	if limit := s.journal.MaxPayload(); limit > 0 {
		if err := s.cfg.CheckPayload(int64(limit)); err != nil {
			return err
		}
	}
	if s.proxy, err = proxy.New(s.proxyConfig(ring)); err != nil {
		return err
	}
	s.metrics.Watch(func() observe.Stats { return observe.Stats(s.proxy.Stats()) })
	if s.listener, err = net.Listen("tcp", string(s.cfg.Listen)); err != nil {
		return fmt.Errorf("listen on WSR_LISTEN: %w", err)
	}
	if s.adminListener, err = net.Listen("tcp", string(s.cfg.AdminListen)); err != nil {
		return fmt.Errorf("listen on WSR_ADMIN_LISTEN: %w", err)
	}
	return nil
}

func (s *sidecar) proxyConfig(ring *keyring.Ring) proxy.Config {
	c := s.cfg
	return proxy.Config{
		Upstream: string(c.Upstream), Resilient: c.ResilientPaths.Match, Adopt: adoptRule(c.Adopt),
		Advertise: string(c.Advertise), Tokens: ring.Derive("wsr token"), Store: s.journal,
		TLSCert: string(c.TLSCert), TLSKey: string(c.TLSKey),
		WindowMessages: c.WindowMessages, WindowBytes: int(c.WindowBytes), MaxMessage: int(c.MaxMessage),
		MemoryBudget: int64(c.MemoryBudget), SessionTTL: c.SessionTTL, LingerGoingAway: c.LingerGoingAway,
		PersistAfter: c.PersistAfter,
		Heartbeat:    heartbeat.Config{Base: c.HeartbeatBase, Min: c.HeartbeatMin, Max: c.HeartbeatMax, Misses: c.HeartbeatMisses},
		Observer:     s.metrics, Logger: s.log,
	}
}

// adoptRule is WSR_ADOPT: whether a session goes on with a fresh app socket,
// given that its client offered wsr.adopt or not.
func adoptRule(a config.Adopt) func(asked bool) bool {
	switch a {
	case config.AdoptAlways:
		return func(bool) bool { return true }
	case config.AdoptNever:
		return func(bool) bool { return false }
	}
	return func(asked bool) bool { return asked }
}

// run serves until ctx ends, and then stops within the grace.
func (s *sidecar) run(ctx context.Context) error {
	failed := make(chan error, 2)
	go func() { failed <- s.proxy.Serve(s.listener) }()
	s.admin = &http.Server{
		Handler:           observe.Admin{Ready: s.ready, Metrics: s.metrics.Handler()}.Handler(),
		ReadHeaderTimeout: adminTimeout, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout,
	}
	go func() {
		if err := s.admin.Serve(s.adminListener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("admin port: %w", err)
		}
	}()
	s.serving.Store(true)
	s.log.Info("ready", "listen", s.listener.Addr().String(), "admin", s.adminListener.Addr().String(),
		"upstream", string(s.cfg.Upstream), "journal", s.journalKind())
	var err error
	select {
	case <-ctx.Done():
		s.log.Info("stopping", "grace", s.cfg.ShutdownGrace.String())
	case err = <-failed:
	}
	return errors.Join(err, s.stop())
}

func (s *sidecar) journalKind() string {
	if s.cfg.Embedded() {
		return "embedded"
	}
	return "external"
}

func (s *sidecar) ready() error {
	if !s.serving.Load() {
		return errors.New("stopping")
	}
	return nil
}

// stop hands the sessions to the journal and closes everything.
func (s *sidecar) stop() error {
	s.serving.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.ShutdownGrace)
	defer cancel()
	err := s.proxy.Shutdown(ctx)
	return errors.Join(err, s.close())
}

func (s *sidecar) close() error {
	var errs []error
	for _, l := range []net.Listener{s.listener, s.adminListener} {
		if l != nil {
			_ = l.Close() // mostly closed by its server
		}
	}
	if s.admin != nil {
		errs = append(errs, s.admin.Close())
	}
	if s.journal != nil {
		errs = append(errs, s.journal.Close())
	}
	return errors.Join(errs...)
}
