package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
)

// flaky is a store that can be out of reach.
type flaky struct {
	store.Store
	away atomic.Bool
}

var errAway = fmt.Errorf("test: %w", store.ErrUnavailable)

func (s *flaky) Append(ctx context.Context, id store.ID, after store.Revision, rec *store.Record) (store.Revision, error) {
	if s.away.Load() {
		return 0, errAway
	}
	return s.Store.Append(ctx, id, after, rec)
}

func (s *flaky) Load(ctx context.Context, id store.ID) (*store.State, error) {
	if s.away.Load() {
		return nil, errAway
	}
	return s.Store.Load(ctx, id)
}

// goes takes the store away, or brings it back, and tells all pods.
func (s *flaky) goes(f *fleet, away bool) {
	s.away.Store(away)
	for _, p := range f.pods {
		var why error
		if away {
			why = errAway
		}
		p.SetStoreAvailable(!away, why)
		p.SetStoreAvailable(!away, why) // it is said often, and told once
	}
}

func newStoreStage(t *testing.T, strict bool) (*fleet, *script, *flaky) {
	app := newScript()
	f := newFleet(t, app, true)
	s := &flaky{Store: f.store}
	change := func(c *proxy.Config) { c.Store, c.StrictStore = s, strict }
	f.add(change)
	f.add(change)
	return f, app, s
}

// The journal is away for a while: sessions begin, go on and are resumed, and
// when it is back it has everything that is not acknowledged.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, app, s := newStoreStage(t, false)
		p := f.pods[0]
		before := f.connect(0, "/", &client.Options{Adopt: true})
		old := <-app.sockets
		time.Sleep(time.Second)
		s.goes(f, true)
		during := f.connect(0, "/", &client.Options{Adopt: true})
		fresh := <-app.sockets
		for i, v := range []*podClient{before, during} {
			v.sayAcked(fmt.Sprint("live-", i))
			v.cut()
			v.event(client.EventResumed, "")
			v.sayAcked(fmt.Sprint("back-", i))
		}
		say(t, old, "to before")
		say(t, fresh, "to during")
		before.hear("to before")
		during.hear("to during")
		time.Sleep(time.Second) // it is acknowledged

		// Away, both have more to come.
		const more = 100
		before.move(-1)
		during.move(-1)
		synctest.Wait()
		for i := range more {
			say(t, old, fmt.Sprint("before-", i))
			say(t, fresh, fmt.Sprint("during-", i))
		}
		time.Sleep(30 * time.Second)
		if st := p.Stats(); st.Detached != 2 {
			t.Fatalf("%d sessions are kept, want 2", st.Detached)
		}
		// What only the other pod's journal could know is to be tried again.
		before.to.Store(1)
		time.Sleep(3 * time.Second)
		if n := f.pods[1].watch.count("reset try_again"); n == 0 || before.State() != client.StateReconnecting {
			t.Errorf("told %d times to try again; the client is %v", n, before.State())
		}
		before.to.Store(-1)

		s.goes(f, false)
		time.Sleep(6 * time.Second) // the longest pause between two appends and more
		for _, view := range p.views() {
			st, err := f.store.Load(t.Context(), storeID(t, view.ID))
			if err != nil {
				t.Fatal(err)
			}
			if st.Gap || st.OutHead != more+1 || st.OutAcked != 1 || len(st.Frames) != more || st.InAcked != 2 {
				t.Errorf("journal: gap %v, %d to %d, %d frames, inbound %d", st.Gap, st.OutAcked, st.OutHead, len(st.Frames), st.InAcked)
			}
			for i, fr := range st.Frames {
				if fr.Seq != uint32(i+2) || !bytes.HasSuffix(fr.Data, fmt.Appendf(nil, "-%d", i)) {
					t.Fatalf("frame %d is %q", fr.Seq, fr.Data)
				}
			}
		}
		for name, v := range map[string]*podClient{"before": before, "during": during} {
			v.to.Store(1)
			v.event(client.EventAdopted, "owner_lost")
			for i := range more {
				v.hear(fmt.Sprint(name, "-", i))
			}
			v.sayAcked("end")
		}
		for _, p := range f.pods {
			if down, up := p.watch.count("store away"), p.watch.count("store available"); down != 1 || up != 1 {
				t.Errorf("told %d times of its going and %d of its coming", down, up)
			}
			if n := len(p.log.with("journal is")); n != 2 || len(p.log.with("audit=true")) < 2 {
				t.Errorf("%d lines in the log, want 2", n)
			}
		}
	})
}

// A strict sidecar begins no session that the journal does not know. Live ones
// go on all the same, and HTTP and plain clients are none of its business.
func TestStrictStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, app, s := newStoreStage(t, true)
		p := f.pods[0]
		v := f.connect(0, "/", nil)
		socket := <-app.sockets
		s.goes(f, true)
		netDial := func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) }
		_, resp, err := client.Dial(t.Context(), "ws://app/", &client.Options{NetDial: netDial})
		if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Wsr-Refused") != "journal" {
			t.Errorf("a new session: %v, %v, want 503 with Retry-After and the mark", resp, err)
		}
		page := websocket.DialOptions{
			Subprotocols: []string{"wsr", "wsr.v1"}, HTTPHeader: http.Header{"Origin": {"http://app"}},
			HTTPClient: &http.Client{Transport: &http.Transport{DialContext: netDial}},
		}
		if c, _, err := websocket.Dial(t.Context(), "ws://app/", &page); err != nil {
			t.Errorf("a page sees a handshake that failed: %v", err)
		} else if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != 1013 || c.Subprotocol() != "wsr.v1" {
			t.Errorf("a page hears %v with subprotocol %q, want 1013 with ours", err, c.Subprotocol())
		}
		p.connectPlain(t)
		<-app.sockets
		v.sayAcked("live")
		v.cut()
		v.event(client.EventResumed, "")
		say(t, socket, "on")
		v.hear("on")
		s.goes(f, false)
		c, _, err := client.Dial(t.Context(), "ws://app/", &client.Options{NetDial: netDial})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Close(1000, ""), v.Close(1000, "")); err != nil {
			t.Error(err)
		}
	})
}

// The journal is away while a pod drains, and comes back in time: the session
// waits for it, and is handed over complete.
func TestDrainWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, app, s := newStoreStage(t, false)
		p := f.pods[0]
		v := f.connect(0, "/", &client.Options{Adopt: true})
		socket := <-app.sockets
		v.sayAcked("hello")
		v.move(-1)
		time.Sleep(time.Second)
		say(t, socket, "one")
		s.goes(f, true)
		done := p.drains(t)
		time.Sleep(schedule.Notice + schedule.Move + schedule.Stragglers - 6*time.Second)
		s.goes(f, false) // in time for one more attempt
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		v.to.Store(1)
		v.event(client.EventAdopted, "drained")
		v.hear("one")
	})
}
