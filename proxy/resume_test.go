package proxy

import (
	"context"
	"sync"
	"testing"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// endStore is a store that takes its time with the end of a session.
type endStore struct {
	store.Store
	once    sync.Once
	reached chan struct{} // closed when an end came
	release chan struct{}
}

func (s *endStore) Append(ctx context.Context, id store.ID, after store.Revision, rec *store.Record) (store.Revision, error) {
	if rec.Kind == store.End {
		s.once.Do(func() { close(s.reached) })
		<-s.release
	}
	return s.Store.Append(ctx, id, after, rec)
}

// A session that was closed is over at that moment, and not when the journal
// has heard of it: a resume in between must not bring it back.
func TestResumeBeforeTheEndIsWritten(t *testing.T) {
	s := &endStore{reached: make(chan struct{}), release: make(chan struct{})}
	sc := newScene(t, func(c *Config) { s.Store, c.Store = c.Store, s })
	p := sc.resilient("/victim")
	p.echo("mine")
	p.control(wire.AppendClose(nil, 1000, "bye"))
	wantSessionClose(t, p, 1000)
	p.wantClose(1000)
	<-s.reached
	if _, how := sc.resume("/victim", p.welcome.Token, 1, 2); how != "reset unknown" {
		t.Errorf("before the end is written: %s, want reset unknown", how)
	}
	close(s.release)
	eventually(t, "the end is written", func() bool {
		st, err := s.Load(t.Context(), store.ID(p.welcome.Session))
		return err == nil && st.Kind == store.End
	})
	if _, how := sc.resume("/victim", p.welcome.Token, 1, 2); how != "reset unknown" {
		t.Errorf("after the end is written: %s, want reset unknown", how)
	}
	if n := sc.app.dialled("/victim"); n != 1 {
		t.Errorf("the app was dialled %d times", n)
	}
	if st := sc.srv.Stats(); st.Detached != 0 {
		t.Errorf("%d sessions are left", st.Detached)
	}
}
