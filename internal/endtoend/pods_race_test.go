package endtoend

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// contender is one connection that speaks wsr.v1 by hand.
type contender struct {
	conn   *websocket.Conn
	status string // of WELCOME, or RESET and its reason
	token  string
	heard  []string // data
	end    error
}

// contend makes a connection to a pod and reads its first message. What early
// holds is sent before anything is read.
func (p *pod) contend(ctx context.Context, header map[string][]string, o wire.Offer, early ...string) (*contender, error) {
	d := websocket.Dialer{
		Subprotocols:   o.Protocols(),
		NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) },
	}
	conn, _, err := d.DialContext(ctx, "ws://app/", header)
	if err != nil {
		return nil, err
	}
	c := &contender{conn: conn}
	for _, m := range early {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			break // its RESET is on its way
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, msg, err := conn.ReadMessage()
	if err != nil {
		conn.Close()
		return nil, err
	}
	if w, err := wire.ParseWelcome(msg); err == nil {
		c.status, c.token = w.Status.String(), w.Token
	} else if r, _, err := wire.ParseReset(msg); err == nil {
		c.status = "reset " + r.String()
	} else {
		conn.Close()
		return nil, fmt.Errorf("first message %x", msg)
	}
	return c, nil
}

// listen reads data until the connection ends, or until the last word. After an
// adoption it says first that nothing is to be restored. That shows that WELCOME
// was read, and so which token the client has: until it listens, nobody knows.
func (c *contender) listen(last string) {
	if c.status == "adopted" {
		_ = c.conn.WriteMessage(websocket.BinaryMessage, wire.AppendRestored(nil)) // it may be superseded already
	}
	for {
		_, msg, err := c.conn.ReadMessage()
		if err != nil {
			c.end = err
			return
		}
		if _, ours := wire.TypeOf(msg); ours {
			continue
		}
		if c.heard = append(c.heard, string(msg)); string(msg) == last {
			return
		}
	}
}

func (c *contender) closed(code int) bool { return websocket.IsCloseError(c.end, code) }

// Many connections resume one session at the same instant. One of them stays
// and has every message once, in order; the app hears the message that all of
// them bring once; the others know that they are not it.
func TestManyResumeAtOnce(t *testing.T) {
	for _, pods := range []int{1, 3} {
		for _, n := range []int{2, 10, 100} {
			t.Run(fmt.Sprintf("%d at %d pods", n, pods), func(t *testing.T) {
				t.Parallel()
				race(t, pods, n, false)
			})
		}
	}
}

// The same when the owner is gone: one of the others adopts, once.
func TestManyAdoptAtOnce(t *testing.T) {
	for _, pods := range []int{2, 4} { // the first is the one that is gone
		for _, n := range []int{2, 10, 100} {
			t.Run(fmt.Sprintf("%d at %d pods", n, pods-1), func(t *testing.T) {
				t.Parallel()
				race(t, pods, n, true)
			})
		}
	}
}

func race(t *testing.T, pods, n int, gone bool) {
	app := newScript()
	f := fleetOf(t, pods, app, nil)
	owner, at := f.pods[0], f.pods
	first, err := owner.contend(t.Context(), nil, wire.Offer{Resilient: true, Adopt: true})
	if err != nil || first.status != "new" {
		t.Fatal(first, err)
	}
	if err := first.conn.WriteMessage(websocket.TextMessage, []byte("in-1")); err != nil {
		t.Fatal(err)
	}
	socket := <-app.sockets
	soon(t, "the app has the first message", func() bool { return app.all() == "1:in-1" })
	id := owner.session(t).ID
	for i := range 5 {
		say(t, socket, fmt.Sprint("out-", i+1))
	}
	f.journaled(id, 5) // nothing is acknowledged
	if gone {
		at = f.pods[1:]
		if err := owner.link.Down(true); err != nil {
			t.Fatal(err)
		}
		f.leases.set(owner.name, store.LeaseGone)
		first.conn.Close()
	}

	offer := wire.Offer{Resilient: true, Adopt: true, Resume: &wire.Resume{Token: first.token, Received: 0, Next: 2}}
	contenders := make([]*contender, n)
	start := make(chan struct{})
	var dialled, heard sync.WaitGroup
	for i := range n {
		heard.Add(1)
		dialled.Go(func() {
			<-start
			c, err := at[i%len(at)].contend(t.Context(), nil, offer, "in-2")
			if err != nil {
				t.Errorf("contender %d: %v", i, err)
				heard.Done()
				return
			}
			if i%2 == 0 { // it shows that it has its token
				_ = c.conn.WriteMessage(websocket.BinaryMessage, wire.AppendAck(nil, 0))
			}
			contenders[i] = c
			go func() {
				defer heard.Done()
				c.listen("last")
			}()
		})
	}
	close(start)
	dialled.Wait()
	if gone {
		socket = <-app.sockets
	}
	soon(t, "the app has the second message", func() bool { return strings.Contains(app.all(), "in-2") })
	say(t, socket, "last")
	heard.Wait()
	wins := 0
	for i, c := range contenders {
		switch {
		case c == nil:
		case c.end == nil:
			wins++
			if got, want := strings.Join(c.heard, " "), "out-1 out-2 out-3 out-4 out-5 last"; got != want {
				t.Errorf("the winner heard %q, want %q", got, want)
			}
			c.conn.Close()
		case strings.HasPrefix(c.status, "reset") && c.closed(int(wire.CodeReset)):
		case !c.closed(int(wire.CodeSuperseded)):
			t.Errorf("contender %d: %s, then %v, want 4409 or RESET", i, c.status, c.end)
		}
	}
	if wins != 1 {
		t.Errorf("%d winners", wins)
	}
	want := "1:in-1 1:in-2"
	if gone {
		want = "1:in-1 2:in-2"
	}
	if got := app.all(); got != want {
		t.Errorf("the app heard %q, want %q", got, want)
	}
	if len(app.sockets) != 0 {
		t.Errorf("%d app sockets too many", len(app.sockets))
	}
	if first.listen("never"); !gone && !first.closed(int(wire.CodeSuperseded)) {
		t.Errorf("the first connection ended with %v, want 4409", first.end)
	}
}
