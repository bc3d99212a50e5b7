package store

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"

	"github.com/wsresilience/wsresilience/internal/keyring"
)

// A releasedChain is what a release has written for one session, and what it
// amounts to.
type releasedChain struct {
	Name, Key, Session string
	Version            uint8
	Messages           []string // hex, behind each other from revision 1
	State              State
}

// Records that a release has written are read by all later ones
// (docs/COMPATIBILITY.md): cases are added to the file, and none is changed.
func TestRecordsOfReleases(t *testing.T) {
	b, err := os.ReadFile("../testdata/formats/records.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []releasedChain
	if err := json.Unmarshal(b, &cases); err != nil || len(cases) == 0 {
		t.Fatal(len(cases), err)
	}
	newest := uint8(0)
	for _, c := range cases {
		ring, err := keyring.New([][]byte{unhex(t, c.Key)})
		if err != nil {
			t.Fatal(err)
		}
		var messages []Message
		for i, m := range c.Messages {
			messages = append(messages, Message{Revision(i + 1), unhex(t, m)})
			if v := messages[i].Data[0]; v != c.Version {
				t.Errorf("%s: message of version %d, want %d", c.Name, v, c.Version)
			}
		}
		st, err := Fold(assemble(ring.Derive("journal"), ID(unhex(t, c.Session)), messages))
		if err != nil || !reflect.DeepEqual(*st, c.State) {
			t.Errorf("%s: %+v, %v, want %+v", c.Name, st, err, c.State)
		}
		newest = max(newest, c.Version)
	}
	if newest != version {
		t.Errorf("the file has records up to version %d, and none of %d", newest, version)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// An owner writes a version that all read: after a newer one, a Snapshot first, so
// that nothing which the others cannot read is left to be read.
func TestOlderVersionAgain(t *testing.T) {
	c := Cadence{Limits: Limits{Part: 1000, Record: 7000}}
	wrote := func(v uint8, kind Kind) { c.Wrote(&Record{Version: v, Kind: kind}, nil) }
	wrote(version, Snapshot)
	if c.Outdated(version) {
		t.Error("outdated by itself")
	}
	wrote(version+1, Delta)
	wrote(version, Delta)
	if !c.Outdated(version) || c.Outdated(version+1) {
		t.Error("a newer record is not seen")
	}
	c.Restart()
	if k := c.Next(0, 100); k != Snapshot {
		t.Errorf("next is a %v", k)
	}
	wrote(version, Snapshot)
	if c.Outdated(version) {
		t.Error("outdated after a snapshot")
	}

	ring, id := testRing(t), ID{1}
	older := storeAll(t, ring, id, &Record{Version: version, Kind: Snapshot, First: true, Epoch: 1}, 1000)[0]
	parts, err := split(&Record{Version: version + 1, Kind: Delta, Epoch: 1, N: 1}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	newer := Message{2, parts[0].seal(ring, id, 1)}
	if len(newer.Data) != len(older.Data)+1 || newer.Data[0] != version+1 {
		t.Errorf("the next version: %x", newer.Data[:envelopeSize])
	}
	chain := []Message{older, newer}
	if _, err := Fold(assemble(ring, id, chain)); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer record at the end: %v", err)
	}
	if parts, err = split(&Record{Version: version, Kind: Snapshot, Epoch: 1, N: 2, OutHead: 7, OutAcked: 7, Context: []byte{}}, 1000); err != nil {
		t.Fatal(err)
	}
	chain = append(chain, Message{3, parts[0].seal(ring, id, 2)})
	if st, err := Fold(assemble(ring, id, chain)); err != nil || st.OutHead != 7 || st.Gap {
		t.Errorf("a Snapshot of the older version behind it: %+v, %v", st, err)
	}
}
