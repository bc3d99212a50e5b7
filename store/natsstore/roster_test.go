package natsstore

import (
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/store"
)

// A stage plays the news of a watch to a roster, on its own clock.
type stage struct {
	t        *testing.T
	r        *roster
	now      time.Time
	revision uint64
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, r: newRoster(20*time.Second, "me"), now: time.Unix(1000, 0)}
	s.want("b", store.LeaseUnknown)
	s.r.restart()
	s.say("b")
	s.r.complete()
	return s
}

// say lets owner renew; "me" is our own beat.
func (s *stage) say(owner string) {
	s.revision++
	s.r.heard(s.now, owner, entry{revision: s.revision, notice: notice{Owner: owner, Instance: owner}})
}

// pass lets time pass in which all of owners renew as they should.
func (s *stage) pass(d time.Duration, owners ...string) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.now = s.now.Add(5 * time.Second)
		for _, owner := range owners {
			s.say(owner)
		}
	}
}

func (s *stage) want(owner string, want store.LeaseState) {
	s.t.Helper()
	if got := s.r.state(s.now, owner); got != want {
		s.t.Errorf("%v: %s is %v, want %v", s.now.Sub(time.Unix(1000, 0)), owner, got, want)
	}
}

func TestRosterBegin(t *testing.T) {
	s := newStage(t)
	s.want("b", store.LeaseUnknown) // no beat of our own yet: who knows how old that is
	s.say("me")
	s.want("b", store.LeaseLive)
	s.want("nobody", store.LeaseUnknown) // an outage may have just ended
	s.pass(10*time.Second, "me", "b")
	s.want("nobody", store.LeaseGone)
	s.r.heard(s.now, "c", entry{revision: 99, left: true})
	s.want("c", store.LeaseGone)
}

func TestRosterExpires(t *testing.T) {
	s := newStage(t)
	s.pass(20*time.Second, "me", "b")
	s.pass(20*time.Second, "me")
	s.want("b", store.LeaseLive)
	s.pass(5*time.Second, "me")
	s.want("b", store.LeaseGone) // no mark of the server came
	s.say("b")
	s.want("b", store.LeaseLive)
	s.r.expired("b")
	s.want("b", store.LeaseGone)
}

// TestRosterOutage: what nobody could say does not count against anybody, and
// the marks that a server leaves when it comes back are not believed.
func TestRosterOutage(t *testing.T) {
	s := newStage(t)
	s.pass(20*time.Second, "me", "b")
	s.pass(20 * time.Second)
	s.want("b", store.LeaseLive)
	s.pass(time.Hour)
	s.want("b", store.LeaseUnknown)
	s.say("me")
	s.want("b", store.LeaseLive)
	s.r.expired("b")
	s.want("b", store.LeaseUnknown)
	s.pass(10*time.Second, "me")
	s.want("b", store.LeaseUnknown) // it may still be dialling
	s.say("b")
	s.want("b", store.LeaseLive)
	s.r.expired("b")
	s.pass(5*time.Second, "me")
	s.want("b", store.LeaseGone)
}

// TestRosterRewatch: a watch that begins again makes nobody younger, and drops
// who is not told of any more.
func TestRosterRewatch(t *testing.T) {
	s := newStage(t)
	s.pass(20*time.Second, "me", "b", "c")
	seen := s.r.entries["b"]
	s.pass(15*time.Second, "me")
	s.r.restart()
	s.r.heard(s.now, "b", seen)
	s.want("c", store.LeaseLive) // until all is told
	s.r.complete()
	s.want("c", store.LeaseGone)
	s.want("b", store.LeaseLive)
	s.pass(10*time.Second, "me")
	s.want("b", store.LeaseGone)
}

// TestRosterForgets: addresses that left long ago do not pile up.
func TestRosterForgets(t *testing.T) {
	s := newStage(t)
	s.r.heard(s.now, "c", entry{revision: 99, left: true})
	s.pass(goodbyeTTL+time.Minute, "me")
	if len(s.r.entries) != 1 {
		t.Errorf("%d entries", len(s.r.entries))
	}
	s.want("c", store.LeaseGone)
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

func FuzzNotice(f *testing.F) {
	f.Add([]byte(`{"owner":"a","instance":"x","since":"2026-01-02T03:04:05Z","draining":true}`))
	f.Add([]byte(`{"owner":"b","instance":"x"}`))
	f.Add([]byte(`{"owner":"a"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, value []byte) {
		n, err := parseNotice("a", value)
		if err == nil && (n.Owner != "a" || n.Instance == "" || len(value) > leaseValue) {
			t.Errorf("taken: %+v", n)
		}
	})
}
