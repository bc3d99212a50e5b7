package endtoend

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
)

// A pod is cut off from the journal, from the other pods, or from both, for 40 s,
// and its clients still reach it. Their connections break all the time, and at
// first some of them try the other pod, which tells them to try again where it
// does not reach their own. Nothing is lost, and no session is reset, adopted or
// ended. When the cut is over all is in the
// journal, from where the other pod has the sessions.
func TestCutOffAndStillReached(t *testing.T) {
	for name, cut := range map[string]struct{ journal, peers bool }{
		"journal": {true, false}, "peers": {false, true}, "both": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { staysReached(t, cut.journal, cut.peers) })
		})
	}
}

func staysReached(t *testing.T, journal, peers bool) {
	const (
		clients  = 5
		duration = 40 * time.Second
		pause    = 100 * time.Millisecond
		total    = int(duration/pause) + 40
		lease    = 10 * time.Second
	)
	app := newLedger(total, pause)
	f := newFleet(t, app, true)
	if peers {
		f.at = "255.255.255.255" // no kernel connects to that
	}
	s := &flaky{Store: f.store}
	p := f.add(func(c *proxy.Config) { c.Store, c.LeaseTTL = s, lease })
	f.add(func(c *proxy.Config) { c.LeaseTTL = lease })
	var all []*podClient
	var traffic sync.WaitGroup
	for i := range clients {
		v := f.connect(0, fmt.Sprint("/?s=", i), &client.Options{Adopt: true})
		all = append(all, v)
		traffic.Go(func() {
			if err := v.both(t.Context(), total, pause); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	time.Sleep(time.Second)
	if journal {
		s.away.Store(true)
		p.SetStoreAvailable(false, errAway)
	}
	for began := time.Now(); time.Since(began) < duration; {
		at := time.Since(began)
		if journal && at > lease {
			f.leases.set(p.name, store.LeaseGone) // to the others
		}
		for i, v := range all {
			if peers && at < lease/2 && i%2 == 0 {
				v.move(1)
				time.Sleep(300 * time.Millisecond)
			}
			v.move(0)
			time.Sleep(700 * time.Millisecond)
		}
	}
	if journal {
		s.away.Store(false)
		p.SetStoreAvailable(true, nil)
		f.leases.set(p.name, store.LeaseLive)
	}
	traffic.Wait()
	if n := f.pods[1].watch.count("reset try_again"); peers != (n > 0) {
		t.Errorf("the other pod told clients to try again %d times", n)
	}
	for i, v := range all {
		v.to.Store(-1)
		app.check(t, fmt.Sprint(i), total, 1)
		v.wantOnlyResumed()
	}
	if err := <-p.drains(t); err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		v.to.Store(1)
		v.event(client.EventAdopted, "drained")
		v.sayAcked("end")
	}
}

// wantOnlyResumed wants that the client has come back, and nothing else.
func (v *podClient) wantOnlyResumed() {
	v.t.Helper()
	told := v.eventLog()
	if rest := strings.Trim(strings.ReplaceAll(told, client.EventResumed.String(), ""), ", "); told == "" || rest != "" {
		v.t.Errorf("the client was told %q, want that it has resumed", told)
	}
}

// A pod is cut off from the journal alone, and its lease is over. Clients that come
// to another pod are passed on to it: it lives, and has their sessions.
func TestCutOffFromJournalAndPassedOn(t *testing.T) {
	t.Parallel()
	const (
		total = 150
		pause = 10 * time.Millisecond
	)
	app := newLedger(total, pause)
	f := newFleet(t, app, false)
	s := &flaky{Store: f.store}
	p := f.add(func(c *proxy.Config) { c.Store = s })
	f.add(nil)
	v := f.connect(0, "/?s=a", &client.Options{Adopt: true})
	s.away.Store(true)
	p.SetStoreAvailable(false, errAway)
	f.leases.set(p.name, store.LeaseGone)
	traffic := make(chan error, 1)
	go func() { traffic <- v.both(t.Context(), total, pause) }()
	for i := range 6 {
		time.Sleep(total * pause / 6)
		v.move((i + 1) % 2)
	}
	if err := <-traffic; err != nil {
		t.Error(err)
	}
	app.check(t, "a", total, 1)
	v.wantOnlyResumed()
	if f.pods[1].watch.count("forwarded served") == 0 {
		t.Errorf("the other pod passed nobody on: %v", f.pods[1].watch.counts)
	}
	s.away.Store(false)
	p.SetStoreAvailable(true, nil)
}
