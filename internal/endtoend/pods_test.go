package endtoend

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/formats"
	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/observe"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// fleet is several pods that share a journal and keys, and the app behind
// them. With pipes for its network it lives in virtual time, and then no pod
// can reach another: all of them refuse. Over loopback each pod has a link by
// which the others reach it.
type fleet struct {
	t       *testing.T
	virtual bool
	ring    *keyring.Ring
	store   store.Store
	leases  *leases
	app     http.Handler
	pods    []*pod
	at      string // where the next pod is reached: over loopback with its port; "": anywhere there
}

type pod struct {
	*proxy.Server
	name  string // by which the others know it: an instance at addr
	addr  string
	watch *podWatch
	log   *podLog
	dial  func(context.Context) (net.Conn, error) // as a client
	app   *pipes                                  // in virtual time: where the app listens
	link  *faultlink.Link                         // over loopback: the others' way to it
	stop  func() error
}

// newFleet has no pods yet.
func newFleet(t *testing.T, app http.Handler, virtual bool) *fleet {
	t.Helper()
	ring := newRing(t, keyring.Generate())
	return &fleet{
		t: t, virtual: virtual, ring: ring, app: app,
		store:  store.NewSealedStore(storetest.NewMemory(storetest.MemoryConfig{}), ring),
		leases: &leases{of: map[string]store.LeaseState{}},
	}
}

// fleetOf is a fleet of n pods over loopback.
func fleetOf(t *testing.T, n int, app http.Handler, change func(*proxy.Config)) *fleet {
	t.Helper()
	f := newFleet(t, app, false)
	for range n {
		f.add(change)
	}
	return f
}

func newRing(t *testing.T, keys ...[]byte) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// add runs one more pod, with an app of its own that is the same program.
func (f *fleet) add(change func(*proxy.Config)) *pod {
	f.t.Helper()
	p := &pod{watch: newPodWatch(), log: new(podLog)}
	cfg := proxy.Config{
		Tokens: f.ring, Proofs: f.ring, Store: f.store, Peers: f.leases,
		SessionTTL: time.Minute, LeaseTTL: time.Minute, Driver: transport.Driver(proxytest.Driver(f.t)),
		Logger: slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	cfg.Observer = event.Observers{p.watch, observe.NewLife(cfg.Logger)}
	var l net.Listener
	if f.virtual {
		l = f.pipes(p, &cfg)
	} else {
		l = f.sockets(p, &cfg)
	}
	p.addr = cfg.Advertise
	p.name = instance.New(p.addr)
	cfg.Advertise = p.name
	f.leases.set(p.name, store.LeaseLive)
	if change != nil {
		change(&cfg)
	}
	s, err := proxy.New(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	p.Server = s
	p.stop = sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return errors.Join(s.Shutdown(ctx), <-served)
	})
	f.t.Cleanup(func() {
		if err := p.stop(); err != nil {
			f.t.Error(err)
		}
		if n := p.watch.count("panicked"); n != 0 {
			f.t.Errorf("%s: %d panics\n%s", p.addr, n, p.log)
		}
		for line := range strings.Lines(p.log.String()) {
			refused := strings.Contains(line, "resume refused: RESET") || strings.Contains(line, "session adopted")
			if refused && !strings.Contains(line, " fact=") {
				f.t.Errorf("an operator hears no fact: %s", line)
			}
		}
	})
	f.pods = append(f.pods, p)
	return p
}

// pipes gives the pod its network in virtual time. Nobody listens on its
// address, which is that of a pod that is gone.
func (f *fleet) pipes(p *pod, cfg *proxy.Config) net.Listener {
	clients := newPipes()
	p.app, p.dial = newPipes(), clients.dial
	cfg.Advertise = fmt.Sprintf("%s:%d", cmp.Or(f.at, "127.0.0.1"), len(f.pods)+1)
	cfg.Upstream, cfg.DialApp = "http://app:80", p.app.dialApp
	backend := &http.Server{Handler: f.app}
	go backend.Serve(p.app)
	f.t.Cleanup(func() { backend.Close() })
	return clients
}

// sockets gives the pod its network over loopback.
func (f *fleet) sockets(p *pod, cfg *proxy.Config) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	if p.link, err = faultlink.New(cmp.Or(f.at, "127.0.0.1:0"), l.Addr().String(), func() float64 { return 0.5 }); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(p.link.Close)
	backend := httptest.NewServer(f.app)
	f.t.Cleanup(backend.Close)
	p.dial = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
	cfg.Advertise, cfg.Upstream = p.link.Addr(), backend.URL
	return l
}

// podClient is the real client with a balancer that the test moves: every dial
// goes to the pod that the test says.
type podClient struct {
	*client.Conn
	t  *testing.T
	f  *fleet
	to atomic.Int64 // the pod; negative: there is no network

	mu    sync.Mutex
	conns []net.Conn
	dials int
	wrap  func(net.Conn) net.Conn // of the next dial; or nil
}

// connect opens a session on path at a pod.
func (f *fleet) connect(at int, path string, opts *client.Options) *podClient {
	f.t.Helper()
	v := &podClient{t: f.t, f: f}
	v.to.Store(int64(at))
	o := client.Options{Backoff: client.Backoff{Max: 500 * time.Millisecond}}
	if opts != nil {
		o = *opts
		o.Backoff.Max = 500 * time.Millisecond
	}
	o.NetDial = v.netDial
	c, _, err := client.Dial(f.t.Context(), "ws://app"+path, &o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.CloseNow() })
	if v.Conn = c; !c.Resilient() {
		f.t.Fatal("the session is not resilient")
	}
	return v
}

var errNoNetwork = errors.New("no network")

func (v *podClient) netDial(ctx context.Context, _, _ string) (net.Conn, error) {
	at := v.to.Load()
	if at < 0 {
		return nil, errNoNetwork
	}
	c, err := v.f.pods[at].dial(ctx)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.wrap != nil {
		c = v.wrap(c)
		v.wrap = nil
	}
	v.conns = append(v.conns, c)
	v.dials++
	return c, nil
}

// move sends the next dials to a pod and breaks the connection.
func (v *podClient) move(to int) {
	v.to.Store(int64(to))
	v.cut()
}

func (v *podClient) cut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range v.conns {
		c.Close()
	}
	v.conns = nil
}

// event waits for the next event that is not about the state, and wants it.
// GOAWAY may be repeated.
func (v *podClient) event(kind client.EventKind, reason string) {
	v.t.Helper()
	patience := time.After(20 * time.Second)
	for {
		select {
		case e, ok := <-v.Events():
			switch {
			case !ok:
				v.t.Fatalf("the session is over, want %v %s", kind, reason)
			case e.Kind == client.EventState, e.Kind == client.EventGoAway && kind != e.Kind:
				continue
			case e.Kind != kind || e.Reason != reason:
				v.t.Fatalf("event %v %s, want %v %s", e.Kind, e.Reason, kind, reason)
			}
			return
		case <-patience:
			v.t.Fatalf("no event, want %v %s", kind, reason)
		}
	}
}

// eventLog is what the client was told so far, apart from its state.
func (v *podClient) eventLog() string {
	var said []string
	for {
		select {
		case e, ok := <-v.Events():
			if !ok {
				return strings.Join(said, ", ")
			}
			if e.Kind != client.EventState {
				said = append(said, strings.TrimSpace(e.Kind.String()+" "+e.Reason))
			}
		default:
			return strings.Join(said, ", ")
		}
	}
}

func (v *podClient) say(p string) {
	v.t.Helper()
	if err := v.Write(v.t.Context(), client.MessageText, []byte(p)); err != nil {
		v.t.Fatal(err)
	}
}

// sayAcked returns when the app's socket has it, and in virtual time when the
// app has read it, too.
func (v *podClient) sayAcked(p string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 20*time.Second)
	defer cancel()
	if err := v.WriteAcked(ctx, client.MessageText, []byte(p)); err != nil {
		v.t.Fatal(err)
	}
	if v.f.virtual {
		time.Sleep(time.Millisecond) // not synctest.Wait: several clients may be here
	}
}

func (v *podClient) hear(want ...string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 20*time.Second)
	defer cancel()
	for _, w := range want {
		mustRead(ctx, v.t, v.Conn, w)
	}
}

// wantClosed reads the end of the session.
func (v *podClient) wantClosed(code int) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 20*time.Second)
	defer cancel()
	if _, p, err := v.Read(ctx); client.CloseStatus(err) != code {
		v.t.Fatalf("read %q, %v, want close %d", p, err, code)
	}
}

// leases is what the pods believe of each other.
type leases struct {
	mu sync.Mutex
	of map[string]store.LeaseState

	newest uint8 // of tokens that all read, if older
	older  bool
}

// Lease implements proxy.Peers.
func (l *leases) Lease(owner string) store.LeaseState {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, ok := l.of[owner]; ok {
		return s
	}
	return store.LeaseGone
}

// Write implements proxy.Peers.
func (l *leases) Write(format string, own formats.Range) uint8 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.older && format == proxy.TokenFormat {
		return l.newest
	}
	return own.Newest
}

// NoneNewer implements proxy.Peers.
func (l *leases) NoneNewer(string) time.Duration { return 0 }

// At implements proxy.Peers.
func (l *leases) At(netip.Addr) bool { return false }

// write makes a version the newest of tokens that all read.
func (l *leases) write(newest uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.newest, l.older = newest, true
}

func (l *leases) set(owner string, s store.LeaseState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of[owner] = s
}

// podWatch counts what a pod tells its Observer.
type podWatch struct {
	mu     sync.Mutex
	counts map[string]int
}

func newPodWatch() *podWatch { return &podWatch{counts: map[string]int{}} }

func (w *podWatch) count(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[what]
}

// Observe counts e by what it says of itself.
func (w *podWatch) Observe(e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[e.String()]++
}

// podLog keeps what a pod logs.
type podLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *podLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *podLog) String() string { return strings.Join(l.with(""), "") }

// with returns the lines that contain text.
func (l *podLog) with(text string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.lines), func(s string) bool { return !strings.Contains(s, text) })
}

// soon waits for what others bring about.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not happen", what)
		}
	}
}

// A view is what a pod says of a session.
type view struct {
	ID, State string
	Epoch     uint32
}

// views lists a pod's sessions.
func (p *pod) views() (list []view) {
	for v := range p.Views() {
		if v.Kind == event.Resilient {
			list = append(list, view{v.ID.String(), v.Phase.String(), v.Epoch})
		}
	}
	return list
}

// the only session of a pod.
func (p *pod) session(t *testing.T) view {
	t.Helper()
	list := p.views()
	if len(list) != 1 {
		t.Fatalf("%d sessions, want one", len(list))
	}
	return list[0]
}

// journaled waits until the journal has what the app has said, up to message
// n.
func (f *fleet) journaled(id string, n uint32) {
	f.t.Helper()
	soon(f.t, "the journal has it", func() bool {
		st, err := f.store.Load(f.t.Context(), storeID(f.t, id))
		return err == nil && st.OutHead == n
	})
}

func storeID(t *testing.T, s string) (id store.ID) {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || copy(id[:], b) != len(id) {
		t.Fatalf("session id %q: %v", s, err)
	}
	return id
}
