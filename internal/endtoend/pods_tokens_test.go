package endtoend

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/drain"
	"github.com/wsresilience/wsresilience/proxy"
)

// Clients that are attached come for new tokens when they are asked to, each once,
// and notice nothing else. Those that are away, or came meanwhile, are not asked.
func TestReissueTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newScript()
		f := newFleet(t, app, true)
		p := f.add(nil)
		var all []*podClient
		for range 5 {
			all = append(all, f.connect(0, "/", nil))
			<-app.sockets
		}
		away := all[4]
		away.move(-1)
		all = all[:4]
		time.Sleep(time.Second)
		p.ReissueTokens("a test")
		p.ReissueTokens("begins anew")
		if n := p.Stats().OldTokens; n != 4 {
			t.Errorf("%d are to be asked, want 4", n)
		}
		for _, v := range all {
			v.event(client.EventResumed, "")
		}
		time.Sleep(time.Minute / 2)
		for _, v := range all {
			v.sayAcked("still here")
			if said := v.eventLog(); said != "" {
				t.Errorf("the client was told %q", said)
			}
		}
		if n := p.watch.count("resumed"); n != 4 || p.Stats().OldTokens != 0 {
			t.Errorf("%d resumes, %d are left", n, p.Stats().OldTokens)
		}
	})
}

// A sidecar that stops does not hand a session over to one that cannot read its
// token: the client gets another token first, and moves with that.
func TestDrainWithTokensThatNotAllRead(t *testing.T) {
	t.Parallel()
	app := newScript()
	f := fleetOf(t, 2, app, func(c *proxy.Config) { c.HandOverPatience = 300 * time.Millisecond })
	owner := f.pods[0]
	v := f.connect(0, "/", &client.Options{Adopt: true})
	<-app.sockets
	v.sayAcked("in-0")
	f.leases.write(0) // of a version that the token's is above
	v.to.Store(1)
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		done <- owner.Drain(ctx, drain.Schedule{Move: 50 * time.Millisecond, Stragglers: 15 * time.Second})
	}()
	v.event(client.EventResumed, "") // by the other one, from the owner
	f.leases.write(1)
	v.event(client.EventAdopted, "owed") // this app answers nothing
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-app.sockets
	v.sayAcked("in-1")
	soon(t, "the app has heard all, once", func() bool { return app.all() == "1:in-0 2:in-1" })
}
