package ledger

import (
	"bytes"
	"slices"
	"testing"
)

func TestTags(t *testing.T) {
	for _, want := range []Tag{{0, 1}, {7, 12}, {1<<32 - 1, 1<<32 - 1}} {
		if got, ok := ParseTag(want.Append(nil)); !ok || got != want {
			t.Errorf("%v became %v, %v", want, got, ok)
		}
	}
	for _, bad := range []string{"", "1", "1 ", " 1", "1 0", "a 1", "1 1 1", "-1 1", "4294967296 1"} {
		if got, ok := ParseTag([]byte(bad)); ok {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}

func TestRecords(t *testing.T) {
	want := []Record{{Opened, 1, 2, 0, 5}, {Read, 1, 2, 3, 1 << 60}, {Foreign, 1<<32 - 1, 0, 0, 0}}
	var b bytes.Buffer
	for i := range want {
		if err := want[i].Write(&b); err != nil {
			t.Fatal(err)
		}
	}
	b.Write([]byte{1, 2, 3}) // one that is not complete
	got, rest, err := ParseRecords(b.Bytes())
	if err != nil || !slices.Equal(got, want) || !bytes.Equal(rest, []byte{1, 2, 3}) {
		t.Errorf("got %v, %v, %v", got, rest, err)
	}
	if _, _, err := ParseRecords(make([]byte, RecordBytes)); err == nil {
		t.Error("a record without a kind was read")
	}
}
