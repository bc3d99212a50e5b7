//go:build nginx

package fronts

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// After a reload the old workers leave when worker_shutdown_timeout is over,
// and cut whom they have. A plain client loses its connection, a resilient
// one nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	a := new(app)
	n := front(t, a, usual, edit{"worker_shutdown_timeout 60s;", "worker_shutdown_timeout 300ms;"})
	ctx := timed(t)
	v, c := dialResilient(t, n.addr), mustPlain(t, n.addr, "/")
	stop, sent := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				sent <- nil
				return
			default:
			}
			if err := v.echo(ctx, fmt.Sprint(i)); err != nil {
				sent <- err
				return
			}
		}
	}()
	n.reload(t)
	wantCut(ctx, t, c)
	v.wantResumed(ctx, t)
	close(stop)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if got := a.sockets.Load(); got != 2 {
		t.Errorf("the app saw %d sockets, want one of each client", got)
	}
}

// Without the limit an old worker stays for as long as its connection does,
// beside the two new ones.
func TestReloadWithoutALimit(t *testing.T) {
	t.Parallel()
	n := front(t, new(app), usual, edit{"worker_shutdown_timeout 60s;", ""})
	ctx := timed(t)
	v := dialResilient(t, n.addr)
	if err := v.echo(ctx, "before"); err != nil {
		t.Fatal(err)
	}
	old := n.workers(t)
	n.reload(t)
	for {
		now := n.workers(t)
		stayed := slices.DeleteFunc(slices.Clone(now), func(pid string) bool { return !slices.Contains(old, pid) })
		if len(now) == 3 && len(stayed) == 1 {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("the workers are %v, and were %v; want two new ones and one of the old", now, old)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := v.echo(ctx, "after"); err != nil {
		t.Fatal(err)
	}
	if _, dials := v.newest(); dials != 1 {
		t.Errorf("the client dialled %d times, want once", dials)
	}
}
