package endtoend

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/drain"
	"github.com/wsresilience/wsresilience/proxy"
)

// Devices that share a session say keys, and each hears the outcome of its own: such a
// message is in nobody else's numbering, and all the same each of them hears the app's
// log, through cuts and the drain of their pod.
func TestDevicesWithKeys(t *testing.T) {
	t.Parallel()
	const each = 100
	policy, keys := keyRules(t, `{"rules":[{"path":"/board","key":"client","scope":"path"}]}`), newShared()
	app := newBoard()
	f := fleetOf(t, 2, app, sharing(func(c *proxy.Config) { c.Keys, c.KeyStore = policy, keys }))
	var all []*device
	for range 3 {
		o := asUser("alice")
		o.Keys = true
		all = append(all, &device{podClient: f.connect(0, "/board", o)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var work sync.WaitGroup
	for i, d := range all {
		work.Go(func() {
			for j := range each {
				said := fmt.Sprintf("d%d-%d", i, j+1)
				if fate, err := d.WriteKeyed(ctx, client.MessageText, []byte(said), said); err != nil || fate != client.FateFirst {
					t.Errorf("%s: %v, %v", said, fate, err)
					return
				}
			}
		})
		work.Go(func() {
			for len(d.heard) < 3*each {
				_, p, err := d.Read(ctx)
				if err != nil {
					t.Errorf("device %d heard %d lines: %v", i, len(d.heard), err)
					return
				}
				d.heard = append(d.heard, string(p))
			}
		})
	}
	for cut := range 20 {
		for i, d := range all {
			time.Sleep(10 * time.Millisecond)
			if cut < 10 {
				d.move((cut + i) % 2)
			} else {
				d.move(1)
			}
		}
		if cut == 10 {
			work.Go(func() {
				if err := f.pods[0].Drain(t.Context(), drain.Schedule{Move: time.Second, Stragglers: 3 * time.Second}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	work.Wait()
	log := app.check(t, 3*each)
	for i, d := range all {
		if !slices.Equal(d.heard, log) {
			t.Errorf("device %d heard %d lines that are not the app's log of %d", i, len(d.heard), len(log))
		}
	}
}
