package keyring

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
)

// testKey is a key of one repeated byte, so that seeds and failures repeat.
func testKey(b byte) []byte { return bytes.Repeat([]byte{b}, KeySize) }

func testRing(t testing.TB, keys ...byte) *Ring {
	t.Helper()
	var list [][]byte
	for _, b := range keys {
		list = append(list, testKey(b))
	}
	r, err := New(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNewRefuses(t *testing.T) {
	secret := testKey('s')
	for name, tc := range map[string]struct {
		keys [][]byte
		want string
	}{
		"none":      {nil, "no keys"},
		"short":     {[][]byte{secret, secret[:31]}, "key 2: 31 bytes"},
		"long":      {[][]byte{append(testKey('s'), 's')}, "key 1: 33 bytes"},
		"zero":      {[][]byte{make([]byte, KeySize)}, "key 1: all zero"},
		"duplicate": {[][]byte{testKey(1), secret, secret}, "key 3: the same as key 2"},
	} {
		_, err := New(tc.keys)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "sss") {
			t.Errorf("%s: the error prints key material", name)
		}
	}
}

func TestRotation(t *testing.T) {
	old, both, next := testRing(t, 1), testRing(t, 2, 1), testRing(t, 2)
	sealed := old.Seal([]byte("kept"), []byte("text"), []byte("aad"))
	if !bytes.HasPrefix(sealed, []byte("kept")) || len(sealed) != 4+4+Overhead {
		t.Fatalf("Seal did not append: %d bytes", len(sealed))
	}
	sealed = sealed[4:]
	out, err := both.Open([]byte("kept"), sealed, []byte("aad"))
	if err != nil || string(out) != "kepttext" {
		t.Fatalf("a listed key does not open: %q, %v", out, err)
	}
	if _, err := next.Open(nil, sealed, []byte("aad")); !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("a retired key: %v, want ErrUnknownKey", err)
	}
	if _, err := next.Open(nil, both.Seal(nil, []byte("x"), nil), nil); err != nil {
		t.Fatalf("the first key does not seal: %v", err)
	}
}

func TestDeriveSeparates(t *testing.T) {
	r := testRing(t, 1, 2)
	a, b := r.Derive("token"), r.Derive("journal")
	sealed := a.Seal(nil, []byte("x"), nil)
	for name, other := range map[string]*Ring{"base": r, "journal": b} {
		if _, err := other.Open(nil, sealed, nil); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%s opens what token sealed: %v", name, err)
		}
	}
	// The order of a derived ring is the order of its origin, and deriving
	// again gives the same keys.
	if _, err := testRing(t, 1).Derive("token").Open(nil, sealed, nil); err != nil {
		t.Errorf("derived again from the first key: %v", err)
	}
}

func TestOpenRefusesEveryChange(t *testing.T) {
	r := testRing(t, 1)
	sealed := r.Seal(nil, []byte("payload"), []byte("aad"))
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		want := ErrSealed
		if i < idSize {
			want = ErrUnknownKey
		}
		out, err := r.Open([]byte("dst"), bad, []byte("aad"))
		if !errors.Is(err, want) || string(out) != "dst" {
			t.Fatalf("byte %d flipped: %q, %v", i, out, err)
		}
	}
	for n := range sealed {
		if _, err := r.Open(nil, sealed[:n], []byte("aad")); !errors.Is(err, ErrSealed) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := r.Open(nil, sealed, []byte("aae")); !errors.Is(err, ErrSealed) {
		t.Fatalf("other additional data: %v", err)
	}
}

func TestGenerate(t *testing.T) {
	a, b := Generate(), Generate()
	if len(a) != KeySize || bytes.Equal(a, b) {
		t.Fatal("not a fresh key")
	}
	if _, err := New([][]byte{a, b}); err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentUse(t *testing.T) {
	r := testRing(t, 1, 2)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				out, err := r.Open(nil, r.Seal(nil, []byte("x"), nil), nil)
				if err != nil || string(out) != "x" {
					t.Errorf("%q, %v", out, err)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzOpen(f *testing.F) {
	r := testRing(f, 1, 2)
	f.Add(r.Seal(nil, []byte("hello"), []byte("aad")), []byte("aad"))
	f.Add(r.Seal(nil, nil, nil), []byte{})
	f.Add([]byte{}, []byte{})
	f.Add(make([]byte, Overhead), []byte("aad"))
	f.Fuzz(func(t *testing.T, sealed, aad []byte) {
		out, err := r.Open(nil, sealed, aad)
		switch {
		case err == nil && len(out) != len(sealed)-Overhead:
			t.Fatalf("opened %d bytes from %d", len(out), len(sealed))
		case err != nil && !errors.Is(err, ErrSealed) && !errors.Is(err, ErrUnknownKey):
			t.Fatalf("undocumented error %v", err)
		case err != nil && out != nil:
			t.Fatal("plaintext beside an error")
		}
		again, err := r.Open(nil, r.Seal(nil, sealed, aad), aad)
		if err != nil || !bytes.Equal(again, sealed) {
			t.Fatalf("does not open what it sealed: %v", err)
		}
	})
}
