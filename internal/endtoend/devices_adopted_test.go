package endtoend

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/drain"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
)

// held is an Observer that holds a pod up that has just adopted a session, until
// somebody else has come to that, or been refused.
type held struct {
	adopted, came chan struct{}
	once          [2]sync.Once
}

func (h *held) Observe(e event.Event) {
	switch {
	case e.Kind == event.Began && e.Adopted != 0:
		h.once[0].Do(func() {
			close(h.adopted)
			select {
			case <-h.came:
			case <-time.After(10 * time.Second):
			}
		})
	case e.Kind == event.Resumed, e.Kind == event.Accepted:
		h.once[1].Do(func() { close(h.came) })
	}
}

// TestDevicesComeWhileOneAdopts: a pod takes a shared session over, and has not begun
// with it yet, when another member comes there, or a device that is new. Both hear what
// they lack of the log, and nothing twice.
func TestDevicesComeWhileOneAdopts(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name                             string
		joins, state, forwarded, drained bool
	}{
		{name: "member"},
		{name: "joins", joins: true},
		{name: "member, state", state: true},
		{name: "joins, state", joins: true, state: true},
		{name: "member, by another pod", forwarded: true},
		{name: "joins, by another pod", forwarded: true, joins: true},
		{name: "member, drained", drained: true},
		{name: "joins, drained", drained: true, joins: true},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			h := &held{adopted: make(chan struct{}), came: make(chan struct{})}
			config, app := sharing, newBoard()
			if v.state {
				config = func(c func(*proxy.Config)) func(*proxy.Config) { return withState(t, c) }
			}
			f := fleetOf(t, 1, app, config(nil))
			f.add(config(func(c *proxy.Config) { c.Observer = event.Observers{c.Observer, h} }))
			f.add(config(nil))
			all := f.devices(0, 2)
			for _, line := range []string{"a", "b", "c"} {
				all[0].sayAcked(line)
			}
			for _, d := range all {
				d.hear("1:a", "2:b", "3:c")
			}
			for _, d := range all {
				d.move(-1)
			}
			if v.drained {
				if err := f.pods[0].Drain(t.Context(), drain.Schedule{Move: 50 * time.Millisecond, Stragglers: 10 * time.Second}); err != nil {
					t.Error(err)
				}
			}
			f.pods[0].link.Close()
			f.leases.set(f.pods[0].name, store.LeaseGone)
			at := 1
			if v.forwarded {
				at = 2
			}
			all[0].to.Store(1)
			<-h.adopted
			if v.joins {
				all = append(all, &device{podClient: f.connect(at, "/board", asUser("alice"))})
			}
			all[1].to.Store(int64(at))
			for _, line := range []string{"d", "e"} {
				all[0].sayAcked(line)
			}
			for i, d := range all {
				d.hear("4:d", "5:e")
				if told := d.eventLog(); strings.Contains(told, "reset") || i < 2 && strings.Count(told, "adopted") != 1 {
					t.Errorf("device %d was told %q: %s", i, told, f.refusals())
				}
			}
			app.check(t, 5)
		})
	}
}
