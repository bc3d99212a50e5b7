package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/certfile"
	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/console"
	"github.com/wsresilience/wsresilience/internal/drain"
	"github.com/wsresilience/wsresilience/internal/formats"
	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/traceparent"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/observe"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/natsstore"
	"github.com/wsresilience/wsresilience/wire"
)

const (
	// adminTimeout bounds every request to the admin port but a drain.
	adminTimeout = 10 * time.Second

	// stopTimeout is what is left for the last requests and appends when the
	// sessions are handed over: a pod that is stopped has seconds.
	stopTimeout = 2 * time.Second

	// releaseTimeout is for the lease, whatever came before: until it expires, peers
	// take this sidecar for alive.
	releaseTimeout = time.Second
)

// errInterrupted is why a sidecar is to stop at once: its user pressed ctrl-C.
var errInterrupted = errors.New("interrupted")

// sidecar is one running sidecar: the proxy, its journal and the admin port.
type sidecar struct {
	cfg         *config.Config
	name        string // of this process among the sidecars
	ring        *keyring.Ring
	log         *slog.Logger
	metrics     *observe.Metrics
	history     *console.History
	observers   event.Observers
	traces      *traces // nil: none are made
	propagators traceparent.Propagators
	journal     *natsstore.Store
	leases      *natsstore.Leases // nil with an embedded journal
	proxy       *proxy.Server
	peerTLS     *certfile.Mutual // nil: none between sidecars
	keepKey     func() error     // writes the key beside an embedded journal again, if it is gone; nil: it is elsewhere

	listener, peerListener, adminListener net.Listener // peerListener may be nil
	admin                                 *http.Server

	journalAway  atomic.Pointer[string]    // why; nil while it is there
	journalSince atomic.Pointer[time.Time] // when that became so; nil: it was not looked at yet

	pprof atomic.Bool // WSR_PPROF

	mu       sync.Mutex
	stopping bool // the process is about to end: a drain cannot be taken back
}

// newSidecar opens everything that a sidecar needs, and listens. Close is for
// one that never runs.
func newSidecar(ctx context.Context, environ []string, cfg *config.Config, log *slog.Logger, metrics *observe.Metrics) (*sidecar, error) {
	s := &sidecar{cfg: cfg, name: instance.New(string(cfg.Advertise)), log: log, metrics: metrics, history: console.NewHistory()}
	s.pprof.Store(cfg.Pprof == config.On)
	life := observe.NewLife(s.log)
	s.metrics.WatchLife(life)
	s.observers = event.Observers{s.metrics, life, s.history}
	var err error
	if s.traces, err = s.newTraces(environ); err != nil {
		return nil, err
	}
	if s.traces != nil {
		s.observers = append(s.observers, s.traces)
	}
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
	s.ring = ring
	s.metrics.WatchKeys(keyUses(ring))
	s.journal, err = natsstore.Open(ctx, natsstore.Config{
		MaxBytes: s.streamBytes(),
		URL:      string(s.cfg.NATSURL), CredsFile: string(s.cfg.NATSCreds), NKeyFile: string(s.cfg.NATSNKey), CAFile: string(s.cfg.NATSCA),
		Keys: ring, Replicas: s.cfg.NATSReplicas, SessionTTL: s.cfg.SessionTTL,
		Embedded: natsstore.Embedded{Dir: s.cfg.DataDir}, Name: "wsresilience-sidecar " + string(s.cfg.Advertise), Logger: s.log,
		Foreign: func(f store.Foreign) {
			s.observers.Observe(event.Event{Kind: event.ForeignRecord, Session: wire.SessionID(f.ID)})
		},
		ExpectStreams: s.cfg.NATSStreams == config.StreamsExpect, StreamChanged: s.streamChanged, Lost: s.journalLost,
	})
	if err != nil {
		return err
	}
	if limit := s.journal.MaxPayload(); limit > 0 {
		if err := s.cfg.CheckPayload(int64(limit)); err != nil {
			return err
		}
	}
	if !s.cfg.Embedded() {
		s.leases = s.journal.Announce(natsstore.LeaseConfig{
			Owner: s.name, TTL: s.cfg.LeaseTTL, Logger: s.log,
			Reads: map[string]formats.Range{proxy.TokenFormat: wire.TokenVersions(), proxy.RecordFormat: store.Versions()},
		})
	}
	settings, err := s.proxyConfig(ring)
	if err != nil {
		return err
	}
	if s.proxy, err = proxy.New(settings); err != nil {
		return err
	}
	s.metrics.Watch(s.proxy.Stats)
	s.metrics.WatchCertificates(s.certificates)
	return s.listen()
}

func (s *sidecar) listen() (err error) {
	if s.listener, err = transport.Listen(string(s.cfg.Listen)); err != nil {
		return fmt.Errorf("listen on WSR_LISTEN: %w", err)
	}
	if s.adminListener, err = net.Listen("tcp", string(s.cfg.AdminListen)); err != nil {
		return fmt.Errorf("listen on WSR_ADMIN_LISTEN: %w", err)
	}
	if s.cfg.PeerTLS() {
		if s.peerListener, err = net.Listen("tcp", string(s.cfg.PeerListen)); err != nil {
			return fmt.Errorf("listen on WSR_PEER_LISTEN: %w", err)
		}
	}
	return nil
}

// run serves until ctx ends, and then stops: at once if the cause is
// errInterrupted, otherwise after a drain.
func (s *sidecar) run(ctx context.Context) error {
	failed := make(chan error, 3)
	go func() { failed <- s.proxy.Serve(s.listener) }()
	if s.peerListener != nil {
		go func() { failed <- s.proxy.ServePeers(s.peerListener) }()
	}
	s.admin = &http.Server{
		Handler:           s.adminHandler(),
		ReadHeaderTimeout: adminTimeout, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout,
	}
	go func() {
		if err := s.admin.Serve(s.adminListener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("admin port: %w", err)
		}
	}()
	watching, unwatch := context.WithCancel(context.Background())
	defer unwatch()
	go s.journal.Watch(watching, s.journalChanged)
	go newTrimmer().run(watching)
	go s.rotate(watching)
	if s.leases != nil {
		go s.watchFormats(watching)
	}
	s.log.Info("ready", "listen", s.listener.Addr().String(), "admin", s.adminListener.Addr().String(),
		"upstream", string(s.cfg.Upstream), "journal", s.journalKind(), "keys", keyIDs(s.ring), s.driver())
	var err error
	select {
	case <-ctx.Done():
		s.log.Info("stopping", "limit", s.cfg.DrainTime().String())
		s.mu.Lock() // waits for a drain that is being taken back
		s.stopping = true
		s.mu.Unlock()
		if !errors.Is(context.Cause(ctx), errInterrupted) {
			err = s.drain(context.Background())
		}
	case err = <-failed:
	}
	unwatch() // before the journal is closed, which is no outage
	return errors.Join(err, s.stop())
}

// streamBytes is what the streams reserve; 0: the embedded journal's own bound.
func (s *sidecar) streamBytes() int64 {
	if s.cfg.Embedded() {
		return 0
	}
	return int64(s.cfg.NATSMaxBytes)
}

// journalChanged tells proxy and operators that the journal went or came.
func (s *sidecar) journalChanged(available bool, why error) {
	now := time.Now()
	s.journalSince.Store(&now)
	if available {
		s.journalAway.Store(nil)
	} else {
		text := why.Error()
		s.journalAway.Store(&text)
	}
	s.proxy.SetStoreAvailable(available, why)
}

// streamChanged counts streams that were not as they have to be.
func (s *sidecar) streamChanged(c natsstore.StreamChange) {
	outcome := map[natsstore.StreamChange]event.StreamOutcome{
		natsstore.StreamRepaired: event.StreamRepaired, natsstore.StreamMade: event.StreamMade, natsstore.StreamWrong: event.StreamWrong,
	}[c]
	s.observers.Observe(event.Event{Kind: event.StreamChanged, Stream: outcome})
}

// journalLost lets all sessions write again. It comes from the journal's own
// calls, which do not wait for it.
func (s *sidecar) journalLost() {
	go func() {
		if s.keepKey != nil { // it was beside the records
			if err := s.keepKey(); err != nil {
				s.log.Error("the key of the journal cannot be written: sessions will not survive a restart", "error", err)
			}
		}
		s.proxy.WriteAgain()
	}()
}

// watchFormats has clients come for tokens that all sidecars read, and sessions
// write such records, when one of an older release has come.
func (s *sidecar) watchFormats(ctx context.Context) {
	written, recorded := uint8(0), uint8(0)
	for {
		record := s.leases.Write(proxy.RecordFormat, store.Versions())
		if record < recorded {
			s.proxy.WriteAgain()
		}
		recorded = record
		now := s.leases.Write(proxy.TokenFormat, wire.TokenVersions())
		if now < written {
			s.proxy.ReissueTokens("a sidecar of an older release is here")
		}
		written = now
		select {
		case <-s.leases.Changes():
		case <-ctx.Done():
			return
		}
	}
}

func (s *sidecar) journalKind() string {
	if s.cfg.Embedded() {
		return "embedded"
	}
	return "external"
}

// driver tells how sockets are read, and if many could not be at once, why.
func (s *sidecar) driver() slog.Attr {
	d, err := s.proxy.Driver()
	if err != nil {
		return slog.Group("", "driver", string(d), "no_aio", err.Error())
	}
	return slog.String("driver", string(d))
}

// drain hands all sessions over. Others learn first that this sidecar is on
// its way out.
func (s *sidecar) drain(ctx context.Context) error {
	if s.leases != nil {
		s.leases.SetDraining(true)
	}
	return s.proxy.Drain(ctx, drain.Plan(s.cfg.DrainTime()))
}

// undrain takes a drain back, unless it is the one with which the process ends.
func (s *sidecar) undrain() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return errors.New("the sidecar is stopping, which cannot be taken back")
	}
	if err := s.proxy.Undrain(); err != nil {
		return err
	}
	if s.leases != nil {
		s.leases.SetDraining(!s.proxy.DrainingSince().IsZero())
	}
	return nil
}

// stop hands over what is left and closes everything.
func (s *sidecar) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := s.proxy.Shutdown(ctx)
	if s.leases != nil {
		// Everything is handed over: no peer has to wait for the lease to expire.
		ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
		defer cancel()
		if lerr := s.leases.Close(ctx); lerr != nil {
			s.log.Warn("the lease could not be released; it expires by itself", "error", lerr)
		}
	}
	return errors.Join(err, s.close())
}

func (s *sidecar) close() error {
	var errs []error
	if s.admin != nil {
		errs = append(errs, s.admin.Close())
	}
	for _, l := range []net.Listener{s.listener, s.peerListener, s.adminListener} {
		if l != nil {
			_ = l.Close() // mostly closed by its server
		}
	}
	if s.journal != nil {
		errs = append(errs, s.journal.Close())
	}
	s.traces.close()
	return errors.Join(errs...)
}
