package store

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/wsresilience/wsresilience/internal/keyring"
)

func testRing(t testing.TB) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New([][]byte{bytes.Repeat([]byte{3}, keyring.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func fullRecord() *Record {
	return &Record{
		Kind: Snapshot, Epoch: 3, N: 4, Owner: "10.0.0.1:1", Writer: 5, InAcked: 6, OutAcked: 7,
		OutHead: 9, ProvenEpoch: 10, Proven: 11, Attempt: 14, Base: 12, FirstBase: 13, DetachedAt: -1, Handed: true, Unclean: true, Owed: true, Closed: true, CloseCode: 1000, CloseReason: "r",
		Subprotocol: "s", Extensions: "e", First: true, Context: []byte("context"),
		Frames: []Frame{{8, []byte("eight")}, {9, []byte{}}},
	}
}

// storeAll returns rec as messages whose parts have at most limit bytes.
func storeAll(t testing.TB, ring *keyring.Ring, id ID, rec *Record, limit int) (out []Message) {
	t.Helper()
	parts, err := split(rec, limit)
	if err != nil {
		t.Fatal(err)
	}
	for i := range parts {
		out = append(out, Message{Revision(i + 1), parts[i].seal(ring, id, Revision(i))})
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	ring, id := testRing(t), ID{1}
	for _, rec := range []*Record{fullRecord(), {Kind: Claim}, {Kind: End, Owner: "a"}, {Kind: Delta, Context: []byte{}},
		{Kind: Delta, KeepsPast: true}, {Kind: Snapshot, KeepsPast: true, Frames: []Frame{{8, []byte("eight")}}, Past: []Frame{{3, []byte("three")}, {7, []byte{}}}}} {
		size := rec.size()
		for _, most := range []int{size, size - 1, (size + MaxParts - 1) / MaxParts} {
			messages := storeAll(t, ring, id, rec, most)
			got := assemble(ring, id, messages)
			last := got[len(got)-1]
			if last.Err != nil || !reflect.DeepEqual(last.Record, rec) {
				t.Fatalf("%d parts: %+v, %v, want %+v", len(messages), last.Record, last.Err, rec)
			}
			for _, s := range got[:len(got)-1] {
				if s.Record != nil || s.Err != nil {
					t.Fatalf("an unfinished record shows: %+v", s)
				}
			}
		}
		if _, err := split(rec, (size-1)/MaxParts); !errors.Is(err, ErrTooLarge) {
			t.Errorf("more than MaxParts: %v", err)
		}
	}
}

// TestPartsDoNotMix: parts are never put together wrongly, in whatever order
// they are stored.
func TestPartsDoNotMix(t *testing.T) {
	ring, id := testRing(t), ID{1}
	a := storeAll(t, ring, id, fullRecord(), 30)
	next := fullRecord()
	next.N++
	b := storeAll(t, ring, id, next, 30)
	n := len(a)
	if n < 3 || len(b) != n {
		t.Fatalf("%d and %d parts", n, len(b))
	}
	for name, order := range map[string][]Message{
		"first missing":                    a[1:],
		"last missing":                     a[:n-1],
		"middle missing":                   append(append([]Message{}, a[:1]...), a[2:]...),
		"swapped":                          append([]Message{a[1], a[0]}, a[2:]...),
		"of two records":                   append(append([]Message{}, a[:1]...), b[1:]...),
		"one repeated instead of the next": append([]Message{a[0], a[1], {3, a[1].Data}}, a[3:]...),
	} {
		for _, s := range assemble(ring, id, order) {
			if s.Record != nil || s.Err != nil { // Foreign or without a record
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
	// Every byte of a stored part is authenticated.
	for i := range a[0].Data {
		bad := bytes.Clone(a[0].Data)
		bad[i] ^= 0x10
		if _, err := open(ring, id, bad); !errors.Is(err, ErrForeign) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
	if _, err := open(ring, ID{2}, a[0].Data); !errors.Is(err, ErrForeign) {
		t.Errorf("another session: %v", err)
	}
}

// TestFormerVersion: a record of another version is refused by its number,
// whatever the rest of it would say.
func TestFormerVersion(t *testing.T) {
	ring, id := testRing(t), ID{1}
	data := storeAll(t, ring, id, fullRecord(), 1000)[0].Data
	data[0] = 2
	_, err := open(ring, id, data)
	if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "record of version 2: this program knows 3 at least") {
		t.Fatal(err)
	}
}

// newerPart is a part as the next version may write it: the envelope is the
// same, and what follows it is not known here.
func newerPart(ring *keyring.Ring, id ID, after Revision, epoch uint32, author [8]byte) []byte {
	h := header{after: after, epoch: epoch, author: author}
	b := append(h.append(nil)[:envelopeSize], "something new"...)
	b[0], b[1] = version+1, byte(len(b))
	return ring.Seal(b, []byte("and a body of another form"), aad(id, b))
}

// TestNewerVersion: a record of a newer version is known to be one only if an
// owner sealed it. Then it hides what is before it until a Snapshot follows.
func TestNewerVersion(t *testing.T) {
	ring, id := testRing(t), ID{1}
	first := storeAll(t, ring, id, &Record{Kind: Snapshot, Epoch: 1, First: true}, 1000)
	newer := Message{2, newerPart(ring, id, 1, 2, [8]byte{1})}
	if _, err := Fold(assemble(ring, id, append(first, newer))); !errors.Is(err, ErrNewer) || errors.Is(err, ErrForeign) {
		t.Fatalf("a newer record at the end: %v, want ErrNewer", err)
	}
	forged := bytes.Clone(first[0].Data)
	forged[0]++
	if st, err := Fold(assemble(ring, id, append(first, Message{2, forged}))); err != nil || st.Revision != 2 || st.Epoch != 1 {
		t.Fatalf("a newer version that nobody sealed: %+v, %v", st, err)
	}
	parts, err := split(&Record{Kind: Snapshot, Epoch: 3}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	last := Message{3, parts[0].seal(ring, id, 2)}
	if st, err := Fold(assemble(ring, id, append(first, newer, last))); err != nil || st.Epoch != 3 {
		t.Fatalf("a newer record before a Snapshot: %+v, %v", st, err)
	}
}

func FuzzBody(f *testing.F) {
	f.Add(appendBody(nil, fullRecord()))
	f.Add(appendBody(nil, &Record{}))
	f.Add(appendBody(nil, &Record{Context: []byte{}}))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, bodyFixed))
	f.Fuzz(func(t *testing.T, body []byte) {
		rec := &Record{Kind: Delta}
		if err := decodeBody(rec, body); err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("undocumented error %v", err)
			}
			return
		}
		if again := appendBody(nil, rec); !bytes.Equal(again, body) || rec.size() != len(body) {
			t.Fatalf("one record, two encodings:\n%x\n%x", body, again)
		}
	})
}

// FuzzAssemble feeds stored bytes that nobody sealed, and malformed bodies that
// were sealed with the right key.
func FuzzAssemble(f *testing.F) {
	ring, id := testRing(f), ID{1}
	for _, m := range storeAll(f, ring, id, fullRecord(), 60) {
		f.Add(m.Data, uint8(1))
	}
	f.Add(appendBody(nil, fullRecord()), uint8(3))
	f.Add([]byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, count uint8) {
		// The same input must take the same path each time, nonces included:
		// otherwise the fuzzer takes chance for coverage and never ends minimising.
		cryptotest.SetGlobalRandom(t, 1)
		messages := []Message{{1, data}}
		for i := range count % (MaxParts + 1) {
			p := part{header{version: version, kind: Delta, part: i, parts: count % (MaxParts + 1)}, data}
			messages = append(messages, Message{Revision(i + 2), p.seal(ring, id, Revision(i+1))})
		}
		chain := assemble(ring, id, messages)
		if len(chain) != len(messages) {
			t.Fatalf("%d of %d messages", len(chain), len(messages))
		}
		for _, s := range chain {
			if s.Err != nil && !errors.Is(s.Err, ErrCorrupt) && !errors.Is(s.Err, ErrNewer) {
				t.Fatalf("undocumented error %v", s.Err)
			}
		}
		if st, err := Fold(chain); err == nil && st.Revision != Revision(len(messages)) {
			t.Fatalf("revision %d of %d", st.Revision, len(messages))
		}
	})
}
