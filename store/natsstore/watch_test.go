package natsstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// A watchRecorder keeps what Watch reports.
type watchRecorder struct {
	mu       sync.Mutex
	reported []bool
	why      []error
	seen     int
}

func watched(t *testing.T, s *Store) *watchRecorder {
	w := &watchRecorder{}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Watch(ctx, func(available bool, why error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reported, w.why = append(w.reported, available), append(w.why, why)
		})
	}()
	t.Cleanup(func() { stop(); <-done })
	return w
}

// want is the next change and nothing else.
func (w *watchRecorder) want(t *testing.T, available bool, within time.Duration) error {
	t.Helper()
	for began := time.Now(); time.Since(began) < within; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		reported, why := w.reported, w.why
		w.mu.Unlock()
		if len(reported) > w.seen {
			w.seen++
			if reported[w.seen-1] != available || (why[w.seen-1] == nil) != available {
				t.Fatalf("reported %v, %v", reported, why)
			}
			return why[w.seen-1]
		}
	}
	t.Fatalf("no change to %v within %v", available, within)
	return nil
}

// wantNone fails if there was another change.
func (w *watchRecorder) wantNone(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.reported) != w.seen {
		t.Errorf("reported %v, %v", w.reported, w.why)
	}
}

// TestWatch: a server that goes and comes is reported once each, quickly, and
// without the password of the URL.
func TestWatch(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 1)[0]
	users := func(o *server.Options) { o.Username, o.Password = "user", "secret-word" }
	cfg := externalConfig(t, fmt.Sprint("nats://user:secret-word@127.0.0.1:", port))
	cfg.Timeout = 500 * time.Millisecond
	s := mustOpen(t, cfg)
	changes := watched(t, s)
	reasons := []error{changes.want(t, false, 2*time.Second)}
	var srv *server.Server
	for range 2 {
		srv = startServer(t, port, users)
		changes.want(t, true, 10*time.Second)
		time.Sleep(2 * checkInterval) // checks that change nothing
		srv.Shutdown()
		srv.WaitForShutdown()
		reasons = append(reasons, changes.want(t, false, time.Second))
	}
	for _, why := range reasons {
		if !errors.Is(why, store.ErrUnavailable) || strings.Contains(why.Error(), "secret-word") {
			t.Errorf("reason %v", why)
		}
	}
}

// TestWatchFull: a full stream is reported, and so is room again.
func TestWatchFull(t *testing.T) {
	t.Parallel()
	cfg := embeddedConfig(t)
	cfg.MaxBytes = 1 << 20
	s := mustOpen(t, cfg)
	changes := watched(t, s)
	changes.want(t, true, 5*time.Second)
	var err error
	for err == nil {
		rec := &store.Record{Kind: store.Snapshot, Epoch: 1, OutHead: 1, Frames: storetest.Frames(1, 1, 100<<10)}
		_, err = s.Append(t.Context(), storetest.NewID(), 0, rec)
	}
	if why := changes.want(t, false, time.Second); !errors.Is(why, store.ErrFull) {
		t.Errorf("reason %v", why)
	}
	if _, err := s.Append(t.Context(), storetest.NewID(), 0, &store.Record{Kind: store.Snapshot, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	changes.want(t, true, 2*time.Second)
}

// TestHang: NATS takes connections and bytes for a while, and then nothing,
// behind a network that swallows or in a process that is stopped. It is noticed
// within seconds, also when the connection is stuck in a write; calls end; and
// all works when the server goes on.
func TestHang(t *testing.T) {
	t.Parallel()
	srv := startServer(t, server.RANDOM_PORT, nil)
	link, err := faultlink.New("127.0.0.1:0", srv.Addr().String(), func() float64 { return 0.5 })
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	cfg := externalConfig(t, "nats://"+link.Addr())
	cfg.Timeout = time.Second
	s := mustWork(t, cfg)
	changes := watched(t, s)
	changes.want(t, true, 5*time.Second)
	link.Silence()
	var appends sync.WaitGroup
	began := time.Now()
	for range 12 { // more than sockets keep
		appends.Go(func() {
			rec := &store.Record{Kind: store.Snapshot, Epoch: 1, OutHead: 1, Frames: storetest.Frames(1, 1, 900<<10)}
			if _, err := s.Append(t.Context(), storetest.NewID(), 0, rec); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("append: %v", err)
			}
		})
	}
	changes.want(t, false, 4*checkTimeout+time.Second)
	appends.Wait()
	if took := time.Since(began); took > (stuckWrites+2)*cfg.Timeout+2*time.Second {
		t.Errorf("appends took %v", took)
	}
	link.Heal()
	changes.want(t, true, 20*time.Second)
	if _, err := s.Append(t.Context(), storetest.NewID(), 0, &store.Record{Kind: store.Snapshot, Epoch: 1}); err != nil {
		t.Error(err)
	}
}
