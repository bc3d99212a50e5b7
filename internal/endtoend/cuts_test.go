package endtoend

import (
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/faultlink"
)

// A close on a connection that has died without a sign reaches the app, behind
// what was said before.
func TestCloseOnDeadConnection(t *testing.T) {
	t.Parallel()
	upstream, apps := appSockets(t)
	s := newStageAt(t, upstream, nil)
	c := s.dial(t, nil)
	app := <-apps
	for _, dead := range s.link.Conns() {
		dead.Silence()
	}
	if err := c.Write(t.Context(), client.MessageText, []byte("last words")); err != nil {
		t.Fatal(err)
	}
	heard := make(chan []string, 1)
	go func() {
		defer app.Close()
		var all []string
		for {
			h, err := ws.ReadHeader(app)
			if err != nil {
				break
			}
			p := make([]byte, h.Length)
			_, _ = io.ReadFull(app, p)
			ws.Cipher(p, h.Mask, 0)
			if all = append(all, string(p)); h.OpCode == ws.OpClose {
				_ = ws.WriteFrame(app, ws.NewCloseFrame(p))
				break
			}
		}
		heard <- all
	}()
	if err := c.Close(3001, "bye"); err != nil {
		t.Error(err)
	}
	if got := <-heard; !slices.Equal(got, []string{"last words", "\x0b\xb9bye"}) {
		t.Errorf("the app heard %q", got)
	}
}

// At least 200 cuts of every kind while messages flow in both directions:
// nothing is lost, doubled or reordered, on one and the same app socket (I1,
// I2).
func TestManyCuts(t *testing.T) {
	t.Parallel()
	app := &counterApp{total: 4000, pause: 4 * time.Millisecond}
	s := newStage(t, app, nil)
	c := s.dial(t, &client.Options{Backoff: client.Backoff{Max: 200 * time.Millisecond}})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	traffic := make(chan error, 1)
	go func() { traffic <- s.both(ctx, c) }()

	cuts := 0
	for kinds := [...]func(){
		func() { s.link.Cut(faultlink.RST) },
		func() { s.link.Cut(faultlink.FIN) },
		func() { s.link.Cut(faultlink.DropClient) },
		func() { s.link.Cut(faultlink.DropTarget) },
		func() { s.link.CutAfter(faultlink.Inbound, rand.Int64N(300), faultlink.RST) },
		func() { s.link.CutAfter(faultlink.Outbound, rand.Int64N(300), faultlink.FIN) },
		func() {
			s.link.Silence()
			time.Sleep(time.Duration(rand.Int64N(int64(100 * time.Millisecond))))
			s.link.Heal()
		},
	}; ; cuts++ {
		select {
		case err := <-traffic:
			if err != nil {
				t.Fatalf("after %d cuts: %v", cuts, err)
			}
			if cuts < 200 {
				t.Fatalf("only %d cuts in the whole run", cuts)
			}
			st := s.proxy.Stats()
			t.Logf("%d cuts, %d messages each way, %d replayed, %d duplicates dropped", cuts, app.total, st.Traffic.Replayed, st.Traffic.Duplicates)
			if st.Traffic.Replayed == 0 || st.Traffic.Duplicates == 0 {
				t.Error("no message was replayed or dropped: the cuts did not hit")
			}
			return
		case <-time.After(time.Duration(20+rand.Int64N(60)) * time.Millisecond):
			kinds[cuts%len(kinds)]()
		}
	}
}
