package endtoend

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
)

// TestDevicesAwayAreEvicted: a shared session whose members are all away goes to the
// journal when memory is short, as others do. Its members have it back from there, each
// from its own place, and one with a member that is there stays.
func TestDevicesAwayAreEvicted(t *testing.T) {
	t.Parallel()
	const budget, line = 1 << 20, 16 << 10
	var sockets atomic.Int64
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		sockets.Add(1)
		for {
			_, p, err := c.Read(context.Background())
			if err != nil {
				return
			}
			n := 1
			if string(p) == "much" {
				n = budget / line
			}
			for range n {
				if c.Write(context.Background(), websocket.MessageText, append(p, strings.Repeat("-", line)...)) != nil {
					return
				}
			}
		}
	})
	f := fleetOf(t, 1, app, sharing(func(c *proxy.Config) { c.MemoryBudget = budget }))
	all := f.devices(0, 2)
	there := f.connect(0, "/board", asUser("bob"))
	read := func(v *podClient, want string) {
		t.Helper()
		_, p, err := v.Read(t.Context())
		if got, _, _ := strings.Cut(string(p), "-"); err != nil || got != want {
			t.Fatalf("heard %q, %v, want %q", got, err, want)
		}
	}
	all[0].say("one")
	read(all[0].podClient, "one")
	all[1].move(-1)
	all[0].say("two")
	read(all[0].podClient, "two")
	all[0].sayAcked("much")
	all[0].move(-1)
	soon(t, "the shared session is evicted", func() bool { return f.pods[0].watch.count("evicted") > 0 })
	soon(t, "it is gone, with its members", func() bool { return len(f.pods[0].views()) == 2 }) // bob's, and its member

	all[1].move(0)
	all[0].move(0)
	read(all[1].podClient, "one")
	read(all[1].podClient, "two")
	read(all[1].podClient, "much")
	read(all[0].podClient, "much")
	there.say("still")
	read(there, "still")
	for _, d := range all {
		if log := d.eventLog(); strings.Contains(log, client.EventReset.String()) || !strings.Contains(log, client.EventAdopted.String()) {
			t.Errorf("a device heard of %q", log)
		}
	}
	if log := there.eventLog(); strings.Contains(log, client.EventAdopted.String()) {
		t.Errorf("who was there heard of %q", log)
	}
}
