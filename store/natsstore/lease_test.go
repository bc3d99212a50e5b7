package natsstore

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/internal/formats"
	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/store"
)

const (
	podA = "10.0.0.1:15801"
	podB = "[fe80::2]:15801"
)

// waitLease waits until l says want of owner, and returns how long it took.
// Real servers keep their own time, which no virtual clock drives.
func waitLease(t *testing.T, l *Leases, owner string, want store.LeaseState, within time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	for time.Since(began) < within {
		if l.Lease(owner) == want {
			return time.Since(began)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("lease of %s is %v after %v, want %v", owner, l.Lease(owner), within, want)
	return 0
}

// held reports whether l's own renewals come back to it, so that the others
// take its owner for alive.
func held(l *Leases) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.members.state(time.Now(), l.cfg.Owner) == store.LeaseLive
}

// waitRenewed returns right after a renewal of l.
func waitRenewed(t *testing.T, l *Leases) {
	t.Helper()
	newest := func() uint64 { l.mu.Lock(); defer l.mu.Unlock(); return l.members.heartbeatRevision }
	before, began := newest(), time.Now()
	for newest() == before {
		if time.Since(began) > 30*time.Second {
			t.Fatal("no renewal")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func announce(t *testing.T, s *Store, owner string, ttl time.Duration) *Leases {
	t.Helper()
	l := s.Announce(LeaseConfig{Owner: owner, TTL: ttl})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		l.Close(ctx)
	})
	return l
}

// die ends l as a killed process does: without a release.
func die(l *Leases) {
	l.stop()
	<-l.ended
}

// watchFalse records whenever l takes an owner for gone, until stop is called.
func watchFalse(l *Leases, owners ...string) (stop func() []string) {
	quit, done := make(chan struct{}), make(chan []string)
	go func() {
		var wrong []string
		for {
			for _, owner := range owners {
				if l.Lease(owner) == store.LeaseGone {
					wrong = append(wrong, fmt.Sprint(owner, " at ", time.Now().Format("05.000")))
				}
			}
			select {
			case <-quit:
				done <- wrong
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() []string { close(quit); return <-done }
}

// TestLeases: two sidecars see each other come, drain and go.
func TestLeases(t *testing.T) {
	t.Parallel()
	s := startServer(t, server.RANDOM_PORT, nil)
	cfg := externalConfig(t, s.ClientURL())
	const ttl = 6 * time.Second // renewed every 1.5 s
	a := announce(t, mustOpen(t, cfg), podA, ttl)
	storeB := mustOpen(t, cfg)
	b := announce(t, storeB, podB, ttl)
	for _, l := range []*Leases{a, b} {
		waitLease(t, l, podA, store.LeaseLive, 5*time.Second)
		waitLease(t, l, podB, store.LeaseLive, 5*time.Second)
		waitLease(t, l, "10.9.9.9:1", store.LeaseGone, 10*time.Second)
	}
	if !held(a) || a.Draining(podB) {
		t.Errorf("held %v, draining %v", held(a), a.Draining(podB))
	}
	waitRenewed(t, b)
	b.SetDraining(true)
	for began := time.Now(); !a.Draining(podB); time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Second { // below the next renewal
			t.Fatal("the drain was not announced at once")
		}
	}
	if a.Lease(podB) != store.LeaseLive {
		t.Error("an owner that drains is alive")
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log("release known after", waitLease(t, a, podB, store.LeaseReleased, 500*time.Millisecond))
	if b.Lease(podA) != store.LeaseUnknown || held(b) || a.Draining(podB) {
		t.Error("closed, and still reports leases")
	}
	again := announce(t, storeB, podB, ttl)
	waitLease(t, a, podB, store.LeaseLive, 2*time.Second)
	die(again)
	t.Log("death known after", waitLease(t, a, podB, store.LeaseGone, ttl+2*time.Second))
}

// TestLeaseConflict: two processes at one address have a lease each, and say that
// it is a mistake; one that takes the place of a former one does not.
func TestLeaseConflict(t *testing.T) {
	t.Parallel()
	s := startServer(t, server.RANDOM_PORT, nil)
	var logged safeBuffer
	cfg := externalConfig(t, s.ClientURL())
	cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	st := mustOpen(t, cfg)
	names := []string{instance.New(podA), instance.New(podA), instance.New(podA)}
	former := announce(t, st, names[0], MinLeaseTTL)
	waitRenewed(t, former)
	die(former)
	first := announce(t, st, names[1], MinLeaseTTL)
	waitLease(t, first, names[1], store.LeaseLive, 5*time.Second)
	waitLease(t, first, names[0], store.LeaseGone, MinLeaseTTL+5*time.Second)
	if log := logged.String(); strings.Contains(log, "announces our address") {
		t.Errorf("the former process was taken for a second one: %s", log)
	}
	second := announce(t, st, names[2], MinLeaseTTL)
	waitLease(t, first, names[2], store.LeaseLive, 5*time.Second)
	waitLease(t, second, names[1], store.LeaseLive, 5*time.Second)
	if log := logged.String(); !strings.Contains(log, "announces our address") {
		t.Errorf("nobody said that there are two: %s", log)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Error(err)
	}
	waitLease(t, second, names[1], store.LeaseReleased, time.Second)
	if second.Lease(names[2]) != store.LeaseLive {
		t.Error("the release of the first ended the lease of the second")
	}
}

// TestWrite: what is written is what all that live read, from the moment that an
// older one comes until it has gone.
func TestWrite(t *testing.T) {
	t.Parallel()
	s := startServer(t, server.RANDOM_PORT, nil)
	st := mustOpen(t, externalConfig(t, s.ClientURL()))
	older, newer := formats.Range{Oldest: 1, Newest: 2}, formats.Range{Oldest: 2, Newest: 3}
	join := func(name string, r formats.Range) *Leases {
		l := st.Announce(LeaseConfig{Owner: name, TTL: MinLeaseTTL, Reads: map[string]formats.Range{"x": r}})
		t.Cleanup(func() { _ = l.Close(context.Background()) })
		return l
	}
	wait := func(l *Leases, own formats.Range, want uint8) {
		t.Helper()
		for began := time.Now(); l.Write("x", own) != want; time.Sleep(5 * time.Millisecond) {
			if time.Since(began) > 10*time.Second {
				t.Fatalf("writes %d, want %d", l.Write("x", own), want)
			}
		}
	}
	a := join("a:1", newer)
	wait(a, newer, 3)
	b := join("b:1", older)
	wait(a, newer, 2)
	wait(b, older, 2)
	die(b)
	wait(a, newer, 3)
	c := join("c:1", older)
	wait(a, newer, 2)
	_ = c.Close(t.Context())
	wait(a, newer, 3)
}

// TestLeaseAbsent: NATS comes late, goes, and comes back empty. While it is
// away nobody is gone.
func TestLeaseAbsent(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 1)[0]
	cfg := externalConfig(t, fmt.Sprint("nats://127.0.0.1:", port))
	cfg.Timeout = 500 * time.Millisecond
	a := announce(t, mustOpen(t, cfg), podA, MinLeaseTTL)
	b := announce(t, mustOpen(t, cfg), podB, MinLeaseTTL)
	wrong := watchFalse(a, podA, podB)
	if got := a.Lease(podB); got != store.LeaseUnknown || held(a) {
		t.Errorf("before there is a server: %v", got)
	}
	s := startServer(t, port, nil)
	waitLease(t, a, podB, store.LeaseLive, 10*time.Second)
	s.Shutdown()
	s.WaitForShutdown()
	waitLease(t, a, podB, store.LeaseUnknown, MinLeaseTTL+time.Second)
	waitLease(t, b, podA, store.LeaseUnknown, time.Second)
	if held(a) || held(b) {
		t.Error("held without a server")
	}
	startServer(t, port, nil) // another directory: the bucket is gone
	waitLease(t, a, podB, store.LeaseLive, 15*time.Second)
	waitLease(t, b, podA, store.LeaseLive, 15*time.Second)
	if wrong := wrong(); wrong != nil {
		t.Errorf("falsely gone: %v", wrong)
	}
}

// TestLeaseCloseLeavesNoGoroutine, with NATS and without.
func TestLeaseCloseLeavesNoGoroutine(t *testing.T) {
	s := startServer(t, server.RANDOM_PORT, nil)
	l := announce(t, mustOpen(t, externalConfig(t, s.ClientURL())), podA, MinLeaseTTL)
	waitLease(t, l, podA, store.LeaseLive, 5*time.Second)
	s.Shutdown()
	s.WaitForShutdown()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := l.Close(ctx); err == nil {
		t.Error("a release without a server was no error")
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("close took %v", took)
	}
	var stacks string
	for range 600 { // the client's own time limit for a request is 5 s
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "(*Leases)") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error(stacks)
}

// TestLeaseEmbedded: an embedded journal knows its own sidecar, and still does
// when its server was replaced.
func TestLeaseEmbedded(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, embeddedConfig(t))
	l := announce(t, s, podA, MinLeaseTTL)
	waitLease(t, l, podA, store.LeaseLive, 5*time.Second)
	s.backend.server.server.ShutdownJetStream()
	waitLease(t, l, podA, store.LeaseUnknown, MinLeaseTTL+time.Second)
	waitReady(t, s)
	waitLease(t, l, podA, store.LeaseLive, 10*time.Second)
}

// TestBucketMismatch: a bucket in which nothing would expire is changed to what
// leases need.
func TestBucketMismatch(t *testing.T) {
	s := startServer(t, server.RANDOM_PORT, nil)
	st := mustOpen(t, externalConfig(t, s.ClientURL()))
	if err := st.backend.js.DeleteKeyValue(t.Context(), leaseBucket); err != nil {
		t.Fatal(err)
	}
	if _, err := st.backend.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: leaseBucket, History: 5}); err != nil {
		t.Fatal(err)
	}
	l := announce(t, st, podA, MinLeaseTTL)
	waitLease(t, l, podA, store.LeaseLive, 5*time.Second)
	if err := st.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPermissions: what the package comment asks an operator for is enough,
// for streams and bucket to be made too.
func TestPermissions(t *testing.T) {
	t.Parallel()
	s := startServer(t, server.RANDOM_PORT, func(o *server.Options) {
		o.Users = []*server.User{{Username: "user", Password: "right", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{
				"wsr.log.>", "$KV.WSR_LEASE.*", "$JS.API.INFO",
				"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.UPDATE.*",
				"$JS.API.DIRECT.GET.>",
				"$JS.API.CONSUMER.CREATE.KV_WSR_LEASE.>", "$JS.API.CONSUMER.DELETE.KV_WSR_LEASE.*",
				"$JS.FC.KV_WSR_LEASE.>",
			}},
			Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}}}
	})
	cfg := externalConfig(t, strings.Replace(s.ClientURL(), "nats://", "nats://user:right@", 1))
	var logged safeBuffer
	cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	st := mustOpen(t, cfg)
	a := announce(t, st, podA, MinLeaseTTL)
	b := announce(t, mustOpen(t, cfg), podB, MinLeaseTTL)
	waitLease(t, a, podB, store.LeaseLive, 5*time.Second)
	waitLease(t, b, podA, store.LeaseLive, 5*time.Second)
	rev, err := st.Append(t.Context(), store.ID{1}, 0, &store.Record{Kind: store.Snapshot, Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	if state, err := st.Load(t.Context(), store.ID{1}); err != nil || state.Revision != rev {
		t.Fatal(err)
	}
	waitRenewed(t, a)
	waitRenewed(t, b)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitLease(t, a, podB, store.LeaseReleased, time.Second)
	if log := logged.String(); strings.Contains(log, "iolation") {
		t.Error(log)
	}
}

// TestClusterLeases: the leader of the leases is killed, then all servers at
// once, and all the while no owner is falsely gone.
func TestClusterLeases(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	nodes := startCluster(t)
	cfg := clusterConfig(t, nodes)
	s := mustOpen(t, cfg)
	waitReady(t, s)
	a := announce(t, s, podA, ttl)
	b := announce(t, mustOpen(t, cfg), podB, ttl)
	live := func() {
		t.Helper()
		for _, l := range []*Leases{a, b} {
			waitLease(t, l, podA, store.LeaseLive, 20*time.Second)
			waitLease(t, l, podB, store.LeaseLive, 20*time.Second)
		}
	}
	live()
	for _, dies := range []bool{false, true} {
		c := announce(t, s, "c:1", ttl)
		waitLease(t, a, "c:1", store.LeaseLive, 10*time.Second)
		within, want := ttl-500*time.Millisecond, store.LeaseReleased // before it would be over by itself
		if dies {
			die(c)
			within, want = ttl+2*time.Second, store.LeaseGone
		} else if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Log("end known after", waitLease(t, a, "c:1", want, within))
	}
	wrongA, wrongB := watchFalse(a, podA, podB), watchFalse(b, podA, podB)
	stream, err := s.backend.js.Stream(t.Context(), leaseStream)
	if err != nil || stream.CachedInfo().Config.Replicas != 3 {
		t.Fatalf("not three replicas: %v", err)
	}
	i := slices.IndexFunc(nodes, func(n *node) bool { return n.Name == stream.CachedInfo().Cluster.Leader })
	nodes[i].kill()
	began := time.Now()
	waitRenewed(t, a)
	t.Log("renewed again after", time.Since(began))
	nodes[i].start(t)
	live()
	for _, n := range nodes { // all away at once
		n.kill()
	}
	waitLease(t, a, podB, store.LeaseUnknown, ttl+time.Second)
	for _, n := range nodes {
		n.start(t)
	}
	live()
	if a, b := wrongA(), wrongB(); a != nil || b != nil {
		t.Errorf("falsely gone: %v, %v", a, b)
	}
}

// TestLeasesOfTenant: whoever shares the bucket deletes and overwrites leases, says
// again what they said before, and declares owners gone: those that live stay
// alive for all others, and who is gone comes not back.
func TestLeasesOfTenant(t *testing.T) {
	t.Parallel()
	s := startServer(t, server.RANDOM_PORT, nil)
	cfg := externalConfig(t, s.ClientURL())
	st := mustOpen(t, cfg)
	const ttl = 4 * time.Second
	a, b := announce(t, st, podA, ttl), announce(t, st, podB, ttl)
	waitLease(t, a, podB, store.LeaseLive, 5*time.Second)
	waitLease(t, a, "10.9.9.9:1", store.LeaseGone, 10*time.Second)
	waitLease(t, b, "10.9.9.9:1", store.LeaseGone, 10*time.Second)
	tenant, err := st.backend.js.KeyValue(t.Context(), leaseBucket)
	if err != nil {
		t.Fatal(err)
	}
	key := leaseKey(podB)
	before, err := tenant.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	other := keyring.Generate()
	foreign := sealLease(must(keyring.New([][]byte{other})).Derive("lease"), &announcement{Version: 1, Owner: podB, Released: true, At: 1 << 60})
	ours := bytes.Replace(before.Value(), []byte(`"owner"`), []byte(`"released":true,"owner"`), 1)
	for end := time.Now().Add(2 * ttl); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, attack := range []func() error{
			func() error { return tenant.Delete(t.Context(), key) },
			func() error { return tenant.Purge(t.Context(), key) },
			func() error { _, err := tenant.Put(t.Context(), key, []byte("junk")); return err },
			func() error { _, err := tenant.Put(t.Context(), key, before.Value()); return err },
			func() error { _, err := tenant.Put(t.Context(), key, foreign); return err },
			func() error { _, err := tenant.Put(t.Context(), key, ours); return err },
			func() error { _, err := tenant.Put(t.Context(), leaseKey("10.9.9.9:1"), before.Value()); return err },
		} {
			if err := attack(); err != nil {
				t.Fatal(err)
			}
			if got := a.Lease(podB); got != store.LeaseLive && got != store.LeaseUnknown { // not known: the machine is busy
				t.Fatalf("lease of an owner that lives: %v", got)
			}
		}
		if got := b.Lease("10.9.9.9:1"); got != store.LeaseGone && got != store.LeaseUnknown {
			t.Fatalf("lease of one that never was: %v", got)
		}
	}
	die(b)
	for end := time.Now().Add(2*ttl + time.Second); a.Lease(podB) != store.LeaseGone; time.Sleep(20 * time.Millisecond) {
		if _, err := tenant.Put(t.Context(), key, before.Value()); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatal("a dead owner is kept alive")
		}
	}
}
