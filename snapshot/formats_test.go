package snapshot_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/wsresilience/wsresilience/snapshot/presets"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// Saved copies that a release has written are read by all later ones
// (docs/COMPATIBILITY.md): cases are added to the file, and none is changed.
func TestCopiesOfReleases(t *testing.T) {
	b, err := os.ReadFile("../testdata/formats/snapshots.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name            string
		Format          byte
		Rules, Protocol string
		Saved           []string // hex, each behind the one before
		ID              string   // empty: it has none
		Version         uint32
		Complete        bool
		Payloads        [][]byte
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	newest := byte(0)
	for _, c := range cases {
		var saved []byte
		for _, s := range c.Saved {
			part, err := hex.DecodeString(s)
			if err != nil {
				t.Fatal(err)
			}
			saved = append(saved, part...)
		}
		k := snapshottest.Policy(t, c.Rules, c.Protocol, presets.All()...).Tracker("/")
		if err := k.Load(saved); err != nil || saved[0] != c.Format {
			t.Errorf("%s: %v, format %d", c.Name, err, saved[0])
			continue
		}
		if v := k.View(); c.ID != "" && v.ID != c.ID || v.Version != c.Version || v.Complete != c.Complete || !slices.EqualFunc(k.Payloads(), c.Payloads, func(a string, b []byte) bool { return a == string(b) }) {
			t.Errorf("%s: %+v, %q, want version %d, %q", c.Name, v, k.Payloads(), c.Version, c.Payloads)
		}
		newest = max(newest, c.Format)
	}
	k := everything(t).Tracker("/")
	if now := k.Save()[0]; newest != now || !bytes.Equal(k.Change(true).Whole[:1], []byte{now - 1}) {
		t.Errorf("the file has copies up to format %d, and %d is written now", newest, now)
	}
}
