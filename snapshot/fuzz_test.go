package snapshot_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/presets"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// FuzzLoad: what loads is within the bounds, and is saved as it was loaded.
func FuzzLoad(f *testing.F) {
	g := everything(f)
	k := g.Tracker("/")
	f.Add(k.Save())
	hear(k, snapshottest.Start, "set a 1", "del a", "sub b", "tmp c", `{"type":"connection_init"}`, `{"id":"1","type":"subscribe","payload":{}}`)
	f.Add(k.Save())
	f.Fuzz(func(t *testing.T, b []byte) {
		k := g.Tracker("/")
		if k.Load(b) != nil {
			return
		}
		checkBounds(t, k)
		saved := k.Save()
		again := g.Tracker("/")
		if err := again.Load(saved); err != nil || !bytes.Equal(again.Save(), saved) {
			t.Fatalf("loaded twice: %v", err)
		}
		k.Entries()
		k.Restore(snapshottest.Start)
		k.Tick(snapshottest.Start.Add(time.Hour))
		checkBounds(t, k)
	})
}

// FuzzNew: what is configured never panics, and an error names the package.
func FuzzNew(f *testing.F) {
	f.Add(`{"rules":[{"path":"/chat/*","select":{"pointer":"/type","equals":["a",1,null,true]},"key":"/c","drop":{"regexp":"x"},"ttl":"1h","merge":"conflict-free"}]}`, "/a=phoenix, *=actioncable")
	f.Add(`{"rules":[{"path":"*","select":{"regexp":"(a)(b)?"},"await":{"pointer":"","equals":"x"},"swallow":{"pointer":"/0/~1~0","equals":-1e9}}]}`, "stomp")
	f.Add(`{"rules":[{"path":"*","request":{"regexp":"^a (b)?"},"reply":{"regexp":"(a)"}},{"path":"*","request":{"pointer":"/type","equals":"a"},"reply":{"regexp":"b"},"key":"/c"}]}`, "")
	f.Fuzz(func(t *testing.T, rules, protocols string) {
		g, err := snapshot.New([]byte(rules), protocols, time.Minute, presets.All())
		if err != nil {
			if !strings.HasPrefix(err.Error(), "snapshot: ") {
				t.Errorf("error %v", err)
			}
			return
		}
		if k := g.Tracker("/chat/a"); k != nil {
			hear(k, snapshottest.Start, rules, `{"type":"a","c":1}`, "ab")
			checkBounds(t, k)
		}
	})
}

// checkBounds checks what a Tracker holds against the limits.
func checkBounds(t *testing.T, k *snapshot.Tracker) {
	t.Helper()
	counted, actual, longestKey := k.Sizes()
	if longestKey > snapshot.MaxKey {
		t.Errorf("a key of %d bytes", longestKey)
	}
	if entries, saved := len(k.Entries()), len(k.Save()); counted != actual || actual > snapshot.MaxBytes || entries > snapshot.MaxEntries || saved > snapshot.MaxSaved {
		t.Errorf("%d entries of %d bytes, counted as %d, saved in %d", entries, actual, counted, saved)
	}
}
