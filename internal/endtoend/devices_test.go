package endtoend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/drain"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
)

// board is an app on which several devices write: it numbers what it hears, and
// says it to whoever is there. What it has said it keeps, as an app with a database
// does, over all its sockets.
type board struct {
	mu      sync.Mutex
	sockets int
	log     []string
	twice   map[string]int
}

func newBoard() *board { return &board{twice: map[string]int{}} }

func (b *board) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	b.mu.Lock()
	b.sockets++
	b.mu.Unlock()
	for {
		_, p, err := c.Read(context.Background())
		if err != nil {
			return
		}
		b.mu.Lock()
		b.twice[string(p)]++
		line := fmt.Sprintf("%d:%s", len(b.log)+1, p)
		b.log = append(b.log, line)
		b.mu.Unlock()
		if c.Write(context.Background(), websocket.MessageText, []byte(line)) != nil {
			return
		}
	}
}

// check wants each of the messages once, and returns the log.
func (b *board) check(t *testing.T, messages int) []string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for p, n := range b.twice {
		if n != 1 {
			t.Errorf("the app heard %q %d times", p, n)
		}
	}
	if len(b.log) != messages {
		t.Errorf("the app heard %d messages, want %d", len(b.log), messages)
	}
	return slices.Clone(b.log)
}

// device is one member of a user's session.
type device struct {
	*podClient
	heard []string
}

func asUser(name string) *client.Options {
	return &client.Options{HTTPHeader: http.Header{"Cookie": {"sid=" + name}}, Adopt: true}
}

func sharing(change func(*proxy.Config)) func(*proxy.Config) {
	return func(c *proxy.Config) {
		c.SharedBy = func(string) string { return "cookie:sid" }
		if change != nil {
			change(c)
		}
	}
}

// devices connects n of them, and waits until each has joined.
func (f *fleet) devices(at, n int) []*device {
	f.t.Helper()
	var all []*device
	for range n {
		all = append(all, &device{podClient: f.connect(at, "/board", asUser("alice"))})
	}
	return all
}

// write says n messages of a device's own, and hears what all say: total lines.
func (d *device) write(ctx context.Context, name string, n, total int, pause time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Second)
	defer cancel()
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			if err := d.Write(ctx, client.MessageText, fmt.Appendf(nil, "%s-%d", name, i+1)); err != nil {
				sent <- err
				return
			}
			time.Sleep(pause)
		}
		sent <- nil
	}()
	var err error
	for len(d.heard) < total && err == nil {
		var p []byte
		if _, p, err = d.Read(ctx); err == nil {
			d.heard = append(d.heard, string(p))
		}
	}
	if err != nil {
		cancel()
		err = fmt.Errorf("%s heard %d of %d: %w", name, len(d.heard), total, err)
	}
	return errors.Join(err, <-sent)
}

// ownOrder wants a device's own messages in the log in the order in which it said
// them.
func ownOrder(t *testing.T, log []string, name string, n int) {
	t.Helper()
	next := 1
	for _, line := range log {
		_, said, _ := strings.Cut(line, ":")
		if who, number, _ := strings.Cut(said, "-"); who == name {
			if number != fmt.Sprint(next) {
				t.Errorf("%s: message %s in the place of %d", name, number, next)
			}
			next++
		}
	}
	if next != n+1 {
		t.Errorf("%s: %d messages in the log, want %d", name, next-1, n)
	}
}

// Three devices of one user share one socket of the app, and each is cut twenty
// times while all of them write: every one ends with the app's log.
func TestDevicesShareASession(t *testing.T) {
	t.Parallel()
	const (
		each  = 200
		cuts  = 20
		pause = 5 * time.Millisecond
	)
	app := newBoard()
	f := fleetOf(t, 1, app, sharing(nil))
	all := f.devices(0, 3)
	var work sync.WaitGroup
	for i, d := range all {
		name := fmt.Sprintf("d%d", i)
		work.Go(func() {
			if err := d.write(t.Context(), name, each, 3*each, pause); err != nil {
				t.Error(err)
			}
		})
	}
	for range cuts {
		for _, d := range all {
			time.Sleep(15 * time.Millisecond)
			d.cut()
		}
	}
	work.Wait()
	log := app.check(t, 3*each)
	for i, d := range all {
		if !slices.Equal(d.heard, log) {
			t.Errorf("device %d heard %d lines that are not the app's log", i, len(d.heard))
		}
		ownOrder(t, log, fmt.Sprintf("d%d", i), each)
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	if app.sockets != 1 {
		t.Errorf("the app has %d sockets, want 1", app.sockets)
	}
}

// A member that closes leaves the others alone, and the last one closes the app's
// socket with its code. Who comes after that begins anew.
func TestDevicesLeave(t *testing.T) {
	t.Parallel()
	ends := make(chan int, 4)
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		for {
			typ, p, err := c.Read(context.Background())
			if err != nil {
				ends <- int(websocket.CloseStatus(err))
				return
			}
			if string(p) == "end" {
				c.Close(4001, "enough")
				return
			}
			_ = c.Write(context.Background(), typ, p)
		}
	})
	f := fleetOf(t, 1, app, sharing(nil))
	all := f.devices(0, 2)
	all[0].say("one")
	all[0].hear("one")
	all[1].hear("one")
	if err := all[0].Close(1000, "bye"); err != nil {
		t.Error(err)
	}
	all[1].say("two")
	all[1].hear("two")
	if err := all[1].Close(4000, "bye"); err != nil {
		t.Error(err)
	}
	if code := <-ends; code != 4000 {
		t.Errorf("the app heard %d, want 4000", code)
	}
	soon(t, "all sessions are over", func() bool { s := f.pods[0].Stats(); return s.Attached+s.Detached == 0 })

	all = f.devices(0, 2)
	away := all[1]
	away.move(-1)
	all[0].say("three")
	all[0].say("end")
	all[0].hear("three")
	all[0].wantClosed(4001)
	away.to.Store(0)
	away.hear("three")
	away.wantClosed(4001)
	soon(t, "all sessions are over", func() bool { s := f.pods[0].Stats(); return s.Attached+s.Detached == 0 })
}

// Large messages pass both ways, and what looks like one of ours arrives as it was.
func TestDevicesSayMuch(t *testing.T) {
	t.Parallel()
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		c.SetReadLimit(-1)
		for {
			typ, p, err := c.Read(context.Background())
			if err != nil || c.Write(context.Background(), typ, p) != nil {
				return
			}
		}
	})
	f := fleetOf(t, 1, app, sharing(nil))
	all := f.devices(0, 3)
	big := []byte(strings.Repeat("0123456789abcdef", 60000))
	for _, p := range [][]byte{big, []byte("\xffWSR\x07\x01"), []byte("\xffWSR"), big, {}} {
		if err := all[0].Write(t.Context(), client.MessageBinary, p); err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			if _, got, err := d.Read(t.Context()); err != nil || string(got) != string(p) {
				t.Fatalf("heard %d bytes, %v, want the %d that were said", len(got), err, len(p))
			}
		}
	}
}

// A member that reads nothing does not hold the others up: it is taken out when it
// is too far behind, and its client hears that, and may begin anew.
func TestDeviceThatLags(t *testing.T) {
	t.Parallel()
	const lines = 4000
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		_, _, _ = c.Read(context.Background())
		for i := range lines {
			if c.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, "%d:%0500d", i, 0)) != nil {
				return
			}
		}
		_, _, _ = c.Read(context.Background())
	})
	f := fleetOf(t, 1, app, sharing(func(c *proxy.Config) { c.ShareLag = 256 << 10 }))
	all := f.devices(0, 3)
	all[0].say("begin")
	for i := range lines {
		for _, d := range all[:2] {
			if _, p, err := d.Read(t.Context()); err != nil || !strings.HasPrefix(string(p), fmt.Sprint(i, ":")) {
				t.Fatalf("heard %.20q, %v, want line %d", p, err, i)
			}
		}
	}
	soon(t, "the one that does not read is taken out", func() bool { return f.pods[0].Stats().Attached == 3 })
	for {
		_, _, err := all[2].Read(t.Context())
		var lost *client.SessionLostError
		if errors.As(err, &lost) {
			return
		}
		if err != nil {
			t.Fatalf("the one that was taken out hears %v", err)
		}
	}
}

// refusals are what the pods say of resumes that they refused.
func (f *fleet) refusals() string {
	var said []string
	for _, p := range f.pods {
		said = append(said, p.log.with("resume refused")...)
	}
	return strings.Join(said, "")
}

// writeAll has the devices write n messages each, and hear all that is said until one
// of them has said "end".
func writeAll(t *testing.T, all []*device, n int, pause time.Duration, meanwhile func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var writers, readers sync.WaitGroup
	for i, d := range all {
		writers.Go(func() {
			for j := range n {
				if err := d.Write(ctx, client.MessageText, fmt.Appendf(nil, "d%d-%d", i, j+1)); err != nil {
					t.Errorf("device %d: %v", i, err)
					return
				}
				time.Sleep(pause)
			}
		})
		readers.Go(func() {
			for len(d.heard) == 0 || !strings.HasSuffix(d.heard[len(d.heard)-1], ":end") {
				_, p, err := d.Read(ctx)
				if err != nil {
					t.Errorf("device %d heard %d lines: %v", i, len(d.heard), err)
					return
				}
				d.heard = append(d.heard, string(p))
			}
		})
	}
	meanwhile()
	writers.Wait()
	for _, d := range all {
		for d.Unacked() > 0 && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
	if err := all[0].Write(ctx, client.MessageText, []byte("end")); err != nil {
		t.Error(err)
	}
	readers.Wait()
}

// The pod with the session is drained while its devices are cut and reach it through
// other pods: nothing is lost, doubled or out of order for any of them.
func TestDevicesMoveWithTheirPod(t *testing.T) {
	t.Parallel()
	const each = 150
	app := newBoard()
	f := fleetOf(t, 3, app, sharing(nil))
	all := f.devices(0, 3)
	var moved sync.WaitGroup
	writeAll(t, all, each, 8*time.Millisecond, func() {
		for cut := range 20 {
			for i, d := range all {
				time.Sleep(15 * time.Millisecond)
				at := (cut + i) % 3
				if cut >= 8 && at == 0 {
					at = 1
				}
				d.move(at)
			}
			if cut == 8 {
				moved.Go(func() {
					if err := f.pods[0].Drain(t.Context(), drain.Schedule{Move: time.Second, Stragglers: 3 * time.Second}); err != nil {
						t.Error(err)
					}
				})
			}
		}
	})
	moved.Wait()
	log := app.check(t, 3*each+1)
	for i, d := range all {
		if !slices.Equal(d.heard, log) {
			t.Errorf("device %d heard %d lines that are not the app's log of %d", i, len(d.heard), len(log))
		}
		ownOrder(t, log, fmt.Sprintf("d%d", i), each)
		if events := d.eventLog(); strings.Contains(events, "reset") || !strings.Contains(events, "adopted drained") {
			t.Errorf("device %d was told %q: %s", i, events, f.refusals())
		}
	}
}

// The pod with the session dies: what its app had said and nobody had heard may be
// gone, for all devices alike, and all hear one log.
func TestDevicesSurviveTheirPod(t *testing.T) {
	t.Parallel()
	const each = 150
	app := newBoard()
	f := fleetOf(t, 2, app, sharing(nil))
	all := f.devices(0, 3)
	writeAll(t, all, each, 8*time.Millisecond, func() {
		for cut := range 20 {
			if cut == 10 {
				f.pods[0].link.Close() // nobody reaches it any more
				f.leases.set(f.pods[0].name, store.LeaseGone)
			}
			for i, d := range all {
				time.Sleep(15 * time.Millisecond)
				if cut < 10 {
					d.move((cut + i) % 2)
				} else {
					d.move(1)
				}
			}
		}
	})
	last := 0
	for _, line := range all[0].heard {
		number, _, _ := strings.Cut(line, ":")
		n, err := strconv.Atoi(number)
		if err != nil || n <= last {
			t.Errorf("line %q after line %d", line, last)
		}
		last = n
	}
	for i, d := range all {
		if !slices.Equal(d.heard, all[0].heard) {
			t.Errorf("device %d heard %d lines, and device 0 heard %d others", i, len(d.heard), len(all[0].heard))
		}
		if events := d.eventLog(); strings.Contains(events, "reset") || !strings.Contains(events, "adopted owner_lost") {
			t.Errorf("device %d was told %q: %s", i, events, f.refusals())
		}
	}
	t.Logf("%d of %d lines were heard", len(all[0].heard), len(app.log))
}

// Devices that reach different pods are joined all the same: at the pod with the
// session, at the one to which it was adopted, and at one that adopts it since the
// owner is gone.
func TestDevicesJoinAcrossPods(t *testing.T) {
	t.Parallel()
	app := newBoard()
	f := fleetOf(t, 3, app, sharing(nil))
	var all []*device
	join := func(at int) *device {
		d := &device{podClient: f.connect(at, "/board", asUser("alice"))}
		all = append(all, d)
		return d
	}
	hear := func(want string) {
		t.Helper()
		for _, d := range all {
			d.hear(want)
		}
	}
	join(0)
	join(1)
	all[0].sayAcked("a")
	hear("1:a")
	all[1].sayAcked("b")
	hear("2:b")
	if app.sockets != 1 {
		t.Fatalf("the app has %d sockets, want 1", app.sockets)
	}
	f.pods[0].link.Close()
	f.leases.set(f.pods[0].name, store.LeaseGone)
	for _, d := range all {
		d.to.Store(-1)
		d.cut()
	}
	join(2)
	for _, d := range all[:2] {
		d.to.Store(1)
	}
	all[2].sayAcked("c")
	hear("3:c")
	join(1)
	all[3].sayAcked("d")
	hear("4:d")
	if app.sockets != 2 {
		t.Errorf("the app had %d sockets, want 2", app.sockets)
	}
}

// Devices of one user that come at the same moment, by different pods, have one
// session.
func TestDevicesComeTogether(t *testing.T) {
	t.Parallel()
	const n = 6
	app := newBoard()
	f := fleetOf(t, 3, app, sharing(nil))
	all := make([]*client.Conn, n)
	var joins sync.WaitGroup
	for i := range n {
		joins.Go(func() {
			o := asUser("alice")
			o.NetDial = func(ctx context.Context, _, _ string) (net.Conn, error) { return f.pods[i%3].dial(ctx) }
			c, _, err := client.Dial(t.Context(), "ws://app/board", o)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { c.CloseNow() })
			all[i] = c
		})
	}
	if joins.Wait(); t.Failed() {
		return
	}
	if err := all[0].Write(t.Context(), client.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		mustRead(t.Context(), t, c, "1:hello")
	}
}
