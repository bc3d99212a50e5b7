package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/drain"
	states "github.com/wsresilience/wsresilience/internal/sharing"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
)

const cardRules = `{"rules":[{"path":"/board","select":{"pointer":"/type","equals":"card"},"key":"/id","version":"/v","drop":{"pointer":"/type","equals":"gone"}}]}`

// card is a message about one card on a board. What clients say has no version.
type card struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	V    int    `json:"v,omitempty"`
	Text string `json:"text,omitempty"`
}

func (c card) String() string {
	b, _ := json.Marshal(c)
	return string(b)
}

// cards is an app that gives what is written on cards a version, and says it to
// whoever is there. It says nothing twice.
type cards struct {
	mu    sync.Mutex
	v     int
	log   []string
	state map[string]string
}

func newCards() *cards { return &cards{state: map[string]string{}} }

func (a *cards) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		_, p, err := c.Read(context.Background())
		if err != nil {
			return
		}
		if line := a.write(p); c.Write(context.Background(), websocket.MessageText, []byte(line)) != nil {
			return
		}
	}
}

func (a *cards) write(p []byte) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var m card
	_ = json.Unmarshal(p, &m)
	a.v++
	m.V = a.v
	line := m.String()
	switch a.log = append(a.log, line); m.Type {
	case "card":
		a.state[m.ID] = line
	case "gone":
		delete(a.state, m.ID)
	}
	return line
}

// now is the state that all clients should know, in the order of its versions.
func (a *cards) now() (list []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, line := range a.log {
		for _, kept := range a.state {
			if kept == line {
				list = append(list, line)
			}
		}
	}
	return list
}

func withState(t *testing.T, change func(*proxy.Config)) func(*proxy.Config) {
	policy, err := states.NewPolicy([]byte(cardRules))
	if err != nil {
		t.Fatal(err)
	}
	return sharing(func(c *proxy.Config) {
		c.State = policy
		if change != nil {
			change(c)
		}
	})
}

// A viewer is a device that hears of the others, and keeps what it knows.
type viewer struct {
	*podClient
	read   uint64
	state  map[string]string
	events []string
	synced []client.Synchronisation // that the program has not come to yet
}

// told gathers what the client was told so far.
func (v *viewer) told() string {
	for {
		select {
		case e, ok := <-v.Events():
			if !ok {
				return strings.Join(v.events, ", ")
			}
			what := e.Kind.String()
			switch {
			case e.Kind == client.EventState:
				continue
			case e.Member != 0:
				what += fmt.Sprint(" ", e.Member)
			case e.Conflict != nil:
				what += fmt.Sprintf(" %d %s %s", e.Conflict.Message, e.Conflict.Key, e.Conflict.Present)
			case e.Synchronised != nil && !e.Synchronised.Full:
				what += " log"
				v.synced = append(v.synced, *e.Synchronised)
			case e.Synchronised != nil:
				what += fmt.Sprintf(" full %d", e.Synchronised.State)
				v.synced = append(v.synced, *e.Synchronised)
			default:
				what += " " + e.Reason
			}
			v.events = append(v.events, what)
		default:
			return strings.Join(v.events, ", ")
		}
	}
}

func (f *fleet) viewer(at int, name string) *viewer {
	f.t.Helper()
	o := asUser(name)
	o.Share = true
	v := &viewer{podClient: f.connect(at, "/board", o), state: map[string]string{}}
	return v
}

// hears reads until a line says so, and keeps the state as a program would.
func (v *viewer) hearsUntil(t *testing.T, last func(line string) bool) (lines []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		_, p, err := v.Read(ctx)
		if err != nil {
			t.Errorf("heard %d lines: %v: %s", len(lines), err, v.told())
			return lines
		}
		v.told()
		for len(v.synced) > 0 && v.synced[0].Behind <= v.read {
			if v.synced[0].Full {
				clear(v.state)
				lines = nil
			}
			v.synced = v.synced[1:]
		}
		v.read++
		var m card
		_ = json.Unmarshal(p, &m)
		switch lines = append(lines, string(p)); m.Type {
		case "card":
			v.state[m.ID] = string(p)
		case "gone":
			delete(v.state, m.ID)
		}
		if last(string(p)) {
			return lines
		}
	}
}

// knows wants the device's state to be the app's.
func (v *viewer) knows(t *testing.T, app *cards) {
	t.Helper()
	want := app.now()
	if len(want) != len(v.state) {
		t.Errorf("a device knows %d cards, want %d", len(v.state), len(want))
	}
	for _, line := range want {
		var m card
		_ = json.Unmarshal([]byte(line), &m)
		if v.state[m.ID] != line {
			t.Errorf("a device knows %q, want %q", v.state[m.ID], line)
		}
	}
}

// A device that joins hears the present state, as the app said it, and then what the
// others hear. Whoever asks for it is told that, and who is there.
func TestDeviceHearsTheState(t *testing.T) {
	t.Parallel()
	app := newCards()
	f := fleetOf(t, 1, app, withState(t, nil))
	a := f.viewer(0, "alice")
	for _, m := range []card{{"card", "1", 0, "x"}, {"card", "2", 0, "y"}, {"note", "", 0, "n"}, {"card", "1", 0, "z"}, {"card", "3", 0, ""}, {"gone", "2", 0, ""}} {
		a.sayAcked(m.String())
	}
	a.hearsUntil(t, func(line string) bool { return strings.Contains(line, "gone") })
	b := f.viewer(0, "alice")
	plain := &device{podClient: f.connect(0, "/board", asUser("alice"))}
	a.sayAcked(card{"card", "4", 0, "new"}.String())
	isNew := func(line string) bool { return strings.Contains(line, "new") }
	got, want := b.hearsUntil(t, isNew), app.now()
	if !slices.Equal(got, want) || len(want) != 3 {
		t.Errorf("a device that joined hears %q, want %q", got, want)
	}
	b.knows(t, app)
	for _, line := range want {
		plain.hear(line)
	}
	a.hearsUntil(t, isNew)
	a.knows(t, app)
	soon(t, "all are told", func() bool {
		return strings.Contains(a.told(), "joined 2") && strings.Contains(a.told(), "joined 3") &&
			strings.Contains(b.told(), "joined 1") && strings.Contains(b.told(), "joined 3")
	})
	if log := a.told(); !strings.Contains(log, "synchronised log") || strings.Contains(log, "full") {
		t.Errorf("the first is told %q", log)
	}
	if log := b.told(); !strings.Contains(log, "synchronised full 2") {
		t.Errorf("the second is told %q", log)
	}
	if err := plain.Close(1000, ""); err != nil {
		t.Error(err)
	}
	soon(t, "it has left", func() bool { return strings.Contains(a.told(), "left 3") && strings.Contains(b.told(), "left 3") })
	b.cut()
	a.sayAcked(card{"card", "5", 0, "after"}.String())
	b.hearsUntil(t, func(line string) bool { return strings.Contains(line, "after") })
	soon(t, "one that was away hears the log", func() bool { return strings.Contains(b.told(), "synchronised log") })
	b.knows(t, app)
}

// A device that reads nothing for long does not hold the others up, and does not lose
// its session: it is synchronised anew.
func TestDeviceThatLagsIsSynchronised(t *testing.T) {
	t.Parallel()
	const lines = 3000
	app := newCards()
	f := fleetOf(t, 1, app, withState(t, func(c *proxy.Config) { c.ShareLag = 256 << 10 }))
	a, b := f.viewer(0, "alice"), f.viewer(0, "alice")
	text := strings.Repeat("x", 500)
	var work sync.WaitGroup
	work.Go(func() {
		for i := range lines {
			if err := a.Write(t.Context(), client.MessageText, []byte(card{"card", fmt.Sprint(i % 20), 0, text}.String())); err != nil {
				t.Error(err)
				return
			}
		}
		a.say(card{"card", "end", 0, ""}.String())
	})
	end := func(line string) bool { return strings.Contains(line, `"end"`) }
	if got := a.hearsUntil(t, end); len(got) != lines+1 {
		t.Errorf("the one that reads hears %d lines, want %d", len(got), lines+1)
	}
	work.Wait()
	got := b.hearsUntil(t, end)
	if len(got) >= lines {
		t.Errorf("the one that did not read heard all %d lines", len(got))
	}
	b.knows(t, app)
	if log := b.told(); strings.Contains(log, "reset") || !strings.Contains(log, "synchronised full") {
		t.Errorf("it was told %q", log)
	}
}

// The state outlives its owner: whoever joins at another pod hears it, after a drain
// and after the pod's death.
func TestStateSurvivesItsPod(t *testing.T) {
	for _, dies := range []bool{false, true} {
		t.Run(map[bool]string{false: "drained", true: "dead"}[dies], func(t *testing.T) {
			t.Parallel()
			app := newCards()
			f := fleetOf(t, 2, app, withState(t, nil))
			a := f.viewer(0, "alice")
			for i := range 120 {
				a.sayAcked(card{"card", fmt.Sprint(i % 30), 0, fmt.Sprint(i)}.String())
			}
			a.sayAcked(card{"gone", "7", 0, ""}.String())
			a.hearsUntil(t, func(line string) bool { return strings.Contains(line, "gone") })
			var moved sync.WaitGroup
			if dies {
				f.pods[0].link.Close()
				f.leases.set(f.pods[0].name, store.LeaseGone)
			} else {
				moved.Go(func() {
					if err := f.pods[0].Drain(t.Context(), drain.Schedule{Move: time.Second, Stragglers: 3 * time.Second}); err != nil {
						t.Error(err)
					}
				})
			}
			a.move(1)
			soon(t, "the first device has moved", func() bool { return strings.Contains(a.told(), "adopted") })
			b := f.viewer(1, "alice")
			b.sayAcked(card{"card", "x", 0, "last"}.String())
			last := func(line string) bool { return strings.Contains(line, "last") }
			if got, want := b.hearsUntil(t, last), app.now(); !slices.Equal(got, want) {
				t.Errorf("a device that joined hears %q, want %q", got, want)
			}
			b.knows(t, app)
			a.hearsUntil(t, last)
			a.knows(t, app)
			moved.Wait()
		})
	}
}
