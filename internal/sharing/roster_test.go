package sharing

import (
	"bytes"
	"reflect"
	"testing"
)

func TestRosterReadsWhatItWrote(t *testing.T) {
	for _, r := range []Roster{
		{},
		{Newest: 7},
		{Key: [16]byte{1, 15: 2}, Newest: 300, Members: []Member{
			{Number: 1, Share: true, Since: 3, Acked: 4, Delta: 1 << 31, In: 7, Own: []Own{{5, []byte("five")}, {9, nil}}, ProvenEpoch: 2, Proven: 9, Attempt: 3, DetachedAt: 1764429158000},
			{Number: 300, Anew: true},
		}},
	} {
		got, err := Parse(r.Append(nil))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v is read as %+v, %v", r, got, err)
		}
	}
	full := Roster{Newest: MaxMembers}
	for i := range uint16(MaxMembers) {
		m := Member{Number: i + 1}
		for range MaxAllOwn / MaxMembers {
			m.Own = append(m.Own, Own{Data: make([]byte, 1000)})
		}
		full.Members = append(full.Members, m)
	}
	b := full.Append(nil)
	if len(b) > MaxRoster {
		t.Errorf("a full roster has %d bytes, at most %d", len(b), MaxRoster)
	}
	got, err := Parse(b)
	if err != nil || len(got.Members[0].Own[0].Data) != 1000 || got.Members[99].Own[4].Data != nil {
		t.Errorf("what does not fit is not left out: %v", err)
	}
}

// TestPlace: what is for a member alone shifts its numbers against the log's, as far
// as its client has it.
func TestPlace(t *testing.T) {
	// The log's 101 to 104 are 1, 2, 4 and 6 to the member; 3 and 5 are its own.
	m := Member{Delta: 98, Own: []Own{{Seq: 3}, {Seq: 5}}}
	for received, want := range map[uint32][2]int{1: {101, 2}, 2: {102, 2}, 3: {102, 1}, 4: {103, 1}, 5: {103, 0}, 6: {104, 0}} {
		if log, lacks := m.Place(received); int(log) != want[0] || len(lacks) != want[1] {
			t.Errorf("with message %d it is at %d of the log, and lacks %d of its own: want %v", received, log, len(lacks), want)
		}
	}
}

func TestRosterRefuses(t *testing.T) {
	one := Roster{Newest: 2, Members: []Member{{Number: 1}}}
	good := one.Append(nil)
	for name, b := range map[string][]byte{
		"empty":     {},
		"version":   append([]byte{2}, good[1:]...),
		"short":     good[:len(good)-1],
		"long":      append(bytes.Clone(good), 0),
		"unborn":    (&Roster{Newest: 1, Members: []Member{{Number: 2}}}).Append(nil),
		"zero":      (&Roster{Newest: 1, Members: []Member{{}}}).Append(nil),
		"twice":     (&Roster{Newest: 1, Members: []Member{{Number: 1}, {Number: 1}}}).Append(nil),
		"too many":  append(good[:17:17], 0, 255, 255),
		"no member": append(good[:17:17], 0, 1, 1),
	} {
		if r, err := Parse(b); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}

func FuzzParse(f *testing.F) {
	r := Roster{Newest: 3, Members: []Member{{Number: 1, Delta: 5}, {Number: 3, In: 9, Own: []Own{{1, []byte("a")}, {2, nil}}}}}
	f.Add(r.Append(nil))
	f.Add((&Roster{}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := Parse(b); err == nil && !bytes.Equal(r.Append(nil), b) {
			t.Errorf("%x is written as %x", b, r.Append(nil))
		}
	})
}

func TestIDs(t *testing.T) {
	common := CommonID([16]byte{1, 2, 3, 15: 255})
	id := MemberID(common, 513)
	if got, number, ok := OfMember(id); !ok || got != common || number != 513 {
		t.Errorf("%x is member %d of %x, %v", id, number, got, ok)
	}
	if _, _, ok := OfMember(common); ok {
		t.Error("the shared session passes for a member")
	}
	if _, _, ok := OfMember([16]byte{1, 15: 1}); ok {
		t.Error("a session that nobody shares passes for a member")
	}
}
