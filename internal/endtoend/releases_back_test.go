package endtoend

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// dial is a client that echoed a word through s.
func (f *processes) dial(word string) *client.Conn {
	f.t.Helper()
	c, _, err := client.Dial(f.t.Context(), "ws://"+f.balancer.Addr(0)+"/", &client.Options{ //nolint:bodyclose // need not be closed
		Adopt: true, Backoff: client.Backoff{Max: 300 * time.Millisecond},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.CloseNow() })
	f.echo(c, word)
	return c
}

func (f *processes) echo(c *client.Conn, word string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), processLimit)
	defer cancel()
	if err := c.WriteAcked(ctx, client.MessageText, []byte(word)); err != nil {
		f.t.Fatal(err)
	}
	mustRead(ctx, f.t, c, word)
}

// wantLost waits until the client hears that its session is lost, for that reason.
func wantLost(t *testing.T, c *client.Conn, want client.LostReason) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), processLimit)
	defer cancel()
	_, got, err := c.Read(ctx)
	if lost := (*client.SessionLostError)(nil); !errors.As(err, &lost) || lost.Reason != want {
		t.Errorf("read %q, %v; want that the session is lost: %s", got, err, want)
	}
}

// A fleet of the next release is gone at once, and the release before is back: what
// the next one wrote, nobody reads any more. Its clients are left in doubt for the
// time of a lease, in which a sidecar that reads it may come back, and then told.
func TestFleetRolledBackAtOnce(t *testing.T) {
	t.Parallel()
	key, tokens := newKey(t)
	f := newProcesses(t, "WSR_TOKEN_KEYS="+key)
	old, next := f.add(&binary, nil), f.add(&nextRelease, nil)
	f.leave(old)
	// Its token is one that all read; what is in the journal of it, only the next
	// release, once the one before has gone.
	before := f.dial("before")
	if err := old.Terminate(proc.Grace); err != nil {
		t.Fatal(err)
	}
	wantVersion(t, next, tokens, wire.TokenVersions().Newest+1)
	// An answer that is not read stays unacknowledged, and goes to the journal.
	if err := before.WriteAcked(t.Context(), client.MessageText, []byte("unread")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	f.wantRecords(store.Versions().Newest + 1)
	after := f.dial("after")
	f.leave(next)
	next.Kill()
	killed := time.Now()
	f.add(&binary, nil)
	mustRead(t.Context(), t, before, "unread") // it had come
	wantLost(t, before, client.LostMessages)
	wantLost(t, after, client.LostToken)
	if d := time.Since(killed); d < 2*time.Second {
		t.Errorf("lost after %v, before the lease of the last one that could read it was over", d)
	}
	f.dial("new")
}

// The same of a pod whose journal is its own: nobody else will read that.
func TestPodRolledBack(t *testing.T) {
	t.Parallel()
	f := newProcesses(t)
	f.settings = []string{"WSR_DATA_DIR=" + t.TempDir(), "WSR_LEASE_TTL=2s", "WSR_DRIVER=" + proxytest.Driver(t)}
	next := f.add(&nextRelease, nil)
	c := f.dial("said")
	time.Sleep(200 * time.Millisecond) // it is in the journal
	f.leave(next)
	next.Kill()
	began := time.Now()
	f.add(&binary, func(s *lab.Sidecar) { s.Addr = next.Addr })
	wantLost(t, c, client.LostToken)
	if d := time.Since(began); d < 2*time.Second {
		t.Errorf("lost after %v: the next release may come back", d)
	}
	f.dial("new")
}
