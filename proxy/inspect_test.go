package proxy

import (
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// Operators see each session and each plain connection, by an id, and no longer
// when it is over.
func TestViews(t *testing.T) {
	sc := newScene(t, nil)
	p := sc.resilient("/mine")
	p.echo("one")
	id := p.welcome.Session
	kinds := map[event.ClientKind]int{}
	for v := range sc.srv.Views() {
		kinds[v.Kind]++
		if v.Phase != session.PhaseAttached || !v.Attached || v.Owner != "sidecar:1" || v.ID == (wire.SessionID{}) || v.Began.After(time.Now()) {
			t.Errorf("%+v", v)
		}
		again, _, ok := sc.srv.View(v.ID)
		if !ok || again.ID != v.ID || again.Kind != v.Kind {
			t.Errorf("asked by its id: %v, %+v", ok, again)
		}
	}
	if kinds[event.Plain] != 1 || kinds[event.Resilient] != 2 {
		t.Errorf("%v, want the scene's two and mine", kinds)
	}
	v, _, _ := sc.srv.View(id)
	if v.Counters.InMessages != 1 || v.Epoch != 1 || !v.Journal.On {
		t.Errorf("%+v", v)
	}
	for range sc.srv.Views() {
		break // one who has seen enough holds nothing
	}
	p.conn.Close()
	eventually(t, "it is detached", func() bool {
		v, _, ok := sc.srv.View(id)
		return ok && v.Phase == session.PhaseDetached && v.ExpiresIn > 0 && v.ExpiresIn <= 5*time.Minute
	})
	q, how := sc.resume("/mine", p.welcome.Token, 1, 2)
	if how != "resumed" {
		t.Fatal(how)
	}
	q.control(wire.AppendClose(nil, 1000, "bye"))
	eventually(t, "it is over", func() bool { _, _, ok := sc.srv.View(id); return !ok })
}
