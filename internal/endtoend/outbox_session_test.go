package endtoend

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/client/outbox"
	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/proxytest"
)

func openOutbox(t *testing.T) *outbox.Store {
	t.Helper()
	store, err := outbox.Open(filepath.Join(t.TempDir(), "outbox.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// TestSuspend: a program that stops for a while goes on with its session, in both
// directions, and the app sees one socket.
func TestSuspend(t *testing.T) {
	app := &counterApp{total: 40, pause: 2 * time.Millisecond}
	s := newStage(t, app, nil)
	store := openOutbox(t)
	in, out := 0, 0
	for i := range 4 {
		c := s.dial(t, &client.Options{Store: store})
		if c.Resumed() != (i > 0) {
			t.Fatalf("life %d: resumed %v", i+1, c.Resumed())
		}
		for range 10 {
			in++
			if err := c.Write(t.Context(), client.MessageText, fmt.Appendf(nil, "in-%d", in)); err != nil {
				t.Fatal(err)
			}
			_, p, err := c.Read(t.Context())
			if out++; err != nil || string(p) != fmt.Sprintf("out-%d", out) {
				t.Fatalf("read %q, %v, want out-%d", p, err, out)
			}
		}
		if err := c.Suspend(); err != nil {
			t.Fatal(err)
		}
		if err := c.Write(t.Context(), client.MessageText, []byte("late")); !errors.Is(err, client.ErrSuspended) {
			t.Errorf("write after Suspend: %v", err)
		}
	}
	c := s.dial(t, &client.Options{Store: store})
	if err := c.Close(1000, ""); err != nil {
		t.Error(err)
	}
	if n := app.sockets.Load(); n != 1 || app.fault.Load() != nil || app.received.Load() != 40 {
		t.Errorf("%d sockets of the app, %d messages, %v", n, app.received.Load(), app.fault.Load())
	}
	if c := s.dial(t, &client.Options{Store: store}); c.Resumed() {
		t.Error("a session that was closed goes on")
	}
}

// TestStoredSessionLost: a session that no sidecar knows any more is begun anew,
// and what it had not delivered can be sent in the new one.
func TestStoredSessionLost(t *testing.T) {
	first := newStage(t, &counterApp{}, nil)
	store := openOutbox(t)
	c := first.dial(t, &client.Options{Store: store})
	if err := c.WriteAcked(t.Context(), client.MessageText, []byte("in-1")); err != nil {
		t.Fatal(err)
	}
	if err := first.link.Down(true); err != nil {
		t.Fatal(err)
	}
	first.link.Cut(faultlink.RST)
	proxytest.Eventually(t, "the connection is lost", func() bool { return c.State() == client.StateReconnecting })
	for i := 1; i <= 3; i++ {
		if err := c.Write(t.Context(), client.MessageText, fmt.Appendf(nil, "in-%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Suspend(); err != nil {
		t.Fatal(err)
	}
	app := &counterApp{}
	second := newStage(t, app, nil) // another fleet, with other keys
	c = second.dial(t, &client.Options{Store: store})
	if c.Resumed() {
		t.Fatal("the session goes on")
	}
	left, err := store.Left()
	if err != nil || len(left) != 3 || left[0].MaybeDelivered {
		t.Fatalf("left %+v, %v", left, err)
	}
	if err := store.Resend(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if left, err = store.Left(); err != nil || len(left) != 0 {
		t.Errorf("left %+v, %v", left, err)
	}
	if err := c.WriteAcked(t.Context(), client.MessageText, []byte("in-4")); err != nil {
		t.Fatal(err)
	}
	proxytest.Eventually(t, "the app has all", func() bool { return app.received.Load() == 4 })
	if err := c.Close(1000, ""); err != nil {
		t.Error(err)
	}
}

// TestStartWithoutNetwork: a program with a stored session takes messages at
// once, wherever it starts, and delivers them when the network is there.
func TestStartWithoutNetwork(t *testing.T) {
	app := &counterApp{}
	s := newStage(t, app, nil)
	store := openOutbox(t)
	c := s.dial(t, &client.Options{Store: store})
	if err := c.Suspend(); err != nil {
		t.Fatal(err)
	}
	if err := s.link.Down(true); err != nil {
		t.Fatal(err)
	}
	c = s.dial(t, &client.Options{Store: store})
	if got := c.State(); got != client.StateReconnecting || !c.Resumed() {
		t.Errorf("state %v, resumed %v", got, c.Resumed())
	}
	if err := c.Write(t.Context(), client.MessageText, []byte("in-1")); err != nil {
		t.Fatal(err)
	}
	if err := s.link.Down(false); err != nil {
		t.Fatal(err)
	}
	c.NetworkChanged()
	proxytest.Eventually(t, "the app has it", func() bool { return app.received.Load() == 1 })
}

// failingStore fails while it is told to.
type failingStore struct {
	client.Store
	fail atomic.Bool
}

// behindStore keeps no state while it is told so, as when the process is killed
// before that is on its way.
type behindStore struct {
	client.Store
	behind atomic.Bool
}

func (s *behindStore) Save(v *client.SavedSession) error {
	if s.behind.Load() {
		return nil
	}
	return s.Store.Save(v)
}

// TestStoreBehind: what was acknowledged and not saved is not sent again, and the
// first attempt goes on with the session.
func TestStoreBehind(t *testing.T) {
	app := &counterApp{}
	s := newStage(t, app, nil)
	store := &behindStore{Store: openOutbox(t)}
	c := s.dial(t, &client.Options{Store: store})
	store.behind.Store(true)
	for i := 1; i <= 3; i++ {
		if err := c.WriteAcked(t.Context(), client.MessageText, fmt.Appendf(nil, "in-%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Suspend(); err != nil {
		t.Fatal(err)
	}
	store.behind.Store(false)
	c = s.dial(t, &client.Options{Store: store})
	if c.State() != client.StateConnected || !c.Resumed() {
		t.Errorf("%v after the first attempt, resumed %v", c.State(), c.Resumed())
	}
	if err := c.WriteAcked(t.Context(), client.MessageText, []byte("in-4")); err != nil {
		t.Fatal(err)
	}
	proxytest.Eventually(t, "the app has all", func() bool { return app.received.Load() == 4 })
	if n := app.sockets.Load(); n != 1 || app.fault.Load() != nil {
		t.Errorf("%d sockets of the app, %v", n, app.fault.Load())
	}
}

var errDisk = errors.New("the disk is full")

func (s *failingStore) Put(m *client.StoredMessage) error {
	if s.fail.Load() {
		return errDisk
	}
	return s.Store.Put(m)
}

func (s *failingStore) Sent() error {
	if s.fail.Load() {
		return errDisk
	}
	return s.Store.Sent()
}

func (s *failingStore) Save(v *client.SavedSession) error {
	if s.fail.Load() {
		return errDisk
	}
	return s.Store.Save(v)
}

// TestStoreFails: while the disk fails Write and Read say so, nothing is taken or
// given that is not kept, and afterwards all goes on.
func TestStoreFails(t *testing.T) {
	app := &counterApp{total: 20, pause: 5 * time.Millisecond}
	s := newStage(t, app, nil)
	store := &failingStore{Store: openOutbox(t)}
	c := s.dial(t, &client.Options{Store: store})
	if err := c.WriteAcked(t.Context(), client.MessageText, []byte("in-1")); err != nil {
		t.Fatal(err)
	}
	store.fail.Store(true)
	if err := c.Write(t.Context(), client.MessageText, []byte("never")); !errors.Is(err, errDisk) {
		t.Errorf("write: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, p, err := c.Read(ctx); !errors.Is(err, errDisk) {
		t.Errorf("read: %q, %v", p, err)
	}
	s.link.Cut(faultlink.RST)
	time.Sleep(50 * time.Millisecond) // attempts fail meanwhile
	store.fail.Store(false)
	for i := 1; i <= 20; i++ {
		_, p, err := c.Read(t.Context())
		if err != nil || string(p) != fmt.Sprintf("out-%d", i) {
			t.Fatalf("read %q, %v, want out-%d", p, err, i)
		}
	}
	if err := c.WriteAcked(t.Context(), client.MessageText, []byte("in-2")); err != nil {
		t.Fatal(err)
	}
	if err := app.fault.Load(); err != nil || app.sockets.Load() != 1 {
		t.Errorf("%v, %d sockets", *err, app.sockets.Load())
	}
}

// TestStoreWithoutSidecar: there is no session to keep, and all is as without a
// store.
func TestStoreWithoutSidecar(t *testing.T) {
	app := &counterApp{total: 1}
	backend := httptest.NewServer(app)
	t.Cleanup(backend.Close)
	store := openOutbox(t)
	c, _, err := client.Dial(t.Context(), backend.URL, &client.Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(t.Context(), client.MessageText, []byte("in-1")); err != nil {
		t.Fatal(err)
	}
	if _, p, err := c.Read(t.Context()); err != nil || string(p) != "out-1" {
		t.Errorf("read %q, %v", p, err)
	}
	if v, list, err := store.Load(); v != nil || list != nil || err != nil {
		t.Errorf("the store has %v, %v, %v", v, list, err)
	}
}
