package natsstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/formats"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/store"
)

const (
	// DefaultLeaseTTL exceeds the longest election (9 s) and a renewal.
	DefaultLeaseTTL = 20 * time.Second

	// MinLeaseTTL is for tests: the server counts whole seconds, and an
	// election outlasts it.
	MinLeaseTTL = 2 * time.Second
)

// A LeaseConfig configures Announce.
type LeaseConfig struct {
	Owner  string        // name, as in the records; 1 to store.MaxOwner bytes
	TTL    time.Duration // the same for all; 0: DefaultLeaseTTL; raised to MinLeaseTTL
	Logger *slog.Logger  // nil: the store's

	// Reads is what this process reads, by format, for Write of the others.
	Reads map[string]formats.Range
}

// Leases keeps this sidecar's lease among those that share the journal, and
// knows which of them are alive. Only Close blocks. It is safe for concurrent
// use.
type Leases struct {
	backend  *backend
	ring     *keyring.Ring
	cfg      LeaseConfig
	since    time.Time
	renewNow chan struct{} // renew immediately
	changes  chan struct{} // see Changes
	stop     context.CancelFunc
	ended    chan struct{}

	mu          sync.Mutex // guards all below
	members     *membership
	draining    bool
	claimed     bool      // the key is there
	conflicted  bool      // another process at our address was found
	at          int64     // of our newest announcement, unix ms
	foreignTold time.Time // when a lease of nobody was told of
}

// Announce makes this process known as cfg.Owner, and keeps it known until
// Close, which comes before the Store's. NATS may be away. Announce panics if
// cfg.Owner cannot be an owner.
func (s *Store) Announce(cfg LeaseConfig) *Leases {
	if cfg.Owner == "" || len(cfg.Owner) > store.MaxOwner {
		panic("natsstore: lease: owner of " + strconv.Itoa(len(cfg.Owner)) + " bytes")
	}
	cfg.TTL = max(cmp.Or(cfg.TTL, DefaultLeaseTTL), MinLeaseTTL)
	cfg.Logger = cmp.Or(cfg.Logger, s.backend.cfg.Logger)
	ctx, stop := context.WithCancel(context.Background())
	l := &Leases{
		backend: s.backend, ring: s.backend.cfg.Keys.Derive("lease"), cfg: cfg, since: time.Now().UTC(), stop: stop,
		renewNow: make(chan struct{}, 1), changes: make(chan struct{}, 1), ended: make(chan struct{}),
		members: newMembership(cfg.TTL, cfg.Owner),
	}
	go l.run(ctx)
	return l
}

// Lease returns what is known of owner, without I/O.
func (l *Leases) Lease(owner string) store.LeaseState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.members.state(time.Now(), owner)
}

// Write returns the version of a format that this process writes now: the newest
// that all that live read. It reads own itself.
func (l *Leases) Write(format string, own formats.Range) uint8 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return formats.Write(own, formats.Range{Newest: l.members.newest(format)})
}

// NoneNewer returns for how long no sidecar that lives has read a newer version of
// a format than this process does; 0: one may, as far as is known.
func (l *Leases) NoneNewer(format string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.members.noneNewer(time.Now(), format)
}

// At reports whether a sidecar that lives, as far as was seen last, and is not this
// one, is reached at that address. Of one that is reached by name it is not known.
func (l *Leases) At(address netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.members.addresses[address]
}

// Changes receives when Write may return something else than before. Changes that
// nobody has taken yet are one.
func (l *Leases) Changes() <-chan struct{} { return l.changes }

// Draining reports whether owner is alive and has announced that it drains.
// The sidecar does not ask it yet: today the announcement is read by operators
// (nats kv watch WSR_LEASE).
func (l *Leases) Draining(owner string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.members.state(time.Now(), owner) == store.LeaseLive && l.members.entries[owner].Draining
}

// SetDraining announces whether this sidecar drains, at once: to Draining of
// the other sidecars, and to operators who look into the bucket.
func (l *Leases) SetDraining(draining bool) {
	l.mu.Lock()
	changed := l.draining != draining
	l.draining = draining
	l.mu.Unlock()
	if changed {
		select {
		case l.renewNow <- struct{}{}:
		default:
		}
	}
}

// Close releases the lease, so that the other sidecars know at once, and
// stops. Its error is that of the release; without one, the lease runs out. If
// ctx ends first, what waits for a server that has just gone ends within 5 s
// by itself.
func (l *Leases) Close(ctx context.Context) error {
	l.stop()
	select {
	case <-l.ended:
	case <-ctx.Done():
		return fmt.Errorf("natsstore: release the lease of %q: %w", l.cfg.Owner, context.Cause(ctx))
	}
	l.mu.Lock()
	ours := l.claimed
	l.claimed = false
	l.members.synced = false
	l.mu.Unlock()
	if !ours {
		return nil
	}
	if err := l.release(ctx); err != nil {
		return fmt.Errorf("natsstore: release the lease of %q: %w", l.cfg.Owner, err)
	}
	return nil
}

// run watches and renews until ctx ends. An error that repeats itself is
// logged once.
func (l *Leases) run(ctx context.Context) {
	defer close(l.ended)
	logged := ""
	for ctx.Err() == nil {
		err := l.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != logged && !errors.Is(err, errStale) {
			logged = text
			l.cfg.Logger.Warn("leases are unavailable: no session of another sidecar is adopted", "error", err)
		}
		select {
		case <-time.After(l.retryInterval()):
		case <-ctx.Done():
		}
	}
}

// renewInterval is the pause between two renewals.
func (l *Leases) renewInterval() time.Duration { return l.cfg.TTL / renewalsPerTTL }

// retryInterval is the pause after a renewal that failed.
func (l *Leases) retryInterval() time.Duration { return l.renewInterval() / 4 }
