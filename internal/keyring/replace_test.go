package keyring

import (
	"reflect"
	"sync"
	"testing"
)

// Rings that are derived from one whose keys are replaced have the new ones too,
// those that are derived from them as well, and a key goes on counting.
func TestReplace(t *testing.T) {
	r := testRing(t, 1)
	derived := r.Derive("a").Derive("b")
	old := derived.Seal(nil, []byte("text"), nil)
	for _, step := range []struct {
		keys  []byte
		opens bool
		want  []uint64 // sealed and opened of each key
	}{
		{[]byte{1, 2}, true, []uint64{2, 2, 0, 0}},
		{[]byte{2, 1}, true, []uint64{1, 1, 2, 3}},
		{[]byte{2}, false, []uint64{2, 2}},
	} {
		var list [][]byte
		for _, b := range step.keys {
			list = append(list, testKey(b))
		}
		if err := r.Replace(list); err != nil {
			t.Fatal(err)
		}
		if _, err := derived.Open(nil, old, nil); (err == nil) != step.opens {
			t.Errorf("keys %v: %v", step.keys, err)
		}
		text := derived.Seal(nil, []byte("x"), nil)
		if _, err := derived.Open(nil, text, nil); err != nil {
			t.Errorf("keys %v: %v", step.keys, err)
		}
		if out, err := testRing(t, step.keys[0]).Derive("a").Derive("b").Open(nil, text, nil); err != nil || string(out) != "x" {
			t.Errorf("keys %v: the first does not seal: %v", step.keys, err)
		}
		var got []uint64
		for i, u := range r.Usage() {
			got = append(got, u.Sealed, u.Opened)
			if fresh := testRing(t, step.keys...).Usage()[i].ID; u.ID != fresh || len(u.ID) != 2*idSize {
				t.Errorf("key %d is %q here and %q elsewhere", i, u.ID, fresh)
			}
		}
		if !reflect.DeepEqual(got, step.want) {
			t.Errorf("keys %v have done %v, want %v", step.keys, got, step.want)
		}
	}
	if err := r.Replace(nil); err == nil || len(r.Usage()) != 1 {
		t.Error("no keys were taken")
	}
}

// Keys are replaced while they are used.
func TestReplaceConcurrently(t *testing.T) {
	r := testRing(t, 1, 2)
	derived := r.Derive("a")
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 200 {
				if _, err := derived.Open(nil, derived.Seal(nil, []byte("x"), nil), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 50 {
		if err := r.Replace([][]byte{testKey(byte(1 + i%2)), testKey(byte(2 - i%2))}); err != nil {
			t.Error(err)
		}
	}
	work.Wait()
}
