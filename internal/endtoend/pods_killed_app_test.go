package endtoend

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/proxy"
)

// appAddress makes this program an app in a process of its own.
const appAddress = "WSR_TEST_APP_ADDRESS"

// appRole serves until standard input ends, which it does when the test is gone.
func appRole(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- http.Serve(l, newSingle(0, websocket.StatusAbnormalClosure)) }()
	go func() {
		_, err := os.Stdin.Read(make([]byte, 1))
		failed <- err
	}()
	return <-failed
}

func startApp(t *testing.T, address string) *proc.Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{appAddress + "=" + address}
	app, err := new(proc.Starter).Start("app", cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(app.Kill)
	soon(t, "the app listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return app
}

// stop pauses a process, and returns when none of its threads goes on.
func stop(t *testing.T, p *proc.Process) {
	t.Helper()
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	threads := fmt.Sprintf("/proc/%d/task/", p.Pid())
	soon(t, "the process stands still", func() bool {
		tasks, err := os.ReadDir(threads)
		for _, task := range tasks {
			var stat []byte
			if stat, err = os.ReadFile(threads + task.Name() + "/stat"); err != nil || !bytes.Contains(stat, []byte(") T ")) {
				return false
			}
		}
		return err == nil
	})
}

// An app's process dies with all its sockets and is started again: FIN where it
// had read everything, RST where it had not. All its clients are held, whether they
// are there or away.
func TestAppProcessIsKilled(t *testing.T) {
	for name, unread := range map[string]bool{"FIN": false, "RST": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addresses, err := proc.FreeAddrs(1)
			if err != nil {
				t.Fatal(err)
			}
			app := startApp(t, addresses[0])
			f := newFleet(t, http.NotFoundHandler(), false)
			p := f.add(func(c *proxy.Config) {
				c.Upstream, c.AppRetry, c.Snapshots = "http://"+addresses[0], retry, loginGuide(t)
			})
			there, alsoThere, away := f.logIn(0, user(1)), f.logIn(0, user(2)), f.logIn(0, user(3))
			away.move(-1)
			soon(t, "one is away", func() bool { return p.Stats().Detached == 1 })
			if unread {
				stop(t, app)
				there.sayAcked("goes with the process")
			}
			app.Kill()
			soon(t, "it is noticed", func() bool { return p.watch.count("dialled failed") > 0 })
			there.say("held") // before, it could go with the process
			startApp(t, addresses[0])
			for _, v := range []*podClient{there, alsoThere} {
				v.event(client.EventAdopted, "app_restarted")
				v.hear("hello")
			}
			there.hear("held")
			away.to.Store(0)
			away.event(client.EventResumed, "")
			away.event(client.EventAdopted, "app_restarted")
			away.hear("hello")
			soon(t, "three restarts", func() bool { return p.watch.count("app restarted ok") == 3 })
		})
	}
}

// An app's process dies while its pod drains: all move, to the other pod's app.
func TestAppProcessIsKilledInDrain(t *testing.T) {
	t.Parallel()
	addresses, err := proc.FreeAddrs(2)
	if err != nil {
		t.Fatal(err)
	}
	app := startApp(t, addresses[0])
	startApp(t, addresses[1])
	f := newFleet(t, http.NotFoundHandler(), false)
	for _, a := range addresses {
		f.add(func(c *proxy.Config) {
			c.Upstream, c.AppRetry, c.Snapshots = "http://"+a, retry, loginGuide(t)
		})
	}
	one, two, away := f.logIn(0, user(1)), f.logIn(0, user(2)), f.logIn(0, user(3))
	away.move(-1)
	go f.pods[0].Drain(t.Context(), schedule)
	soon(t, "it drains", f.pods[0].Draining)
	for _, v := range []*podClient{one, two} {
		v.to.Store(1)
	}
	app.Kill()
	one.say("held")
	for _, v := range []*podClient{one, two} {
		v.event(client.EventAdopted, "app_restarted")
		v.hear("hello")
	}
	one.hear("held")
	away.to.Store(1)
	away.event(client.EventAdopted, "app_restarted")
	away.hear("hello")
}

// The app ends one socket by a reset, and lives. It meant that one.
func TestTakenPlaceByReset(t *testing.T) {
	t.Parallel()
	app := newSingle(0, websocket.StatusAbnormalClosure)
	f := fleetOf(t, 1, &resetting{app}, func(c *proxy.Config) { c.AppRetry, c.Snapshots = retry, loginGuide(t) })
	f.logIn(0, user(1))
	old := f.logIn(0, login)
	next := f.logIn(0, login)
	old.wantClosed(1006)
	next.sayAcked("still here")
	next.hear("still here")
	if logins, kicked := app.counts(login); logins != 2 || kicked != 1 {
		t.Errorf("%d logins and %d kicked, want 2 and 1", logins, kicked)
	}
	if n := f.pods[0].watch.count("app restarted ok"); n != 0 {
		t.Errorf("%d restarts, want none", n)
	}
}

// resetting is an app whose sockets end with a reset if it closes them without a
// close frame.
type resetting struct{ http.Handler }

func (a *resetting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.Handler.ServeHTTP(resettingWriter{w}, r)
}

type resettingWriter struct{ http.ResponseWriter }

func (w resettingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		err = c.(*net.TCPConn).SetLinger(0)
	}
	return c, rw, err
}
