package endtoend

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/natsstore"
	"github.com/wsresilience/wsresilience/wire"
)

// processes are sidecars in processes of their own, behind a balancer, with a NATS
// server and an app that answers each message with itself.
type processes struct {
	t        *testing.T
	app      *httptest.Server
	nats     *server.Server
	settings []string
	balancer *lab.Balancer
	starter  proc.Starter

	mu    sync.Mutex
	ready []*lab.Sidecar // that the balancer picks from
	next  int
}

func newProcesses(t *testing.T, settings ...string) *processes {
	t.Helper()
	f := &processes{t: t, app: httptest.NewServer(http.HandlerFunc(gorillaEcho))}
	t.Cleanup(f.app.Close)
	var err error
	f.nats, err = server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	f.nats.Start()
	t.Cleanup(func() { f.nats.Shutdown(); f.nats.WaitForShutdown() })
	if !f.nats.ReadyForConnections(processLimit) {
		t.Fatal("NATS does not start")
	}
	f.settings = append([]string{
		"WSR_NATS_URL=" + f.nats.ClientURL(), "WSR_NATS_REPLICAS=1", "WSR_LEASE_TTL=2s", "WSR_DRAIN_SECONDS=3", "WSR_SESSION_TTL=1m",
		"WSR_LOG_LEVEL=debug", "WSR_DRIVER=" + proxytest.Driver(t),
	}, settings...)
	if f.balancer, err = lab.NewBalancer(f.pick, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.balancer.Close)
	return f
}

// pick names all that are ready, another one first each time.
func (f *processes) pick() (addrs []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	for i := range f.ready {
		addrs = append(addrs, f.ready[(f.next+i)%len(f.ready)].Addr)
	}
	return addrs
}

// start starts a sidecar of a release; the balancer does not know of it yet.
func (f *processes) start(release *proc.Binary, change func(*lab.Sidecar)) *lab.Sidecar {
	f.t.Helper()
	s, err := lab.NewSidecar("")
	if err != nil {
		f.t.Fatal(err)
	}
	if s.Program, err = release.Path(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	s.Upstream, s.Settings = f.app.URL, f.settings
	if change != nil {
		change(s)
	}
	if err := s.Start(f.t.Context(), &f.starter); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		s.Kill()
		if f.t.Failed() {
			f.t.Logf("log of %s ends:\n%s", s.Addr, s.Log())
		}
	})
	return s
}

// add starts a sidecar, and clients come to it.
func (f *processes) add(release *proc.Binary, change func(*lab.Sidecar)) *lab.Sidecar {
	f.t.Helper()
	s := f.start(release, change)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = append(f.ready, s)
	return s
}

// leave takes a sidecar out of the balancer.
func (f *processes) leave(s *lab.Sidecar) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.ready {
		if f.ready[i] == s {
			f.ready = append(f.ready[:i:i], f.ready[i+1:]...)
			return
		}
	}
}

// replace is one step of a rolling update.
func (f *processes) replace(old *lab.Sidecar, release *proc.Binary) *lab.Sidecar {
	f.t.Helper()
	s := f.add(release, nil)
	f.leave(old)
	if err := old.Terminate(proc.Grace); err != nil {
		f.t.Fatal(err)
	}
	return s
}

// crowd is clients that say a numbered message every few milliseconds and want
// each back, once and in order.
type crowd struct {
	t        *testing.T
	stop     atomic.Bool
	work     sync.WaitGroup
	messages atomic.Int64
	adopted  atomic.Int64
	resumed  atomic.Int64
}

func (f *processes) crowd(n int) *crowd {
	f.t.Helper()
	c := &crowd{t: f.t}
	for i := range n {
		conn, _, err := client.Dial(f.t.Context(), "ws://"+f.balancer.Addr(i)+"/", &client.Options{Adopt: true, Backoff: client.Backoff{Max: 300 * time.Millisecond}}) //nolint:bodyclose // need not be closed
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { conn.CloseNow() })
		c.work.Go(func() { c.talk(i, conn) })
		go c.watch(i, conn)
	}
	return c
}

func (c *crowd) talk(i int, conn *client.Conn) {
	for n := 0; !c.stop.Load(); n++ {
		text := fmt.Sprint(i, ":", n)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		err := conn.Write(ctx, client.MessageText, []byte(text))
		var got []byte
		if err == nil {
			_, got, err = conn.Read(ctx)
		}
		cancel()
		if err != nil || string(got) != text {
			c.t.Errorf("client %d: said %q, read %q, %v", i, text, got, err)
			return
		}
		c.messages.Add(1)
		time.Sleep(10 * time.Millisecond)
	}
}

func (c *crowd) watch(i int, conn *client.Conn) {
	for e := range conn.Events() {
		switch e.Kind {
		case client.EventReset:
			c.t.Errorf("client %d: reset: %s", i, e.Reason)
		case client.EventAdopted:
			c.adopted.Add(1)
		case client.EventResumed:
			c.resumed.Add(1)
		}
	}
}

// end stops the clients, and they have what they asked for.
func (c *crowd) end() {
	c.stop.Store(true)
	c.work.Wait()
	c.t.Logf("%d messages, %d times adopted, %d resumed", c.messages.Load(), c.adopted.Load(), c.resumed.Load())
}

// cutting cuts a part of all connections now and then until it is stopped.
func (f *processes) cutting() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for proc.Sleep(ctx, 400*time.Millisecond) == nil {
			f.balancer.Cut(faultlink.RST, 0.15, "")
		}
	}()
	return sync.OnceFunc(func() { cancel(); <-done })
}

// newKey is a key as WSR_TOKEN_KEYS has it, and the ring of tokens under it.
func newKey(t *testing.T) (text string, tokens *keyring.Ring) {
	t.Helper()
	key := keyring.Generate()
	return base64.StdEncoding.EncodeToString(key), newRing(t, key).Derive("wsr token")
}

// token is what a new session at a sidecar gets.
func token(t *testing.T, s *lab.Sidecar, tokens wire.Sealer) *wire.Token {
	t.Helper()
	got, err := wire.OpenToken(tokens, rawToken(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func rawToken(t *testing.T, s *lab.Sidecar) string {
	t.Helper()
	d := websocket.Dialer{Subprotocols: (&wire.Offer{Resilient: true}).Protocols()}
	conn, _, err := d.DialContext(t.Context(), "ws://"+s.Addr+"/", nil) //nolint:bodyclose // need not be closed
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, msg, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	w, err := wire.ParseWelcome(msg)
	if err != nil {
		t.Fatal(err)
	}
	return w.Token
}

// resetReason is what a sidecar says to a client that comes with that token.
func resetReason(t *testing.T, s *lab.Sidecar, token string) wire.ResetReason {
	t.Helper()
	offer := wire.Offer{Resilient: true, Resume: &wire.Resume{Token: token, Next: 1}}
	d := websocket.Dialer{Subprotocols: offer.Protocols()}
	conn, _, err := d.DialContext(t.Context(), "ws://"+s.Addr+"/", nil) //nolint:bodyclose // need not be closed
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, msg, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	reason, _, err := wire.ParseReset(msg)
	if err != nil {
		t.Fatalf("no reset: %x, %v", msg, err)
	}
	return reason
}

// wantVersion waits until a sidecar writes tokens of that version.
func wantVersion(t *testing.T, s *lab.Sidecar, tokens wire.Sealer, version uint8) {
	t.Helper()
	got := uint8(0)
	if err := proc.Until(t.Context(), processLimit, 100*time.Millisecond, func() bool {
		got = token(t, s, tokens).Version
		return got == version
	}); err != nil {
		t.Errorf("tokens are of version %d, want %d", got, version)
	}
}

// wantRecords waits until the newest record in the journal is of that version.
func (f *processes) wantRecords(version byte) {
	f.t.Helper()
	nc, err := nats.Connect(f.nats.ClientURL())
	if err != nil {
		f.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		f.t.Fatal(err)
	}
	got := byte(0)
	newest := func() byte {
		last := &jetstream.RawStreamMsg{Data: []byte{0}}
		for shard := range natsstore.DefaultShards {
			stream, err := js.Stream(f.t.Context(), fmt.Sprint("WSR_LOG_", shard))
			if err != nil {
				continue
			}
			if m, err := stream.GetMsg(f.t.Context(), stream.CachedInfo().State.LastSeq); err == nil && m.Time.After(last.Time) {
				last = m
			}
		}
		return last.Data[0]
	}
	if err := proc.Until(f.t.Context(), processLimit, 20*time.Millisecond, func() bool {
		got = newest()
		return got == version
	}); err != nil {
		f.t.Errorf("records are of version %d, want %d", got, version)
	}
}

// A fleet is rolled to the next release, which has another version of each format,
// and back, while clients talk and lose connections: none loses its session or a
// message. What is written is what all read, and only that.
func TestFleetOfTwoReleases(t *testing.T) {
	t.Parallel()
	now, records := wire.TokenVersions().Newest, store.Versions().Newest
	key, tokens := newKey(t)
	f := newProcesses(t, "WSR_TOKEN_KEYS="+key)
	all := []*lab.Sidecar{f.add(&binary, nil), f.add(&binary, nil)}
	clients := f.crowd(20)
	stop := f.cutting()
	defer stop()
	all[0] = f.replace(all[0], &nextRelease)
	if got := token(t, all[0], tokens).Version; got != now {
		t.Errorf("beside the release before, tokens are of version %d", got)
	}
	f.wantRecords(records)
	all[1] = f.replace(all[1], &nextRelease)
	for _, s := range all {
		wantVersion(t, s, tokens, now+1)
	}
	f.wantRecords(records + 1)
	away := rawToken(t, all[1]) // of a client that is away from now on
	time.Sleep(time.Second)     // clients lose connections, and get tokens that the release before does not read
	all[0] = f.replace(all[0], &binary)
	wantVersion(t, all[1], tokens, now)
	f.wantRecords(records)
	all[1] = f.replace(all[1], &binary)
	began := time.Now()
	if got := resetReason(t, all[1], away); got != wire.ResetTryAgain {
		t.Errorf("a token that nobody reads since a moment: reset %s, want %s", got, wire.ResetTryAgain)
	}
	for got := wire.ResetTryAgain; got != wire.ResetToken; time.Sleep(100 * time.Millisecond) {
		if got = resetReason(t, all[0], away); got != wire.ResetTryAgain && got != wire.ResetToken || time.Since(began) > processLimit {
			t.Fatalf("a token that nobody reads any more: reset %s after %v", got, time.Since(began))
		}
	}
	stop()
	clients.end()
	for _, s := range all {
		metrics, err := s.Get(t.Context(), "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(metrics)) {
			if strings.HasPrefix(line, "wsr_resumes_total{") && strings.Contains(line, `outcome="reset"`) &&
				!strings.Contains(line, "try_again") && !strings.HasSuffix(strings.TrimSpace(line), " 0") &&
				!(s == all[0] && strings.Contains(line, `"token"`) && strings.HasSuffix(strings.TrimSpace(line), " 1")) { // of the one that was away
				t.Error(strings.TrimSpace(line))
			}
		}
	}
}

// metric waits until a metric of a sidecar is in a line that ok likes.
func metric(t *testing.T, s *lab.Sidecar, name string, ok func(value float64) bool) {
	t.Helper()
	seen := "absent"
	err := proc.Until(t.Context(), processLimit, 50*time.Millisecond, func() bool {
		text, err := s.Get(t.Context(), "/metrics")
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(text)) {
			if value, found := strings.CutPrefix(strings.TrimSpace(line), name+" "); found {
				seen = value
				n, err := strconv.ParseFloat(value, 64)
				return err == nil && ok(n)
			}
		}
		seen = "absent"
		return false
	})
	if err != nil {
		t.Errorf("%s: %s is %s", s.Addr, name, seen)
	}
}

// Keys rotate by their file, without a restart, while clients talk and lose
// connections: no session is lost when the old key goes. Before that a file that cannot be used changes nothing.
func TestKeysRotateUnderLoad(t *testing.T) {
	t.Parallel()
	older, olderTokens := newKey(t)
	newer, newerTokens := newKey(t)
	file := newSecret(t)
	write := func(text string) { file.swap(map[string][]byte{"keys": []byte(text)}) }
	write(older + "\n")
	f := newProcesses(t, "WSR_TOKEN_KEYS_FILE="+file.path("keys"))
	all := []*lab.Sidecar{f.add(&binary, nil), f.add(&binary, nil)}
	crowd := f.crowd(20)
	stop := f.cutting()
	defer stop()
	is := func(want float64) func(float64) bool { return func(v float64) bool { return v == want } }
	id := func(text string) string {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return newRing(t, b).Usage()[0].ID
	}
	place := func(key string, n float64) {
		t.Helper()
		for _, s := range all {
			metric(t, s, fmt.Sprintf("wsr_key_place{key=%q}", id(key)), is(n))
		}
	}
	write(older + "\n" + newer + "\n")
	place(newer, 2)
	write("no key\n")
	for _, s := range all {
		metric(t, s, "wsr_keys_file_invalid", is(1))
	}
	place(newer, 2)
	if _, err := wire.OpenToken(olderTokens, rawToken(t, all[0])); err != nil {
		t.Errorf("after a bad file: %v", err)
	}
	stop() // from here on nobody comes for a token who is not asked to
	write(newer + "\n" + older + "\n")
	place(newer, 1)
	for _, s := range all {
		metric(t, s, "wsr_keys_file_invalid", is(0))
		metric(t, s, "wsr_old_tokens", is(0))
	}
	time.Sleep(1500 * time.Millisecond) // the last that were asked come within a second
	if _, err := wire.OpenToken(newerTokens, rawToken(t, all[0])); err != nil {
		t.Errorf("the newer key does not seal: %v", err)
	}
	write(newer + "\n")
	for _, s := range all {
		metric(t, s, fmt.Sprintf("wsr_key_uses_total{key=%q,use=\"open\"}", id(newer)), func(v float64) bool { return v > 0 })
	}
	place(newer, 1)
	time.Sleep(1500 * time.Millisecond)  // the old one is gone everywhere
	f.balancer.Cut(faultlink.RST, 1, "") // everybody comes with what he has
	time.Sleep(time.Second)
	crowd.end()
}
