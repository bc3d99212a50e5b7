package proxy

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/observe"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
	"github.com/wsresilience/wsresilience/wire"
)

// An attack is one row of the list in attack_rows_test.go.
type attack struct {
	id  string
	run func(*testing.T)
}

// A scene is a whole sidecar under attack: over real sockets, with a journal,
// an app that tells what reached it, and two sessions that must not notice
// anything. When the test ends they still echo, nothing has panicked, and no
// token was logged (I8, I9).
type scene struct {
	t       *testing.T
	srv     *Server
	addr    string
	app     *witness
	watch   *watch
	log     *bytesLog
	ring    *keyring.Ring
	journal *countedLog

	others []*testClient
}

// attackPatience is how long a step may take on a busy machine.
const attackPatience = 10 * time.Second

func newScene(t *testing.T, change func(*Config)) *scene { return setScene(t, change, nil) }

// setScene is newScene; tune sees the server before it runs.
func setScene(t *testing.T, change func(*Config), tune func(*Server)) *scene {
	t.Helper()
	ring, err := keyring.New([][]byte{keyring.Generate()})
	if err != nil {
		t.Fatal(err)
	}
	sc := &scene{t: t, ring: ring, app: newWitness(t), watch: newWatch(), log: new(bytesLog)}
	sc.journal = &countedLog{Backend: storetest.NewMemory(storetest.MemoryConfig{})}
	cfg := Config{
		Upstream: sc.app.url, Tokens: ring, Advertise: "sidecar:1", LogClient: event.TellAddress,
		Store:  store.NewSealedStore(sc.journal, ring),
		Logger: slog.New(slog.NewTextHandler(sc.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	cfg.Observer = event.Observers{sc.watch, observe.NewLife(cfg.Logger)}
	if change != nil {
		change(&cfg)
	}
	sc.srv, sc.addr = serveAttacked(t, cfg, tune)
	sc.others = []*testClient{sc.plain("/other"), sc.resilient("/other")}
	for _, p := range sc.others {
		p.listen()
	}
	t.Cleanup(sc.unharmed)
	return sc
}

// advertiseSelf as Config.Advertise is the address that the sidecar gets.
const advertiseSelf = "self"

// serveAttacked runs one sidecar.
func serveAttacked(t *testing.T, cfg Config, tune func(*Server)) (*Server, string) {
	t.Helper()
	cfg.Driver = transport.Driver(proxytest.Driver(t))
	setDefault(&cfg.HandOverPatience, 50*time.Millisecond) // the others' last word is answered long before
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Advertise == advertiseSelf {
		cfg.Advertise = l.Addr().String()
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if tune != nil {
		tune(s)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), attackPatience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

// unharmed is what holds after every attack.
func (sc *scene) unharmed() {
	for _, p := range sc.others {
		p.echo("still here")
		p.conn.Close()
	}
	if n := sc.watch.count("panicked"); n != 0 {
		sc.t.Errorf("%d panics: %s", n, sc.log)
	}
	for _, token := range sc.app.tokens.all() {
		if strings.Contains(sc.log.String(), token) {
			sc.t.Errorf("the log holds a token (I9)")
		}
	}
}

// eventually waits for what another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(attackPatience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not happen", what)
		}
	}
}

// allocated is how many bytes the process allocates while fn runs.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// heapInUse is what the process holds.
func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// watch is an event.Observer that counts.
type watch struct {
	mu     sync.Mutex
	counts map[string]int
}

func newWatch() *watch { return &watch{counts: map[string]int{}} }

func (w *watch) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what]++
}

func (w *watch) count(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[what]
}

// Observe counts e by what it says of itself.
func (w *watch) Observe(e event.Event) { w.note(e.String()) }

// countedLog counts what is asked of the journal.
type countedLog struct {
	store.Backend
	mu sync.Mutex
	n  map[store.ID]int // reads
}

func (l *countedLog) Read(ctx context.Context, id store.ID, after store.Revision, limit int) ([]store.Message, error) {
	l.mu.Lock()
	if l.n == nil {
		l.n = map[store.ID]int{}
	}
	l.n[id]++
	l.mu.Unlock()
	return l.Backend.Read(ctx, id, after, limit)
}

// reads is how often a session was looked up; of all of them for the zero id.
func (l *countedLog) reads(id wire.SessionID) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id != (wire.SessionID{}) {
		return l.n[store.ID(id)]
	}
	for _, k := range l.n {
		n += k
	}
	return n
}

// bytesLog keeps what was logged.
type bytesLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *bytesLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *bytesLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
