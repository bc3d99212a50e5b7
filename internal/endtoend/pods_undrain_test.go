package endtoend

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
)

// TestDrainTakenBack: at each stage of a drain it can be taken back, as often
// as it is asked for. Clients are taken again, those that are left stay, and a
// later drain is a drain. Not so when the sidecar stops.
func TestDrainTakenBack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration
		stays bool // the client's session
	}{
		{"in the notice", schedule.Notice / 2, true},
		{"while clients are left alone", schedule.Notice + time.Second, true},
		{"when it is through", schedule.Notice + schedule.Move + schedule.Stragglers + time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := newScript()
				f := newFleet(t, app, true)
				p := f.add(func(c *proxy.Config) { c.Peers = nil })
				v := f.connect(0, "/", &client.Options{Adopt: true})
				socket := <-app.sockets
				done := p.drains(t)
				time.Sleep(tt.after)
				for range 2 {
					if err := p.Undrain(); err != nil {
						t.Fatalf("it is not taken back: %v", err)
					}
				}
				for range 2 {
					if err := <-done; tt.stays && (err == nil || !strings.Contains(err.Error(), "taken back")) {
						t.Errorf("who waited for the drain heard %v", err)
					}
				}
				if p.Draining() || !p.Accepting() || !p.DrainingSince().IsZero() {
					t.Error("it still drains")
				}
				plain := p.connectPlain(t)
				<-app.sockets
				_ = plain.CloseNow()
				if tt.stays {
					if err := socket.Write(t.Context(), websocket.MessageText, []byte("still here")); err != nil {
						t.Error(err)
					}
					v.hear("still here")
				}
				time.Sleep(schedule.Notice + schedule.Move + schedule.Stragglers)
				if st := p.Stats(); tt.stays && st.Attached != 1 {
					t.Errorf("%d are attached: one was moved by a drain that is none", st.Attached)
				}
				again := p.drains(t)
				for range 2 {
					if err := <-again; err != nil {
						t.Errorf("the next drain: %v", err)
					}
				}
				if err := p.stop(); err != nil {
					t.Fatal(err)
				}
				if err := p.Undrain(); err == nil {
					t.Error("a stop was taken back")
				}
			})
		})
	}
}
