package certs

import (
	"bytes"
	"crypto/x509"
	"slices"
	"testing"
	"time"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	names = []string{"injector.wsresilience.svc"}
)

const day = 24 * time.Hour

// planned is data after plan; it fails the test on an error.
func planned(t *testing.T, data map[string][]byte, now time.Time) map[string][]byte {
	t.Helper()
	next, _, err := plan(data, names, now)
	if err != nil {
		t.Fatal(err)
	}
	if next == nil {
		return data
	}
	return next
}

// verify checks the certificate against a bundle that an API server has.
func verify(t *testing.T, data map[string][]byte, bundle []byte, now time.Time) {
	t.Helper()
	pair, err := parsePair(data[keyCert], data[keyKey])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		t.Fatal("no bundle")
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: names[0], CurrentTime: now}); err != nil {
		t.Fatalf("%v: %v", now, err)
	}
}

func TestPlanMakesAndKeeps(t *testing.T) {
	data := planned(t, nil, start)
	verify(t, data, data[keyAuthority], start)
	if next, why, err := plan(data, names, start.Add(day)); next != nil || err != nil {
		t.Errorf("changed a day later: %s, %v", why, err)
	}
}

// TestPlanThreeYears: at each look the certificate is valid for whoever has the
// bundle of this look or of the one before, and so is the one served before.
func TestPlanThreeYears(t *testing.T) {
	data := planned(t, nil, start)
	certificates, authorities, longest := 1, 1, 1
	for now := start; now.Before(start.Add(3 * 365 * day)); now = now.Add(6 * time.Hour) {
		next := planned(t, data, now)
		if !bytes.Equal(next[keyCert], data[keyCert]) {
			certificates++
		}
		if !bytes.Equal(next[keyAuthorityKey], data[keyAuthorityKey]) {
			authorities++
		}
		before := data
		data = next
		bundle, err := parseCerts(data[keyAuthority])
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, len(bundle))
		verify(t, data, data[keyAuthority], now)
		verify(t, data, before[keyAuthority], now)
		verify(t, before, data[keyAuthority], now)
	}
	// 243 days an authority, 60 a certificate, and one more with each authority.
	if authorities != 5 || certificates < 18 || certificates > 24 || longest != 2 {
		t.Errorf("%d authorities, %d certificates, bundles of up to %d", authorities, certificates, longest)
	}
}

func TestPlanReplacesWhatCannotBeUsed(t *testing.T) {
	good, other := planned(t, nil, start), planned(t, nil, start)
	tests := []struct {
		name string
		data map[string][]byte
		now  time.Time
		keep bool // the authority
	}{
		{name: "empty", data: map[string][]byte{}},
		{name: "no authority", data: changed(good, keyAuthority, nil)},
		{name: "another's authority key", data: changed(good, keyAuthorityKey, other[keyAuthorityKey])},
		{name: "another's key", data: changed(good, keyKey, other[keyKey])},
		{name: "no PEM", data: changed(good, keyCert, []byte("x"))},
		{name: "a leaf as authority", data: changed(changed(good, keyAuthority, good[keyCert]), keyAuthorityKey, good[keyKey])},
		{name: "all ended", data: good, now: start.Add(400 * day)},
		{name: "another's certificate", data: changed(changed(good, keyCert, other[keyCert]), keyKey, other[keyKey]), keep: true},
		{name: "certificate ended", data: good, now: start.Add(100 * day), keep: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.now.IsZero() {
				test.now = start
			}
			next, _, err := plan(test.data, names, test.now)
			if err != nil || next == nil {
				t.Fatalf("%v, %v", next, err)
			}
			verify(t, next, next[keyAuthority], test.now)
			if kept := bytes.Equal(next[keyAuthority], good[keyAuthority]); kept != test.keep {
				t.Errorf("authority kept: %v", kept)
			}
		})
	}
}

func TestPlanFollowsTheNames(t *testing.T) {
	data := planned(t, nil, start)
	next, _, err := plan(data, []string{"b.svc", "a.svc"}, start)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parse(next)
	if err != nil || !slices.Equal(s.pair.Leaf.DNSNames, []string{"b.svc", "a.svc"}) || !bytes.Equal(next[keyAuthority], data[keyAuthority]) {
		t.Errorf("%v", err)
	}
	if again, why, _ := plan(next, []string{"b.svc", "a.svc"}, start); again != nil {
		t.Errorf("changed again: %s", why)
	}
}

// FuzzPlan: whatever is in the Secret, what is planned can be
// served, and is then left alone.
func FuzzPlan(f *testing.F) {
	data, err := newSecret(names, start)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[keyCert], data[keyKey], data[keyAuthority], data[keyAuthorityKey], int64(0))
	f.Add(data[keyCert], data[keyKey], data[keyAuthority], data[keyAuthorityKey], int64(300*day/time.Second))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte{}, data[keyCert], data[keyKey], int64(1))
	f.Fuzz(func(t *testing.T, cert, key, ca, caKey []byte, seconds int64) {
		now := start.Add(time.Duration(seconds%(1<<31)) * time.Second)
		data := map[string][]byte{keyCert: cert, keyKey: key, keyAuthority: ca, keyAuthorityKey: caKey}
		for range 4 {
			next, _, err := plan(data, names, now)
			if err != nil {
				t.Fatal(err)
			}
			if next == nil {
				verify(t, data, data[keyAuthority], now)
				return
			}
			data = next
		}
		t.Error("it never settles")
	})
}
