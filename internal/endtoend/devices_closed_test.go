package endtoend

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/proxy"
)

// TestDevicesAwayHearTheEnd: the app ends its socket while a device is away, which hears
// the rest and the code when it comes back, for as long as the session is kept for it:
// whether it had all of the log or not.
func TestDevicesAwayHearTheEnd(t *testing.T) {
	for _, behind := range []bool{false, true} {
		t.Run(map[bool]string{false: "with all", true: "behind"}[behind], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					c, err := websocket.Accept(w, r, nil)
					if err != nil {
						return
					}
					for {
						typ, p, err := c.Read(context.Background())
						if err != nil {
							return
						}
						if string(p) == "end" {
							c.Close(4001, "enough")
							return
						}
						_ = c.Write(context.Background(), typ, p)
					}
				})
				f := newFleet(t, app, true)
				f.add(sharing(func(c *proxy.Config) { c.LeaseTTL = 0 }))
				all := f.devices(0, 3)
				all[0].sayAcked("one")
				for _, d := range all {
					d.hear("one")
				}
				time.Sleep(time.Second)
				all[1].move(-1)
				all[2].move(-1)
				if behind {
					all[0].sayAcked("two")
					all[0].hear("two")
				}
				all[0].say("end")
				all[0].wantClosed(4001)
				for _, d := range all[1:] {
					time.Sleep(25 * time.Second)
					d.to.Store(0)
					if behind {
						d.hear("two")
					}
					d.wantClosed(4001)
				}
			})
		})
	}
}
