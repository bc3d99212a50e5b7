package natsstore

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

func embeddedConfig(t testing.TB) Config {
	return Config{Keys: storetest.Ring(t), Embedded: Embedded{Dir: t.TempDir(), MaxStore: 64 << 20}}
}

func mustOpen(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustOpenBackend(t testing.TB, cfg Config) *backend {
	t.Helper()
	b, err := openBackend(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	storetest.RunBackend(t, func(t *testing.T) store.Backend {
		cfg := embeddedConfig(t)
		cfg.Embedded.MaxPayload = 64 << 10 // so that splitting is cheap to test
		return mustOpenBackend(t, cfg)
	})
}

// TestEmbeddedLarge: 2 MiB in one record through a server that takes 1 MiB.
func TestEmbeddedLarge(t *testing.T) {
	t.Parallel()
	cfg := embeddedConfig(t)
	cfg.Embedded.MaxPayload = 1 << 20
	s := mustOpen(t, cfg)
	if s.MaxPayload() != 1<<20 {
		t.Errorf("max payload %d", s.MaxPayload())
	}
	id := storetest.NewID()
	rec := &store.Record{Kind: store.Snapshot, Epoch: 1, OutHead: 2, Frames: storetest.Frames(1, 2, 1<<20)}
	if _, err := s.Append(t.Context(), id, 0, rec); err != nil {
		t.Fatal(err)
	}
	st, err := s.Load(t.Context(), id)
	if err != nil || len(st.Frames) != 2 || len(st.Frames[1].Data) != 1<<20 || st.Gap {
		t.Fatalf("loaded %v", err)
	}
	if parts, err := s.backend.Read(t.Context(), id, 0, 9); err != nil || len(parts) != 3 {
		t.Errorf("%d messages for the record, %v, want 3", len(parts), err)
	}
}

// TestEmbeddedRestart: what was journaled is there in the next process.
func TestEmbeddedRestart(t *testing.T) {
	cfg := embeddedConfig(t)
	s := mustOpen(t, cfg)
	id := storetest.NewID()
	rec := &store.Record{Kind: store.Snapshot, Epoch: 1, Owner: "a", OutHead: 3, Frames: storetest.Frames(1, 3, 10)}
	rev, err := s.Append(t.Context(), id, 0, rec)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.SessionTTL = 10 * time.Minute // the embedded stream follows the settings
	s = mustOpen(t, cfg)
	st, err := s.Load(t.Context(), id)
	if err != nil || st.Revision != rev || len(st.Frames) != 3 || st.Owner != "a" {
		t.Fatalf("loaded %+v, %v", st, err)
	}
	stream, err := s.backend.js.Stream(t.Context(), streamName(0))
	if err != nil || stream.CachedInfo().Config.MaxAge != 13*time.Minute {
		t.Errorf("max age not updated: %v", err)
	}
}

func TestEmbeddedLocked(t *testing.T) {
	cfg := embeddedConfig(t)
	s := mustOpen(t, cfg)
	_, err := Open(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Fatalf("second open: %v", err)
	}
	s.Close()
	mustOpen(t, cfg)
}

// TestFull: a full stream refuses, evicts nobody, and says ErrFull.
func TestFull(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.MaxBytes = 1 << 20
	s := mustOpen(t, cfg)
	var ids []store.ID
	for range 20 {
		id := storetest.NewID()
		rec := &store.Record{Kind: store.Snapshot, Epoch: 1, OutHead: 1, Frames: storetest.Frames(1, 1, 100<<10)}
		_, err := s.Append(t.Context(), id, 0, rec)
		if errors.Is(err, store.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 || len(ids) == 20 {
		t.Fatalf("%d of 20 stored", len(ids))
	}
	for _, id := range ids {
		if st, err := s.Load(t.Context(), id); err != nil || len(st.Frames) != 1 {
			t.Errorf("a stored session was evicted: %v", err)
		}
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	s := mustOpen(t, embeddedConfig(t))
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	var stacks string
	for range 200 {
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if strings.Count(stacks, "nats-io/nats") == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal(stacks)
}

// BenchmarkAppend journals one frame of 256 bytes.
func BenchmarkAppend(b *testing.B) {
	s := mustOpen(b, embeddedConfig(b))
	id, rev := storetest.NewID(), store.Revision(0)
	rec := &store.Record{Kind: store.Snapshot, Epoch: 1, Owner: "10.0.0.1:15801", Frames: storetest.Frames(1, 1, 256)}
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if rev, err = s.Append(b.Context(), id, rev, rec); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad reads a chain of one snapshot and fifteen deltas among a
// thousand sessions.
func BenchmarkLoad(b *testing.B) {
	s := mustOpen(b, embeddedConfig(b))
	ids := make([]store.ID, 1000)
	for i := range ids {
		ids[i] = storetest.NewID()
		rev := store.Revision(0)
		for seq := uint32(1); seq <= 16; seq++ {
			rec := &store.Record{Kind: store.Delta, Epoch: 1, Owner: fmt.Sprint(i), OutHead: seq, Frames: storetest.Frames(seq, seq, 256)}
			var err error
			if rev, err = s.Append(b.Context(), ids[i], rev, rec); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if st, err := s.Load(b.Context(), ids[i%len(ids)]); err != nil || len(st.Frames) != 16 {
			b.Fatal(err)
		}
		i++
	}
}
