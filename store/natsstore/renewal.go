package natsstore

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/internal/instance"
)

// errStale is a watch that does not show what is in the bucket.
var errStale = errors.New("natsstore: leases: the watch fell silent")

// follow watches all keys and renews our own until something fails.
func (l *Leases) follow(ctx context.Context) error {
	kv, err := l.backend.openBucket(ctx)
	if err != nil {
		return err
	}
	watch, err := l.watch(ctx, kv)
	if err != nil {
		return err
	}
	defer func() { _ = watch.Stop() }() // of a connection that is gone, perhaps
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	silent := time.NewTimer(l.watchTimeout())
	defer silent.Stop()
	for {
		select {
		case e, open := <-watch.Updates():
			if !open {
				return errStale
			}
			if heartbeat := l.apply(e); heartbeat {
				silent.Reset(l.watchTimeout())
			}
			if e == nil {
				due.Reset(0)
			}
			continue
		case <-due.C:
		case <-l.renewNow:
			if !l.synced() {
				continue // the renewal at the end of the sync announces it
			}
		case <-silent.C:
			return errStale
		case <-ctx.Done():
			return ctx.Err()
		}
		due.Reset(l.renew(ctx))
	}
}

// watchTimeout is how long our own renewals may fail to come back.
func (l *Leases) watchTimeout() time.Duration { return 2 * l.renewInterval() }

// watch begins to follow all keys.
func (l *Leases) watch(ctx context.Context, kv jetstream.KeyValue) (jetstream.KeyWatcher, error) {
	l.mu.Lock()
	l.members.beginSync()
	l.mu.Unlock()
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	return watch, nil
}

// synced reports whether the watch has sent all keys.
func (l *Leases) synced() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.members.resync == nil
}

// apply takes one update into the membership; nil means that all keys were
// sent. It reports whether it was a heartbeat.
func (l *Leases) apply(e jetstream.KeyValueEntry) (heartbeat bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.tellChangesLocked()
	if e == nil {
		l.members.endSync()
		return false
	}
	owner, err := leaseOwner(e.Key())
	if err != nil {
		return false // not one of ours
	}
	before := l.members.heartbeatRevision
	switch e.Operation() {
	case jetstream.KeyValuePurge, jetstream.KeyValueDelete:
		l.members.expire(time.Now(), owner)
	case jetstream.KeyValuePut:
		text, err := openLease(l.ring, owner, e.Value())
		if err != nil {
			l.foreignLocked(err)
			return false
		}
		a, err := parseAnnouncement(owner, text)
		if err != nil {
			// It lives, whatever it reads.
			l.cfg.Logger.Warn("lease is unreadable: do all sidecars run the same version?", "error", err)
		}
		l.members.update(time.Now(), owner, entry{revision: e.Revision(), announcement: a, unread: err != nil, released: a.Released})
		l.detectConflictLocked(owner)
	}
	return l.members.heartbeatRevision > before
}

// foreignLocked tells of a lease that is skipped, not more often than each
// foreignInterval.
func (l *Leases) foreignLocked(why error) {
	if now := time.Now(); now.Sub(l.foreignTold) >= foreignInterval {
		l.foreignTold = now
		l.cfg.Logger.Warn("leases are skipped: other sidecars have other keys, or somebody else can write there", "audit", true, "error", why)
	}
}

// tellChangesLocked lets Changes receive if there are any.
func (l *Leases) tellChangesLocked() {
	if !l.members.changed {
		return
	}
	l.members.changed = false
	select {
	case l.changes <- struct{}{}:
	default:
	}
}

// detectConflictLocked looks whether another process at our address renews its
// lease, other than the one that was here before: that one renews none after ours
// is there.
func (l *Leases) detectConflictLocked(owner string) {
	if l.conflicted || !l.claimed || l.members.resync != nil || !instance.Others(owner, l.cfg.Owner) {
		return
	}
	l.conflicted = true
	l.cfg.Logger.Error("another process announces our address: give each sidecar an address of its own", "address", instance.Address(owner))
}

// renew renews our lease once, and returns when to do it next. The message
// carries its own time to live, which an Update of the bucket would drop. It goes
// behind whatever is there: nobody else writes what opens, and of two of ours the
// later one counts.
func (l *Leases) renew(ctx context.Context) time.Duration {
	l.mu.Lock()
	value := l.announcementLocked(false)
	l.mu.Unlock()
	err := l.publish(ctx, value, l.cfg.TTL)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.claimed = true
		return l.renewInterval()
	}
	l.cfg.Logger.Debug("lease not renewed", "error", err)
	return l.retryInterval()
}

// announcementLocked returns what we say of ourselves now, as it is stored.
func (l *Leases) announcementLocked(released bool) []byte {
	l.at = max(l.at+1, time.Now().UnixMilli())
	return sealLease(l.ring, &announcement{
		Version: leaseVersion, Owner: l.cfg.Owner, Since: l.since, Draining: l.draining, Reads: l.cfg.Reads, At: l.at, Released: released,
	})
}

// release says that we are gone, for a while: addresses come and go, and the
// bucket is not to remember them all.
func (l *Leases) release(ctx context.Context) error {
	l.mu.Lock()
	value := l.announcementLocked(true)
	l.mu.Unlock()
	return l.publish(ctx, value, releaseTTL)
}

// publish writes our own key.
func (l *Leases) publish(ctx context.Context, value []byte, ttl time.Duration) error {
	ctx, done, err := l.backend.denials.call(ctx, min(l.backend.cfg.Timeout, l.renewInterval()))
	if err != nil {
		return err
	}
	defer done()
	msg := &nats.Msg{Subject: leasePrefix + leaseKey(l.cfg.Owner), Data: value}
	_, err = l.backend.js.PublishMsg(ctx, msg, jetstream.WithMsgTTL(ttl), jetstream.WithRetryAttempts(0))
	return cause(ctx, err)
}
