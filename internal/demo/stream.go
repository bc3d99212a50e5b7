package demo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// tellEvery is how often a page is told how things are. A mark on its timeline
// is as exact as that.
const tellEvery = 100 * time.Millisecond

// stream sends a visitor's page how things are, as server-sent events, until
// the page or the visit is gone. It does not take the way over the network that
// is broken.
func (v *visitor) stream(w http.ResponseWriter, r *http.Request) {
	v.attach()
	defer v.detach()
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	told, _ := strconv.Atoi(r.Header.Get("Last-Event-ID")) // none is 0
	ticker := time.NewTicker(tellEvery)
	defer ticker.Stop()
	for {
		p := v.state(&told)
		text, err := json.Marshal(p)
		if err == nil {
			_, err = fmt.Fprintf(w, "id: %d\ndata: %s\n\n", told, text)
		}
		if err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-v.life.Done():
			return
		case <-ticker.C:
		}
	}
}

// pageState is all that a page is told at once.
type pageState struct {
	Pods    []podState         `json:"pods"`
	Busy    bool               `json:"busy"` // something is done with a pod
	Network networkState       `json:"network"`
	Auto    bool               `json:"auto"`
	Lanes   [users]clientState `json:"clients"` // plain, resilient
	Notes   []noteState        `json:"notes"`   // since the last state
}

type podState struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	Sessions int    `json:"sessions"`
	Plain    int    `json:"plain"`
}

type networkState struct {
	Fault faultKind `json:"fault"` // "" when whole
	Left  int64     `json:"left"`  // milliseconds
}

// clientState is what the server knows of one client of the visitor.
type clientState struct {
	Pod    string        `json:"pod"` // that has its app socket, "" if none
	Lives  []socketState `json:"lives"`
	Unsent int           `json:"unsent"` // no app had a socket to write them to
	In     countState    `json:"in"`     // what the apps read
}

// socketState is one app socket.
type socketState struct {
	Socket string `json:"socket"`
	Order  int    `json:"order"`
	Told   uint32 `json:"told"` // written by the app
	Killed bool   `json:"killed"`
}

type countState struct {
	Received   int `json:"received"`
	Lost       int `json:"lost"`
	Duplicated int `json:"duplicated"`
	Reordered  int `json:"reordered"`
	Gone       int `json:"gone"`
	Repeated   int `json:"repeated"`
}

type noteState struct {
	Kind faultKind `json:"kind"`
	Text string    `json:"text"`
}

// state returns what the page shows, with the notes after the first told.
func (v *visitor) state(told *int) pageState {
	p := pageState{Busy: !v.fleet.idle(), Auto: v.isAuto()}
	kind, left := v.trouble()
	p.Network = networkState{kind, left.Milliseconds()}
	s := v.fleet.watched.terminal.snapshot()
	for i := range s.pods {
		pod := &s.pods[i]
		p.Pods = append(p.Pods, podState{pod.name, pod.state, pod.sessions, pod.plain})
	}
	for u := range users {
		p.Lanes[u] = v.tally.state(u)
		p.Lanes[u].Pod = v.fleet.podOf(v.tally.holder(u))
	}
	p.Notes, *told = v.tally.since(*told)
	return p
}

// state returns what is shown of one client.
func (t *tally) state(u user) clientState {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := &t.books[u]
	_, in := b.Counts(t.rulesLocked(u))
	c := clientState{
		Lives: make([]socketState, 0, len(b.Sockets())), Unsent: b.Unsent,
		In: countState{in.Got, in.Lost, in.Doubled, in.Reordered, in.Tail, in.Again},
	}
	for _, s := range b.Sockets() {
		c.Lives = append(c.Lives, socketState{strconv.FormatUint(uint64(s.ID), 10), s.Order, s.Wrote, s.Killed})
	}
	return c
}

// since returns the notes after the first told that are remembered, and how
// many there were in all.
func (t *tally) since(told int) ([]noteState, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := min(max(0, t.noted-told), len(t.snap.notes))
	notes := make([]noteState, 0, fresh)
	for _, n := range t.snap.notes[len(t.snap.notes)-fresh:] {
		notes = append(notes, noteState{n.kind, n.text})
	}
	return notes, t.noted
}
