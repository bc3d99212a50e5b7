package endtoend

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/drain"
	states "github.com/wsresilience/wsresilience/internal/sharing"
	"github.com/wsresilience/wsresilience/proxy"
)

func withConflicts(t *testing.T, conflict string) func(*proxy.Config) {
	policy, err := states.NewPolicy([]byte(`{"rules":[{"path":"/board","select":{"pointer":"/type","equals":"card"},"key":"/id","version":"/v",` + conflict + `}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return sharing(func(c *proxy.Config) { c.State = policy })
}

// A change of what a device has not seen is refused, with the state that it has not;
// the app hears nothing of it. So it is after the pod with the session was drained.
func TestDevicesConflict(t *testing.T) {
	t.Parallel()
	app := newCards()
	f := fleetOf(t, 2, app, withConflicts(t, `"conflict":"version"`))
	a, b := f.viewer(0, "alice"), f.viewer(0, "alice")
	plain := &device{podClient: f.connect(0, "/board", asUser("alice"))}
	says := func(v *viewer, version int, text string) {
		v.sayAcked(card{"card", "1", version, text}.String())
	}
	hear := func(text string) {
		for _, v := range []*viewer{a, b} {
			v.hearsUntil(t, func(line string) bool { return strings.Contains(line, text) })
		}
	}
	says(a, 0, "first")
	hear("first")
	says(b, 1, "second")
	hear("second")
	says(a, 1, "stale")
	state := `{"type":"card","id":"1","v":2,"text":"second"}`
	soon(t, "it is told", func() bool { return strings.Contains(a.told(), "conflict 2 1 "+state) })
	plain.hear(`{"type":"card","id":"1","v":1,"text":"first"}`, state)
	plain.sayAcked(card{"card", "1", 1, "stale"}.String())
	plain.hear(state) // it has not asked for events
	var moved sync.WaitGroup
	moved.Go(func() {
		if err := f.pods[0].Drain(t.Context(), drain.Schedule{Move: time.Second, Stragglers: 3 * time.Second}); err != nil {
			t.Error(err)
		}
	})
	for _, v := range []*podClient{a.podClient, b.podClient, plain.podClient} {
		v.move(1)
	}
	says(b, 1, "stale too")
	soon(t, "it is told at the other pod", func() bool { return strings.Contains(b.told(), "conflict 2 1 "+state) })
	says(b, 2, "third")
	hear("third")
	moved.Wait()
	if len(app.log) != 3 {
		t.Errorf("the app heard %q", app.log)
	}
}

// Of two writes the later one counts, in whatever order they come.
func TestDevicesLastWriteWins(t *testing.T) {
	t.Parallel()
	app := newCards()
	f := fleetOf(t, 1, app, withConflicts(t, `"conflict":"last-write-wins","change":{"time":"/at"}`))
	a, b := f.viewer(0, "alice"), f.viewer(0, "alice")
	now := time.Now().UnixMilli()
	says := func(v *viewer, ago int64, text string) {
		p := fmt.Sprintf(`{"type":"card","id":"1","at":%d,"text":%q}`, now-ago, text)
		if err := v.WriteAcked(t.Context(), client.MessageText, []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	says(a, 1000, "later")
	says(b, 2000, "earlier")
	soon(t, "it is told", func() bool { return strings.Contains(b.told(), "conflict 1 1 ") })
	says(b, 500, "last")
	for _, v := range []*viewer{a, b} {
		if got := v.hearsUntil(t, func(line string) bool { return strings.Contains(line, "last") }); len(got) != 2 {
			t.Errorf("a device heard %q", got)
		}
	}
}
