package proxy

import (
	"context"
	"sync"
	"testing"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/admission"
	"github.com/wsresilience/wsresilience/session"
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

// A resume may have found the session just before it left. It lives on in the
// journal, so its client must not be told to forget it.
func TestResumeOfOneThatLeft(t *testing.T) {
	leave := map[string]func(*sessionDriver){
		"handed over": func(c *sessionDriver) { <-c.handOver(event.HandOverDetached, 0) },
		"fenced": func(c *sessionDriver) {
			now := c.enter()
			defer c.leave()
			c.m.Persisted(now, session.PersistRefused)
			c.settleLocked(now)
		},
		"killed": (*sessionDriver).kill,
	}
	for name, leave := range leave {
		t.Run(name, func(t *testing.T) {
			sc := newScene(t, nil)
			p := sc.resilient("/victim")
			p.echo("mine")
			found, _ := sc.srv.sessions.find(p.welcome.Session, nil)
			if found == nil {
				t.Fatal("no session")
			}
			token, err := wire.OpenToken(sc.srv.cfg.Tokens, p.welcome.Token)
			if err != nil {
				t.Fatal(err)
			}
			at := session.Position{Received: 1, Next: 2, Epoch: token.Epoch, Generation: token.Generation}
			if _, reason, _ := found.check(token, at); reason != 0 {
				t.Fatalf("before it left: %v", reason)
			}
			leave(found)
			if _, reason, _ := found.check(token, at); reason != wire.ResetTryAgain {
				t.Errorf("before the handshake: %v, want try again", reason)
			}
			r := &resume{request: new(request), facts: admission.Facts{Token: token, Position: at}}
			if _, reason, _ := found.attach(r, nil, false); reason != wire.ResetTryAgain {
				t.Errorf("after the handshake: %v, want try again", reason)
			}
			if _, how := sc.resume("/victim", p.welcome.Token, 1, 2); how != "adopted" {
				t.Errorf("asked again: %s, want adopted", how)
			}
		})
	}
}
