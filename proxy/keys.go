package proxy

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/dedupe"
	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits of keys.
const (
	// keysInMemory is what is kept while the store is away, or where there is none:
	// at most that, and a sixteenth of the memory budget.
	keysInMemory = 16 << 20

	// keysSeen are known here as done, so that the store need not be asked.
	keysSeen = 16 << 10

	// keySeenFor is above the time in which most repetitions come, and below the
	// life of most keys.
	keySeenFor = time.Minute

	// keyTimeout bounds a call. What a session has left is tried again after
	// keyRetry, and given up after keyTries: the key is in doubt then.
	keyTimeout = 5 * time.Second
	keyRetry   = time.Second
	keyTries   = 30
)

// A KeyStore keeps what is known of messages that act once, for all sidecars that
// share it. It is safe for concurrent use.
type KeyStore interface {
	Put(ctx context.Context, c *idempotency.Call) (idempotency.Result, error)
}

// knownKeys joins the sidecar's calls to the store, and stands in for it.
type knownKeys struct {
	store KeyStore // nil: there is none

	mu     sync.Mutex // guards the rest
	seen   *dedupe.Set[idempotency.Key]
	memory *idempotency.Memory // nil until it is used
}

// keyGate returns where messages of a session with keys wait; nil: it has none.
func (q *request) keyGate(id wire.SessionID) *idempotency.Gate {
	return q.s.live.Load().cfg.Keys.Gate(q.r.URL.Path, idempotency.Claimant{Owner: q.s.cfg.Advertise, Session: id, Epoch: firstEpoch}, func(kind, name string) string {
		return sourceOf(q.r, kind, name)
	})
}

// sourceOf returns what a request has in a header field, a cookie or its query.
// More than one value is none: it is not known which the app believes.
func sourceOf(r *http.Request, kind, name string) string {
	var values []string
	switch kind {
	case "header":
		values = r.Header.Values(name)
	case "cookie":
		for _, c := range r.CookiesNamed(name) {
			values = append(values, c.Value)
		}
	case "query":
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return ""
		}
		values = query[name]
	}
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// askKeyLocked puts a call to the store, off this thread.
func (c *sessionDriver) askKeyLocked(call *idempotency.Call) {
	c.srv.work.Go(func() {
		r := c.srv.putKey(call)
		now := c.enter()
		defer c.leave()
		if m, ok := c.m.(*session.Session); ok {
			m.Keyed(now, call, r)
			c.settleLocked(now)
		}
	})
}

// putKey puts a call to the store. While that is away keys are known to this
// sidecar alone, unless WSR_STORE_POLICY is strict.
func (s *Server) putKey(call *idempotency.Call) idempotency.Result {
	k := &s.keys
	if call.Here || k.store == nil {
		return s.remember(call)
	}
	if !call.Outcome && call.Revision == 0 && k.known(call.Key) {
		return idempotency.Result{Found: &idempotency.Entry{State: idempotency.Done}}
	}
	if e := k.doneHere(call); e != nil {
		return idempotency.Result{Found: e}
	}
	alone := call.Alone && !s.cfg.StrictStore
	if alone && s.StoreAway() {
		return s.remember(call)
	}
	r, err := s.putStored(call)
	switch {
	case err == nil:
	case !alone:
		return idempotency.Result{Away: true}
	default:
		s.log.Debug("the store of keys is away", "error", err)
		return s.remember(call)
	}
	now := time.Now()
	e := r.Found
	if r.Written {
		e = &call.Entry
	}
	if e != nil && e.State == idempotency.Done && now.Sub(time.UnixMilli(e.At))+keySeenFor <= call.TTL {
		k.note(now, call.Key)
	}
	return r
}

// putStored puts a call to the store, and what a session has left several times.
func (s *Server) putStored(call *idempotency.Call) (r idempotency.Result, err error) {
	for try := 0; ; try++ {
		ctx, cancel := context.WithTimeout(context.Background(), keyTimeout)
		r, err = s.keys.store.Put(ctx, call)
		cancel()
		if err == nil || !call.Settles || try == keyTries {
			break
		}
		select {
		case <-time.After(keyRetry):
		case <-s.life.Done():
			return r, err
		}
	}
	if f := r.Found; f != nil && f.By.Owner != s.cfg.Advertise {
		r.OwnerGone = s.lease(f.By.Owner).Over()
	}
	return r, err
}

// remember is the store of this sidecar alone.
func (s *Server) remember(call *idempotency.Call) idempotency.Result {
	k := &s.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.memory == nil {
		limit := int64(keysInMemory)
		if budget := s.pool.Budget(); budget > 0 {
			limit = min(limit, budget/16)
		}
		k.memory = idempotency.NewMemory(int(limit))
	}
	before := k.memory.Bytes()
	r := k.memory.Put(time.Now(), call)
	r.Here = true
	s.pool.Memory().Charge(int64(k.memory.Bytes() - before))
	return r
}

// doneHere returns what is done under the key of a claim by what this sidecar
// remembers of a time when the store was away; nil: nothing. The store does not know
// it. The state of an entity may have changed there since.
func (k *knownKeys) doneHere(call *idempotency.Call) *idempotency.Entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.memory == nil || call.Settles || len(call.Entry.Outcome) > 0 {
		return nil
	}
	look := *call
	look.Revision = idempotency.LookOnly
	if r := k.memory.Put(time.Now(), &look); r.Found != nil && r.Found.State == idempotency.Done {
		return r.Found
	}
	return nil
}

// known reports whether a key is done, as far as is known here.
func (k *knownKeys) known(key idempotency.Key) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen != nil && k.seen.Contains(time.Now(), key)
}

// note notes that a key is done.
func (k *knownKeys) note(now time.Time, key idempotency.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seen == nil {
		k.seen = dedupe.New[idempotency.Key](keysSeen, keySeenFor)
	}
	k.seen.Add(now, key)
}
