package natsstore

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

func oneMiB() *store.Record {
	return &store.Record{Kind: store.Snapshot, Epoch: 1, OutHead: 1, Frames: storetest.Frames(1, 1, 1<<20)}
}

func wantAll(t *testing.T, s *Store, ids []store.ID) {
	t.Helper()
	for i, id := range ids {
		if st, err := s.Load(t.Context(), id); err != nil || len(st.Frames) != 1 || st.Gap {
			t.Errorf("acknowledged record %d of %d: %v", i, len(ids), err)
		}
	}
}

// waitRepairFailed returns after a repair that could not write to the disk.
func waitRepairFailed(t *testing.T, e *embedded) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		e.mu.Lock()
		failed := !e.repairing && e.broken != nil && strings.Contains(e.broken.Error(), probeFile)
		e.mu.Unlock()
		if failed {
			return
		}
	}
	t.Fatal("no repair was tried")
}

// TestSwitchedOff: the server has switched JetStream off, as it does when it
// finds no room in other places, and starts again when its directory can be
// written.
func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	cfg := embeddedConfig(t)
	s := mustOpen(t, cfg)
	changes := watched(t, s)
	changes.want(t, true, 5*time.Second)
	id := storetest.NewID()
	if _, err := s.Append(t.Context(), id, 0, oneMiB()); err != nil {
		t.Fatal(err)
	}
	obstacle := cfg.Embedded.Dir + "/" + probeFile // a directory is no file
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(obstacle+"/x", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.backend.server.server.ShutdownJetStream()
	began := time.Now()
	_, err := s.Append(t.Context(), storetest.NewID(), 0, oneMiB())
	if !errors.Is(err, store.ErrUnavailable) || time.Since(began) > time.Second {
		t.Errorf("append: %v after %v", err, time.Since(began))
	}
	changes.want(t, false, 2*time.Second)
	waitRepairFailed(t, s.backend.server)
	changes.wantNone(t)
	if err := os.RemoveAll(obstacle); err != nil {
		t.Fatal(err)
	}
	changes.want(t, true, 10*time.Second)
	wantAll(t, s, []store.ID{id})
}

// TestCloseDuringRepair: whatever the repair is at, the directory is free
// afterwards.
func TestCloseDuringRepair(t *testing.T) {
	cfg := embeddedConfig(t)
	s := mustOpen(t, cfg)
	s.backend.server.server.ShutdownJetStream()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.Ready(ctx); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	mustOpen(t, cfg)
}

// TestFolderGone: the journal's folder is removed, replaced, or loses its files
// under the server, which goes on writing to what nobody finds again. That is
// noticed within seconds, also when nothing is written, and the journal begins
// anew; the owners of sessions learn that they have to write again.
func TestFolderGone(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(t *testing.T, dir string) error{
		"removed": func(_ *testing.T, dir string) error { return os.RemoveAll(dir) },
		"streams": func(_ *testing.T, dir string) error { return os.RemoveAll(dir + "/jetstream") },
		"messages": func(_ *testing.T, dir string) error {
			return os.RemoveAll(dir + "/jetstream/$G/streams/WSR_LOG_0/msgs")
		},
		"replaced": func(_ *testing.T, dir string) error {
			return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := embeddedConfig(t)
			cfg.Embedded.Dir += "/journal"
			var lost atomic.Int32
			cfg.Lost = func() { lost.Add(1) }
			s := mustOpen(t, cfg)
			changes := watched(t, s)
			changes.want(t, true, 5*time.Second)
			id := storetest.NewID()
			rev, err := s.Append(t.Context(), id, 0, oneMiB())
			if err != nil {
				t.Fatal(err)
			}
			if err := remove(t, cfg.Embedded.Dir); err != nil {
				t.Fatal(err)
			}
			if why := changes.want(t, false, 5*time.Second); !strings.Contains(why.Error(), cfg.Embedded.Dir) {
				t.Errorf("reason: %v", why)
			}
			changes.want(t, true, 15*time.Second)
			if lost.Load() == 0 {
				t.Error("nobody was told that records are gone")
			}
			if _, err := s.Append(t.Context(), id, rev, oneMiB()); !errors.Is(err, store.ErrLost) {
				t.Errorf("append behind what is gone: %v", err)
			}
			if _, err := s.Append(t.Context(), id, 0, oneMiB()); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			wantAll(t, mustOpen(t, cfg), []store.ID{id}) // it is on the disk
		})
	}
}

// TestFolderReadOnly: that nothing can be written any more is noticed without an
// append, and costs nothing that was accepted.
func TestFolderReadOnly(t *testing.T) {
	t.Parallel()
	cfg := embeddedConfig(t)
	cfg.Lost = func() { t.Error("told that records are gone") }
	s := mustOpen(t, cfg)
	changes := watched(t, s)
	changes.want(t, true, 5*time.Second)
	id := storetest.NewID()
	if _, err := s.Append(t.Context(), id, 0, oneMiB()); err != nil {
		t.Fatal(err)
	}
	obstacle := cfg.Embedded.Dir + "/" + probeFile // a directory is no file
	for os.MkdirAll(obstacle+"/x", 0o700) != nil { // the file is there now and then
		time.Sleep(time.Millisecond)
	}
	changes.want(t, false, 5*time.Second)
	if err := os.RemoveAll(obstacle); err != nil {
		t.Fatal(err)
	}
	changes.want(t, true, 10*time.Second)
	wantAll(t, s, []store.ID{id})
}
