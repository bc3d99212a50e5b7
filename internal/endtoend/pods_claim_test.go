package endtoend

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/drain"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
)

// lastClaim is the journal of a sidecar that is gone as soon as a claim of its
// stands.
type lastClaim struct {
	store.Store
	claimed atomic.Int32
	died    func()
}

func (s *lastClaim) Append(ctx context.Context, id store.ID, after store.Revision, rec *store.Record) (store.Revision, error) {
	if s.claimed.Load() > 0 {
		return 0, store.ErrUnavailable
	}
	rev, err := s.Store.Append(ctx, id, after, rec)
	if err != nil || rec.Kind != store.Claim {
		return rev, err
	}
	s.claimed.Add(1)
	s.died()
	return 0, store.ErrUnavailable
}

// A session moves, and the pod that it moves to dies right after its claim. The
// client has heard nothing of that, and no app either: for the third pod the
// session is as the first left it, with nothing missing.
func TestAdopterDiesAfterItsClaim(t *testing.T) {
	t.Parallel()
	app := newScript()
	f := fleetOf(t, 1, app, nil)
	journal := &lastClaim{}
	second := f.add(func(c *proxy.Config) {
		journal.Store = c.Store
		c.Store = journal
	})
	f.add(nil)
	v := f.connect(0, "/", &client.Options{Adopt: true})
	journal.died = func() {
		_ = second.link.Down(true)
		v.to.Store(2)
	}
	socket := <-app.sockets
	v.sayAcked("hello")
	say(t, socket, "one")
	v.hear("one")
	v.to.Store(1)
	if err := f.pods[0].Drain(t.Context(), drain.Schedule{Move: 3 * time.Second, Stragglers: 2 * time.Second}); err != nil {
		t.Fatal(err)
	}
	v.event(client.EventAdopted, "drained")
	say(t, <-app.sockets, "two")
	v.hear("two")
	v.sayAcked("again")
	if n := journal.claimed.Load(); n != 1 {
		t.Errorf("%d claims of the pod that died, want one", n)
	}
	soon(t, "the app has read it all, once", func() bool { return app.all() == "1:hello 2:again" })
}
