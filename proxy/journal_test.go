package proxy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/store"
)

// A hangingStore takes every record with messages and answers none, as NATS behind a network
// that swallows does, until it is let go.
type hangingStore struct {
	store.Store
	mu         sync.Mutex
	hangs      chan struct{} // closed: it works
	held, most int64
	withFrames int // records, all in all
}

func (s *hangingStore) Append(ctx context.Context, id store.ID, after store.Revision, rec *store.Record) (store.Revision, error) {
	size := recordBytes(rec)
	if size == 0 {
		return s.Store.Append(ctx, id, after, rec) // from before it hung
	}
	s.mu.Lock()
	s.held += size
	s.most = max(s.most, s.held)
	s.withFrames++
	hangs := s.hangs
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.held -= size
		s.mu.Unlock()
	}()
	select {
	case <-hangs:
		return s.Store.Append(ctx, id, after, rec)
	case <-ctx.Done():
		return 0, fmt.Errorf("test: %w", store.ErrUnavailable)
	}
}

// TestJournalHangs: full windows are not doubled by records of a journal that
// does not answer, and when it does again all of them get there.
func TestJournalHangs(t *testing.T) {
	t.Parallel()
	const sessions, size = 40, 512 << 10
	s := &hangingStore{hangs: make(chan struct{})}
	sc := newScene(t, func(c *Config) { s.Store, c.Store, c.PersistAway = c.Store, s, -1 })
	for range sessions {
		p := sc.resilient("/echo")
		p.say(strings.Repeat("x", size))
		p.conn.Close()
	}
	eventually(t, "the windows are full", func() bool { return sc.srv.Stats().WindowBytes >= sessions*size })
	time.Sleep(time.Second) // long enough for all of them to be due
	s.mu.Lock()
	if limit := int64(maxAppendBytes + 4*size); s.most > limit || s.withFrames == 0 {
		t.Errorf("%d records with up to %d KiB are under way, at most %d KiB", s.withFrames, s.most>>10, limit>>10)
	}
	s.mu.Unlock()
	close(s.hangs)
	sc.srv.SetStoreAvailable(false, nil)
	sc.srv.SetStoreAvailable(true, nil)
	eventually(t, "all is in the journal", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.withFrames >= sessions && s.held == 0
	})
}
