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
			{Number: 1, Delta: 1 << 31, In: 7, ProvenEpoch: 2, Proven: 9, Attempt: 3, DetachedAt: 1764429158000},
			{Number: 300},
		}},
	} {
		got, err := Parse(r.Append(nil))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v is read as %+v, %v", r, got, err)
		}
	}
	full := Roster{Newest: MaxMembers}
	for i := range uint16(MaxMembers) {
		full.Members = append(full.Members, Member{Number: i + 1})
	}
	if n := len(full.Append(nil)); n > 4096 {
		t.Errorf("a full roster has %d bytes, which its place in a record does not take", n)
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
	r := Roster{Newest: 3, Members: []Member{{Number: 1, Delta: 5}, {Number: 3, In: 9}}}
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
