package natsstore

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/formats"
	"github.com/wsresilience/wsresilience/store"
)

// A scenario plays the updates of a watch to a membership, on its own clock.
type scenario struct {
	t        *testing.T
	m        *membership
	now      time.Time
	revision uint64
}

func newScenario(t *testing.T) *scenario {
	s := &scenario{t: t, m: newMembership(20*time.Second, "me"), now: time.Unix(1000, 0)}
	s.want("b", store.LeaseUnknown)
	s.m.beginSync()
	s.renew("b")
	s.m.endSync()
	return s
}

// renew lets owner renew; "me" is our own heartbeat.
func (s *scenario) renew(owner string) {
	s.revision++
	s.m.update(s.now, owner, entry{revision: s.revision, announcement: announcement{Version: leaseVersion, Owner: owner}})
}

// pass lets time pass in which all of owners renew as they should.
func (s *scenario) pass(d time.Duration, owners ...string) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.now = s.now.Add(5 * time.Second)
		for _, owner := range owners {
			s.renew(owner)
		}
	}
}

func (s *scenario) want(owner string, want store.LeaseState) {
	s.t.Helper()
	if got := s.m.state(s.now, owner); got != want {
		s.t.Errorf("%v: %s is %v, want %v", s.now.Sub(time.Unix(1000, 0)), owner, got, want)
	}
}

func TestMembershipBegin(t *testing.T) {
	s := newScenario(t)
	s.want("b", store.LeaseUnknown) // no heartbeat yet: it may be old
	s.renew("me")
	s.want("b", store.LeaseLive)
	s.want("nobody", store.LeaseUnknown) // an outage may have just ended
	s.pass(10*time.Second, "me", "b")
	s.want("nobody", store.LeaseGone)
	s.m.update(s.now, "c", entry{revision: 99, released: true})
	s.want("c", store.LeaseReleased)
}

func TestMembershipExpires(t *testing.T) {
	s := newScenario(t)
	s.pass(20*time.Second, "me", "b")
	s.pass(20*time.Second, "me")
	s.want("b", store.LeaseLive)
	s.pass(5*time.Second, "me")
	s.want("b", store.LeaseGone) // no delete marker of the server came
	s.renew("b")
	s.want("b", store.LeaseLive)
}

// TestMembershipExpired: that a key is gone ends a lease that was about to run out,
// and no other: anybody may have deleted it.
func TestMembershipExpired(t *testing.T) {
	s := newScenario(t)
	s.pass(20*time.Second, "me", "b")
	s.m.expire(s.now, "b")
	s.want("b", store.LeaseLive)
	s.pass(10*time.Second, "me")
	s.m.expire(s.now, "b")
	s.want("b", store.LeaseLive)
	s.pass(10*time.Second, "me")
	s.want("b", store.LeaseLive)
	s.m.expire(s.now, "b")
	s.want("b", store.LeaseGone)
}

// TestMembershipReplayed: an announcement that was made before renews nothing, nor
// does it take a release back.
func TestMembershipReplayed(t *testing.T) {
	s := newScenario(t)
	say := func(at int64, released bool) {
		s.revision++
		s.m.update(s.now, "b", entry{revision: s.revision, announcement: announcement{Owner: "b", At: at}, released: released})
	}
	say(1, false)
	s.pass(20*time.Second, "me")
	s.want("b", store.LeaseLive)
	say(1, false)
	s.pass(10*time.Second, "me")
	s.want("b", store.LeaseGone)
	say(2, false)
	s.want("b", store.LeaseLive)
	say(3, true)
	say(2, false)
	s.want("b", store.LeaseReleased)
}

// TestMembershipOutage: a time in which no owner could renew counts against
// none.
func TestMembershipOutage(t *testing.T) {
	s := newScenario(t)
	s.pass(20*time.Second, "me", "b")
	s.pass(20 * time.Second)
	s.want("b", store.LeaseLive)
	s.pass(time.Hour)
	s.want("b", store.LeaseUnknown)
	s.renew("me")
	s.want("b", store.LeaseLive)
	s.pass(10*time.Second, "me")
	s.want("b", store.LeaseLive) // it may still be dialling
	s.renew("b")
	s.want("b", store.LeaseLive)
	s.pass(25*time.Second, "me")
	s.want("b", store.LeaseGone)
}

// TestMembershipRewatch: a watch that begins again renews no lease, and that it
// does not send a key any more, which somebody may have deleted, proves nothing.
func TestMembershipRewatch(t *testing.T) {
	s := newScenario(t)
	s.pass(20*time.Second, "me", "b", "c")
	seen := s.m.entries["b"]
	s.pass(15*time.Second, "me")
	s.m.beginSync()
	s.m.update(s.now, "b", seen)
	s.want("c", store.LeaseLive) // until all keys were sent
	s.m.endSync()
	s.want("c", store.LeaseLive)
	s.want("b", store.LeaseLive)
	s.pass(10*time.Second, "me")
	s.want("b", store.LeaseGone)
	s.want("c", store.LeaseGone)
}

// TestMembershipForgets: addresses released long ago do not pile up.
func TestMembershipForgets(t *testing.T) {
	s := newScenario(t)
	s.m.update(s.now, "c", entry{revision: 99, released: true})
	s.pass(releaseTTL+time.Minute, "me")
	if len(s.m.entries) != 1 {
		t.Errorf("%d entries", len(s.m.entries))
	}
	s.want("c", store.LeaseGone) // by its absence
}

// TestMembershipReads: what all read is known from the first heartbeat on. It
// sinks with the first that reads less, also one that says nothing that is
// understood, and rises when that one is gone, not while nothing is heard.
func TestMembershipReads(t *testing.T) {
	s := newScenario(t)
	reads := func(owner string, newest uint8) {
		s.revision++
		a := announcement{Owner: owner, Reads: map[string]formats.Range{"x": {Oldest: 1, Newest: newest}}}
		s.m.update(s.now, owner, entry{revision: s.revision, announcement: a})
	}
	want := func(want uint8) {
		t.Helper()
		if got := s.m.newest("x"); got != want {
			t.Errorf("%v: all read %d, want %d", s.now.Sub(time.Unix(1000, 0)), got, want)
		}
	}
	want(0)
	reads("b", 3)
	want(0)
	reads("me", 3)
	want(3)
	reads("c", 2)
	want(2)
	s.m.update(s.now, "c", entry{revision: 99, released: true})
	reads("me", 3)
	want(3)
	s.renew("d") // of a former version, or unreadable
	want(0)
	s.m.update(s.now, "d", entry{revision: 99, released: true})
	reads("me", 3)
	want(3)
	reads("c", 2)
	s.now = s.now.Add(time.Hour)
	want(2)
	for range 6 {
		s.now = s.now.Add(5 * time.Second)
		reads("me", 3)
		reads("b", 3)
	}
	want(3)
	s.m.beginSync()
	reads("me", 3)
	reads("e", 2)
	want(3)
	s.m.endSync()
	want(2)
}

// TestMembershipNoneNewer: that nobody reads more than we do is known when time has
// passed in which we would have seen him, and not while nothing is heard.
func TestMembershipNoneNewer(t *testing.T) {
	s := newScenario(t)
	a := func(owner string, newest uint8) announcement {
		return announcement{Owner: owner, Reads: map[string]formats.Range{"x": {Oldest: 1, Newest: newest}}}
	}
	renew := func(owner string, newest uint8) {
		s.revision++
		s.m.update(s.now, owner, entry{revision: s.revision, announcement: a(owner, newest)})
	}
	release := func(owner string) {
		s.revision++
		s.m.update(s.now, owner, entry{revision: s.revision, released: true})
	}
	pass := func(d time.Duration, owners ...string) {
		for end := s.now.Add(d); s.now.Before(end); {
			s.now = s.now.Add(5 * time.Second)
			for _, owner := range owners {
				renew(owner, 3)
			}
			renew("me", 2)
		}
	}
	want := func(least, most time.Duration) {
		t.Helper()
		if got := s.m.noneNewer(s.now, "x"); got < least || got > most {
			t.Errorf("%v: none for %v, want %v to %v", s.now.Sub(time.Unix(1000, 0)), got, least, most)
		}
	}
	want(0, 0)
	renew("me", 2)
	want(0, 0)
	pass(20*time.Second, "c") // which reads more
	want(0, 0)
	release("c")
	pass(10 * time.Second)
	want(10*time.Second, 15*time.Second)
	renew("c", 3)
	want(0, 0)
	pass(30 * time.Second) // it is gone without a word
	want(0, 10*time.Second)
	pass(30 * time.Second)
	want(30*time.Second, 40*time.Second)
	s.revision++
	s.m.update(s.now, "d", entry{revision: s.revision, unread: true}) // whoever that is
	want(0, 0)
	release("d")
	pass(20 * time.Second)
	want(20*time.Second, 25*time.Second)
	s.now = s.now.Add(time.Hour)
	want(0, 0) // nothing is heard
	s.m.beginSync()
	renew("me", 2)
	renew("c", 3)
	want(0, 0)
	s.m.endSync()
	want(0, 0)
	pass(time.Hour, "c")
	want(0, 0)
	if got := s.m.noneNewer(s.now, "y"); got != 0 {
		t.Errorf("of a format that we do not read: %v", got)
	}
}

func FuzzLeaseKey(f *testing.F) {
	f.Add("10.0.0.1:15801")
	f.Add("[fe80::1%eth0]:15801")
	f.Add("a.b/c>*d \x00")
	f.Add("AA==")
	f.Fuzz(func(t *testing.T, text string) {
		if owner, err := leaseOwner(text); err == nil && leaseKey(owner) != text {
			t.Errorf("key %q is one of two for %q", text, owner)
		}
		if text == "" || len(text) > store.MaxOwner {
			return
		}
		key := leaseKey(text)
		if strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("key %q is not legal", key)
		}
		if back, err := leaseOwner(key); err != nil || back != text {
			t.Errorf("%q came back as %q, %v", text, back, err)
		}
	})
}

// Leases of all releases are read (docs/COMPATIBILITY.md): cases are added to the
// file, and none is changed.
func TestLeasesOfReleases(t *testing.T) {
	b, err := os.ReadFile("../../testdata/formats/leases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Value, Owner string
		Draining           bool
		Token              uint8
	}
	if err := json.Unmarshal(b, &cases); err != nil || len(cases) == 0 {
		t.Fatal(len(cases), err)
	}
	for _, c := range cases {
		a, err := parseAnnouncement(c.Owner, []byte(c.Value))
		if err != nil || a.Draining != c.Draining || a.Since.IsZero() || a.Reads["token"].Newest != c.Token {
			t.Errorf("%s: %+v, %v", c.Name, a, err)
		}
	}
}

func FuzzAnnouncement(f *testing.F) {
	f.Add([]byte(`{"version":1,"owner":"a","reads":{"token":{"oldest":1,"newest":2}},"since":"2026-01-02T03:04:05Z","draining":true}`))
	f.Add([]byte(`{"version":1,"owner":"b"}`))
	f.Add([]byte(`{"version":2,"owner":"a","later":[]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, value []byte) {
		n, err := parseAnnouncement("a", value)
		if err == nil && (n.Owner != "a" || n.Version == 0 || len(value) > maxLeaseValue) {
			t.Errorf("taken: %+v", n)
		}
	})
}

// TestMembershipAddresses: where the others that live are is known, but of those that
// are reached by name, have given up their lease, or have not renewed it.
func TestMembershipAddresses(t *testing.T) {
	s := newScenario(t)
	self, v4, v6, named := "aaaaaaaaaaa@10.0.0.1:15801", "bbbbbbbbbbb@10.0.0.2:15801", "ccccccccccc@[fd00::3]:15803", "ddddddddddd@pod-4.app:15801"
	s.m.self = self
	at := func(address string) bool { return s.m.addresses[netip.MustParseAddr(address)] }
	for _, owner := range []string{self, v4, v6, named} {
		s.renew(owner)
	}
	if at("10.0.0.1") || !at("10.0.0.2") || !at("fd00::3") || len(s.m.addresses) != 2 {
		t.Errorf("at once: %v", s.m.addresses)
	}
	s.pass(10*time.Second, self, v4, v6)
	s.revision++
	s.m.update(s.now, v6, entry{revision: s.revision, released: true})
	s.pass(5*time.Second, self, v4)
	if !at("10.0.0.2") || at("fd00::3") {
		t.Errorf("after one has gone: %v", s.m.addresses)
	}
	s.pass(60*time.Second, self)
	if len(s.m.addresses) != 0 {
		t.Errorf("after nobody has renewed: %v", s.m.addresses)
	}
}
