package endtoend

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/wire"
)

// Clients are there for longer than their tokens' seven days, and then their pods
// go: one drains, to its last moment, and one dies, each with a client that is there
// and one that is away. The sessions live, here or in the journal, so the tokens do
// not age.
func TestOldTokenAfterRoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newScript()
		f := newFleet(t, app, true)
		rare := func(c *proxy.Config) { // the test's days are not for heartbeats
			c.Heartbeat = heartbeat.Config{Base: time.Hour, Max: time.Hour}
			c.LeaseTTL = 0
		}
		type of struct {
			*podClient
			socket *websocket.Conn
			away   bool
			reason string
		}
		var all []of
		for at, reason := range []string{"drained", "owner_lost"} {
			f.add(rare)
			for _, away := range []bool{false, true} {
				all = append(all, of{f.connect(at, "/", &client.Options{Adopt: true}), <-app.sockets, away, reason})
			}
		}
		time.Sleep(8 * 24 * time.Hour)
		f.add(nil)
		for _, v := range all {
			v.sayAcked("there")
			if v.to.Store(-1); v.away {
				v.cut()
			}
		}
		time.Sleep(time.Second)
		for _, v := range all {
			if v.away {
				say(t, v.socket, "while away")
			}
		}
		time.Sleep(time.Second)
		if err := <-f.pods[0].drains(t); err != nil {
			t.Fatal(err)
		}
		for _, v := range all {
			v.move(2)
			v.event(client.EventAdopted, v.reason)
			<-app.sockets
			if v.away {
				v.hear("while away")
			}
			v.sayAcked("again")
		}
		if got, want := app.all(), "1:there 2:there 3:there 4:there 5:again 6:again 7:again 8:again"; got != want {
			t.Errorf("the app heard %q, want %q", got, want)
		}
	})
}

// An old token comes by another pod to the owner that lives, and to one that drains.
func TestOldTokenPassedOn(t *testing.T) {
	t.Parallel()
	app := newScript()
	f := fleetOf(t, 2, app, nil)
	c := f.pods[0].open(t, nil)
	<-app.sockets
	old := func(token string) string {
		tok, err := wire.OpenToken(f.ring, token)
		if err != nil {
			t.Fatal(err)
		}
		const days = 8 * 24 * time.Hour
		tok.Issued, tok.Expires = tok.Issued.Add(-days), tok.Expires.Add(-days)
		return wire.SealToken(f.ring, tok)
	}
	for attempt, want := range []string{"resumed", "adopted"} {
		if want == "adopted" {
			go f.pods[0].Drain(t.Context(), schedule)
			soon(t, "it drains", f.pods[0].Draining)
		}
		next, err := f.pods[1].contend(t.Context(), nil, again(old(c.token), uint32(attempt+1)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { next.conn.Close() })
		if next.status != want {
			t.Fatalf("with an old token: %s, want %s", next.status, want)
		}
		c = next
	}
}
