package endtoend

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
)

// TestDevicesStay: devices that share a session have it for as long as they are there,
// whether they say something or not, at the pod where it began and at one that has
// adopted it. One that is away for less than the session's TTL hears what it missed.
func TestDevicesStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, newBoard(), true)
		for range 2 {
			f.add(sharing(func(c *proxy.Config) { c.LeaseTTL = 0 }))
		}
		all := f.devices(0, 2)
		all[0].sayAcked("a")
		time.Sleep(time.Hour)
		all[1].move(-1)
		time.Sleep(30 * time.Second)
		all[0].sayAcked("b")
		time.Sleep(25 * time.Second)
		all[1].to.Store(0)
		all[1].event(client.EventResumed, "")
		f.leases.set(f.pods[0].name, store.LeaseGone)
		for _, d := range all {
			d.move(1)
			d.event(client.EventAdopted, "owner_lost")
		}
		for n := range 60 {
			time.Sleep(time.Minute)
			all[n%2].sayAcked(fmt.Sprint(n + 1))
		}
		for _, d := range all {
			d.hear("1:a", "2:b")
			for n := range 60 {
				d.hear(fmt.Sprintf("%d:%d", n+3, n+1))
			}
			if told := d.eventLog(); told != "" {
				t.Errorf("a device was told %q", told)
			}
		}
	})
}
