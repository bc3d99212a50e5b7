package endtoend

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/drain"
)

// slowApp answers each message after a while, and may say something by itself.
// What it has not answered when its socket closes, it never answers.
type slowApp struct{ reply, tick time.Duration }

func (a slowApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	answers := make(chan answer, 1000)
	defer close(answers)
	go func() {
		for re := range answers {
			time.Sleep(time.Until(re.due))
			if c.Write(ctx, websocket.MessageText, re.text) != nil {
				return
			}
		}
	}()
	if a.tick > 0 {
		go func() {
			for ctx.Err() == nil && c.Write(ctx, websocket.MessageText, []byte("tick")) == nil {
				time.Sleep(a.tick)
			}
		}()
	}
	for {
		_, p, err := c.Read(ctx)
		if err != nil {
			return
		}
		answers <- answer{time.Now().Add(a.reply), p}
	}
}

type answer struct {
	due  time.Time
	text []byte
}

// asks sends a question every 100 ms and returns how many have an answer 5 s
// after the last one.
func (v *podClient) asks(n int) (answered int) {
	ctx, cancel := context.WithCancel(v.t.Context())
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			_, p, err := v.Read(ctx)
			if err != nil {
				return
			}
			if string(p) != "tick" {
				answered++
			}
		}
	})
	for i := range n {
		v.say(fmt.Sprint(i))
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(5 * time.Second)
	cancel()
	reader.Wait()
	return answered
}

// A rolling update leaves no question without its answer, however long the app
// takes. Only where the app has more time than there is, or where its answers
// cannot be told from what it says by itself, the clients are told that one may
// be missing.
func TestHandOverAwaitsAnswers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		app  slowApp
		want string
	}{
		{"at once", slowApp{}, "goaway, adopted drained"},
		{"50ms", slowApp{reply: 50 * time.Millisecond}, "goaway, adopted drained"},
		{"300ms", slowApp{reply: 300 * time.Millisecond}, "goaway, adopted drained"},
		{"2s", slowApp{reply: 2 * time.Second}, "goaway, adopted drained"},
		{"streams", slowApp{reply: 50 * time.Millisecond, tick: 30 * time.Millisecond}, "goaway, adopted owed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := fleetOf(t, 2, tc.app, nil)
			const clients, questions = 12, 100
			var all []*podClient
			var traffic sync.WaitGroup
			answered := make([]int, clients)
			for i := range clients {
				v := f.connect(0, "/", &client.Options{Adopt: true})
				all = append(all, v)
				traffic.Go(func() { answered[i] = v.asks(questions) })
			}
			time.Sleep(4 * time.Second) // the app becomes known
			for _, v := range all {
				v.to.Store(1)
			}
			if err := f.pods[0].Drain(t.Context(), drain.Schedule{Notice: 200 * time.Millisecond, Move: 5 * time.Second, Stragglers: 15 * time.Second}); err != nil {
				t.Error(err)
			}
			traffic.Wait()
			for i, v := range all {
				if eventLog := v.eventLog(); answered[i] != questions || eventLog != tc.want {
					t.Errorf("client %d: %d of %d answers, told %q, want %q", i, answered[i], questions, eventLog, tc.want)
				}
			}
		})
	}
}

// states are the states that the client has had since it was connected.
func (v *podClient) states() (all []client.State) {
	for {
		select {
		case e, ok := <-v.Events():
			if !ok {
				return all
			}
			if e.Kind == client.EventState {
				all = append(all, e.State)
			}
		default:
			return all
		}
	}
}

// A client whose session moves with nothing missing is connected all the time:
// whether it moves by itself, or its app stops, or the time for moving is over.
func TestMoveChangesNoState(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		plan drain.Schedule
	}{
		{"moves", drain.Schedule{Notice: 100 * time.Millisecond, Move: 2 * time.Second, Stragglers: 3 * time.Second}},
		{"is moved", drain.Schedule{Stragglers: 3 * time.Second}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := fleetOf(t, 2, slowApp{}, nil)
			var all []*podClient
			for i := range 12 {
				v := f.connect(0, "/", &client.Options{Adopt: true})
				v.sayAcked(fmt.Sprint(i))
				v.hear(fmt.Sprint(i))
				v.states()
				v.to.Store(1)
				all = append(all, v)
			}
			if err := f.pods[0].Drain(t.Context(), tc.plan); err != nil {
				t.Error(err)
			}
			for i, v := range all {
				v.say("still")
				v.hear("still")
				if states := v.states(); len(states) > 0 {
					t.Errorf("client %d was %v", i, states)
				}
			}
			if n := f.pods[1].Stats().Attached; n != len(all) {
				t.Errorf("%d clients are at the other pod, want %d", n, len(all))
			}
		})
	}
}
