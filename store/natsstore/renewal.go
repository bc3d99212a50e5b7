package natsstore

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
	kv, err := l.log.openBucket(ctx)
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
	silent := time.NewTimer(l.patience())
	defer silent.Stop()
	for {
		select {
		case e, open := <-watch.Updates():
			if !open {
				return errStale
			}
			if beat := l.take(e); beat {
				silent.Reset(l.patience())
			}
			if e == nil {
				due.Reset(0)
			}
			continue
		case <-due.C:
		case <-l.kick:
			if !l.complete() {
				continue // it will be said when everything is known
			}
		case <-silent.C:
			return errStale
		case <-ctx.Done():
			return ctx.Err()
		}
		due.Reset(l.renew(ctx))
	}
}

// patience is how long our own announcements may fail to come back.
func (l *Leases) patience() time.Duration { return 2 * l.every() }

// watch begins to follow all keys.
func (l *Leases) watch(ctx context.Context, kv jetstream.KeyValue) (jetstream.KeyWatcher, error) {
	l.mu.Lock()
	l.roster.restart()
	l.mu.Unlock()
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	return watch, nil
}

func (l *Leases) complete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.roster.incoming == nil
}

// take puts one piece of news into the roster; nil means that all that there
// was has been told. It returns true for a beat.
func (l *Leases) take(e jetstream.KeyValueEntry) (beat bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e == nil {
		l.roster.complete()
		l.compete()
		return false
	}
	owner, err := leaseOwner(e.Key())
	if err != nil {
		return false // not one of ours
	}
	if owner == l.cfg.Owner {
		l.revision = max(l.revision, e.Revision())
	}
	before := l.roster.newest
	switch e.Operation() {
	case jetstream.KeyValuePurge:
		l.roster.expired(owner)
	case jetstream.KeyValueDelete:
		l.roster.heard(time.Now(), owner, entry{revision: e.Revision(), left: true})
	case jetstream.KeyValuePut:
		n, err := parseNotice(owner, e.Value())
		if err != nil {
			l.cfg.Logger.Warn("lease is not readable", "error", err)
			return false
		}
		l.roster.heard(time.Now(), owner, entry{revision: e.Revision(), notice: n})
	}
	if owner == l.cfg.Owner {
		l.compete()
	}
	return l.roster.newest > before
}

// compete looks who has our key: the process that came last keeps it.
func (l *Leases) compete() {
	e, there := l.roster.entries[l.cfg.Owner]
	other := there && !e.left && e.Instance != l.roster.self
	if !other {
		l.usurped = false
		return
	}
	if l.claimed && !l.usurped {
		l.usurped = true
		l.cfg.Logger.Error("another process announces our address", "owner", l.cfg.Owner)
	}
}

// renew says once that we live, and returns when to say it next. The message
// carries its own time to live, which an Update of the bucket would drop, and
// goes behind the newest revision, so that of two processes one learns of the
// other.
func (l *Leases) renew(ctx context.Context) time.Duration {
	l.mu.Lock()
	n := notice{Owner: l.cfg.Owner, Instance: l.roster.self, Since: l.since, Draining: l.draining}
	after, usurped := l.revision, l.usurped
	l.mu.Unlock()
	if usurped {
		return l.every()
	}
	value, err := json.Marshal(n)
	if err != nil {
		panic(err) // a struct of strings
	}
	revision, err := l.publish(ctx, &nats.Msg{Data: value}, after, l.cfg.TTL)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.revision, l.claimed = max(l.revision, revision), true
		return l.every()
	}
	if emptied(err) {
		l.revision = 0
	}
	l.cfg.Logger.Debug("lease not renewed", "error", err)
	return l.retry()
}

// goodbye deletes our key, for a while: addresses come and go, and the bucket
// is not to remember them all.
func (l *Leases) goodbye(ctx context.Context) error {
	bye := func(after uint64) error {
		msg := &nats.Msg{Header: nats.Header{kvOperation: {kvDelete}}}
		_, err := l.publish(ctx, msg, after, goodbyeTTL)
		return err
	}
	err := bye(l.revision)
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
		return err
	}
	// A renewal whose answer was lost may have got there, or another process.
	kv, err := l.log.openBucket(ctx)
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
	if n, err := parseNotice(l.cfg.Owner, e.Value()); err != nil || n.Instance != l.roster.self {
		return err
	}
	return bye(e.Revision())
}

// publish writes our own key.
func (l *Leases) publish(ctx context.Context, msg *nats.Msg, after uint64, ttl time.Duration) (uint64, error) {
	ctx, done, err := l.log.denials.call(ctx, min(l.log.cfg.Timeout, l.every()))
	if err != nil {
		return 0, err
	}
	defer done()
	msg.Subject = leasePrefix + leaseKey(l.cfg.Owner)
	ack, err := l.log.js.PublishMsg(ctx, msg,
		jetstream.WithExpectLastSequencePerSubject(after), jetstream.WithMsgTTL(ttl), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, because(ctx, err)
	}
	return ack.Sequence, nil
}

// emptied tells whether a refusal says that nothing is left of our key, of
// which a watch does not tell.
func emptied(err error) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
		return false
	}
	var fenced *store.FencedError
	return errors.As(fencedError(api.Description), &fenced) && fenced.Known && fenced.Newest == 0
}
