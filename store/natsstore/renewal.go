package natsstore

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/store"
)

// Headers that make a message the deletion of a key (ADR-8).
const (
	kvOperation = "KV-Operation"
	kvDelete    = "DEL"
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
	if owner == l.cfg.Owner {
		l.revision = max(l.revision, e.Revision())
	}
	before := l.members.heartbeatRevision
	switch e.Operation() {
	case jetstream.KeyValuePurge:
		l.members.remove(owner)
	case jetstream.KeyValueDelete:
		l.members.update(time.Now(), owner, entry{revision: e.Revision(), released: true})
	case jetstream.KeyValuePut:
		a, err := parseAnnouncement(owner, e.Value())
		if err != nil {
			// It lives, whatever it reads.
			l.cfg.Logger.Warn("lease is unreadable: do all sidecars run the same version?", "error", err)
		}
		l.members.update(time.Now(), owner, entry{revision: e.Revision(), announcement: a})
		l.detectConflictLocked(owner)
	}
	return l.members.heartbeatRevision > before
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
// carries its own time to live, which an Update of the bucket would drop, and
// goes behind the newest revision, so that none that was late overwrites another.
func (l *Leases) renew(ctx context.Context) time.Duration {
	l.mu.Lock()
	a := announcement{Version: leaseVersion, Owner: l.cfg.Owner, Since: l.since, Draining: l.draining, Reads: l.cfg.Reads}
	after := l.revision
	l.mu.Unlock()
	value, err := json.Marshal(a)
	if err != nil {
		panic(err) // a struct of strings
	}
	revision, err := l.publish(ctx, &nats.Msg{Data: value}, after, l.cfg.TTL)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.revision, l.claimed = max(l.revision, revision), true
		return l.renewInterval()
	}
	if keyGone(err) {
		l.revision = 0
	}
	l.cfg.Logger.Debug("lease not renewed", "error", err)
	return l.retryInterval()
}

// release deletes our key, for a while: addresses come and go, and the bucket
// is not to remember them all.
func (l *Leases) release(ctx context.Context) error {
	remove := func(after uint64) error {
		msg := &nats.Msg{Header: nats.Header{kvOperation: {kvDelete}}}
		_, err := l.publish(ctx, msg, after, releaseTTL)
		return err
	}
	err := remove(l.revision)
	if !wrongSequence(err) {
		return err
	}
	// A renewal whose answer was lost may have got there.
	kv, err := l.backend.openBucket(ctx)
	if err != nil {
		return err
	}
	e, err := kv.Get(ctx, leaseKey(l.cfg.Owner))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return remove(e.Revision())
}

// publish writes our own key.
func (l *Leases) publish(ctx context.Context, msg *nats.Msg, after uint64, ttl time.Duration) (uint64, error) {
	ctx, done, err := l.backend.denials.call(ctx, min(l.backend.cfg.Timeout, l.renewInterval()))
	if err != nil {
		return 0, err
	}
	defer done()
	msg.Subject = leasePrefix + leaseKey(l.cfg.Owner)
	ack, err := l.backend.js.PublishMsg(ctx, msg,
		jetstream.WithExpectLastSequencePerSubject(after), jetstream.WithMsgTTL(ttl), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, cause(ctx, err)
	}
	return ack.Sequence, nil
}

// wrongSequence reports whether err refuses a compare-and-set.
func wrongSequence(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// keyGone reports whether a compare-and-set was refused because nothing is left
// of our key. A watch does not show that.
func keyGone(err error) bool {
	var (
		api    *jetstream.APIError
		fenced *store.FencedError
	)
	return wrongSequence(err) && errors.As(err, &api) &&
		errors.As(fencedError(api.Description), &fenced) && fenced.Known && fenced.Newest == 0
}
