package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/drain"
	"github.com/wsresilience/wsresilience/proxy"
)

// loginFirst is an app that wants a login as a socket's first message, and takes
// some time for it. What comes before that it refuses.
type loginFirst struct {
	pause   time.Duration
	away    atomic.Bool // it answers 503
	mu      sync.Mutex
	conns   []*websocket.Conn
	heard   [][]string // by socket
	refused []string
	hears   func(socket int, message string) // after each; nil: nothing
}

func (a *loginFirst) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.away.Load() {
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(2 << 20)
	a.mu.Lock()
	socket := len(a.heard)
	a.conns, a.heard = append(a.conns, c), append(a.heard, nil)
	a.mu.Unlock()
	known := false
	for {
		_, p, err := c.Read(context.Background())
		if err != nil {
			return
		}
		m := string(p)
		if len(m) > 40 {
			m = fmt.Sprintf("%d bytes", len(m))
		}
		a.mu.Lock()
		a.heard[socket] = append(a.heard[socket], m)
		if known = known || m == "login"; !known {
			a.refused = append(a.refused, m)
		}
		hears := a.hears
		a.mu.Unlock()
		if hears != nil {
			hears(socket, m)
		}
		if m == "login" {
			time.Sleep(a.pause)
			if c.Write(context.Background(), websocket.MessageText, []byte("welcome")) != nil {
				return
			}
		}
	}
}

// restarts closes all sockets, as an app does that goes away, and returns when
// the sidecar has heard it.
func (a *loginFirst) restarts() {
	a.away.Store(true)
	a.mu.Lock()
	conns := slices.Clone(a.conns)
	a.mu.Unlock()
	for _, c := range conns {
		c.Close(1012, "restarting") // it fails for those that are gone
	}
}

func (a *loginFirst) last() (sockets int, heard string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.heard)
	return n, strings.Join(a.heard[n-1], ", ")
}

func (a *loginFirst) check(t *testing.T) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.refused) > 0 {
		t.Errorf("the app refused %q before a login; its sockets heard %q", a.refused, a.heard)
	}
}

// loggedIn is a client whose app has its login, and that logs in again by
// restore. What the app says goes to replies.
func loggedIn(t *testing.T, app *loginFirst, pods int, restore func(replies <-chan string) func(context.Context, *client.RestoreWriter) error) (*fleet, *podClient) {
	t.Helper()
	f := fleetOf(t, pods, app, func(c *proxy.Config) { c.AppRetry = 10 * time.Second })
	replies := make(chan string, 64)
	v := f.connect(0, "/", &client.Options{Restore: restore(replies)})
	go func() {
		for {
			_, p, err := v.Read(context.Background())
			if err != nil {
				return
			}
			replies <- string(p)
		}
	}()
	v.sayAcked("login")
	if got := <-replies; got != "welcome" {
		t.Fatalf("the app says %q", got)
	}
	return f, v
}

// logsIn restores by the login alone, and waits for the answer.
func logsIn(replies <-chan string) func(context.Context, *client.RestoreWriter) error {
	return func(ctx context.Context, w *client.RestoreWriter) error {
		if err := w.Write(ctx, client.MessageText, []byte("login")); err != nil {
			return err
		}
		select {
		case got := <-replies:
			if got != "welcome" {
				return errors.New(got)
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// An app that wants a login first never hears what waited before it: neither
// when it restarts nor when its pod does, however long it takes to answer.
func TestLoginGoesAheadOfWhatWaits(t *testing.T) {
	t.Parallel()
	for _, pause := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond} {
		t.Run(fmt.Sprintf("restart, %v", pause), func(t *testing.T) {
			t.Parallel()
			app := &loginFirst{pause: pause}
			_, v := loggedIn(t, app, 1, logsIn)
			app.restarts()
			v.say("order 1")
			v.say("order 2")
			time.Sleep(100 * time.Millisecond)
			app.away.Store(false)
			v.event(client.EventAdopted, "app_restarted")
			v.sayAcked("order 3")
			soon(t, "the new socket hears all in order", func() bool { _, m := app.last(); return m == "login, order 1, order 2, order 3" })
			app.check(t)
		})
		t.Run(fmt.Sprintf("roll, %v", pause), func(t *testing.T) {
			t.Parallel()
			app := &loginFirst{pause: pause}
			f, v := loggedIn(t, app, 2, logsIn)
			v.move(-1)
			v.say("order 1")
			v.say("order 2")
			if err := f.pods[0].Drain(t.Context(), drain.Schedule{Notice: 50 * time.Millisecond, Move: time.Second, Stragglers: time.Second}); err != nil {
				t.Error(err)
			}
			v.to.Store(1)
			v.event(client.EventAdopted, "drained")
			v.sayAcked("order 3")
			soon(t, "the new socket hears all in order", func() bool { _, m := app.last(); return m == "login, order 1, order 2, order 3" })
			app.check(t)
		})
	}
}

// A restore that is interrupted begins again, on the next connection or with the
// next socket, and what waits goes on waiting.
func TestRestoreBeginsAgain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		interrupt func(app *loginFirst, v *podClient)
		want      string // by the last socket
	}{
		{"connection breaks", func(_ *loginFirst, v *podClient) { v.cut() }, "login, login, order 1, order 2"},
		{"app restarts", func(app *loginFirst, _ *podClient) {
			app.restarts()
			time.AfterFunc(50*time.Millisecond, func() { app.away.Store(false) })
		}, "login, order 1, order 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			app := &loginFirst{}
			var v *podClient
			var runs atomic.Int32
			_, v = loggedIn(t, app, 1, func(replies <-chan string) func(context.Context, *client.RestoreWriter) error {
				restore := logsIn(replies)
				return func(ctx context.Context, w *client.RestoreWriter) error {
					if runs.Add(1) > 1 {
						return restore(ctx, w)
					}
					if err := restore(ctx, w); err != nil {
						return err
					}
					tc.interrupt(app, v)
					<-ctx.Done() // it is told
					return ctx.Err()
				}
			})
			app.restarts()
			v.say("order 1")
			v.say("order 2")
			app.away.Store(false)
			soon(t, "the last socket hears all in order", func() bool { _, m := app.last(); return m == tc.want })
			app.check(t)
			if n := runs.Load(); n != 2 {
				t.Errorf("restored %d times", n)
			}
		})
	}
}

// What restores may be much: messages of either kind and any size, and more than
// a window of them.
func TestRestoreIsLarge(t *testing.T) {
	t.Parallel()
	app := &loginFirst{}
	_, v := loggedIn(t, app, 1, func(<-chan string) func(context.Context, *client.RestoreWriter) error {
		return func(ctx context.Context, w *client.RestoreWriter) error {
			err := w.Write(ctx, client.MessageText, []byte("login"))
			for i := range 2000 {
				err = errors.Join(err, w.Write(ctx, client.MessageText, fmt.Appendf(nil, "topic %d", i)))
			}
			for range 3 {
				err = errors.Join(err, w.Write(ctx, client.MessageBinary, bytes.Repeat([]byte{0xff}, 1<<20)))
			}
			return errors.Join(err, w.Write(ctx, client.MessageBinary, []byte("\xffWSR\x07")))
		}
	})
	app.restarts()
	v.say("order 1")
	app.away.Store(false)
	v.sayAcked(string(bytes.Repeat([]byte{'a'}, 1<<20-100)))
	want := []string{"login"}
	for i := range 2000 {
		want = append(want, fmt.Sprint("topic ", i))
	}
	want = append(want, "1048576 bytes", "1048576 bytes", "1048576 bytes", "\xffWSR\x07", "order 1", "1048476 bytes")
	soon(t, "the new socket hears all in order", func() bool { _, m := app.last(); return m == strings.Join(want, ", ") })
	app.check(t)
}

// A client that cannot restore ends its session, and what waits is not handed to
// the app.
func TestRestoreFails(t *testing.T) {
	t.Parallel()
	app := &loginFirst{}
	_, v := loggedIn(t, app, 1, func(<-chan string) func(context.Context, *client.RestoreWriter) error {
		return func(context.Context, *client.RestoreWriter) error { return errors.New("no ticket") }
	})
	app.restarts()
	v.say("order 1")
	app.away.Store(false)
	soon(t, "the session is over", func() bool { return v.State() == client.StateClosed })
	if _, _, err := v.Read(t.Context()); client.CloseStatus(err) != 1012 {
		t.Errorf("the session ends with %v", err)
	}
	app.check(t)
}

// One whose client answers by an event logs in as ever, behind what waits; and
// nothing stalls.
func TestAdoptWithoutRestore(t *testing.T) {
	t.Parallel()
	app := newScript()
	f := fleetOf(t, 1, app, func(c *proxy.Config) { c.AppRetry = 10 * time.Second })
	v := f.connect(0, "/", &client.Options{Adopt: true})
	(<-app.sockets).Close(1012, "")
	v.event(client.EventAdopted, "app_restarted")
	v.sayAcked("login")
	soon(t, "the new socket hears it", func() bool { return app.all() == "2:login" })
}
