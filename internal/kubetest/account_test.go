package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/internal/rehearse/profile"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// good is of clients to which nothing happened but the end of its plain
// connections, 21 s after they were told to go.
func good() *account {
	return &account{
		Settled:   true,
		Resilient: tally.Summary{Side: "resilient", Clients: 2, Sent: 10, Answered: 10, AdoptedBy: map[string]int{"drained": 2}, Ends: map[string]int{}},
		Plain:     tally.Summary{Side: "plain", Clients: 2, Sent: 10, Answered: 9, Lost: 1, SessionsLost: 2, Ends: map[string]int{"1012": 2}},
		Ended:     []tally.End{{At: 31 * time.Second, How: "1012"}},
	}
}

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name    string
		breaks  func(*account)
		promise *expectation
		want    string // empty: all is well
	}{
		{"planned", func(*account) {}, plainMove, ""},
		{"silence", func(a *account) { a.Resilient.Sent = 0 }, plainMove, "the clients sent nothing"},
		{"unsettled", func(a *account) { a.Settled = false }, plainMove, "echoes are missing at the end"},
		{"lost", func(a *account) { a.Resilient.Lost = 1 }, plainMove, "resilient clients: lost<=0 is 1"},
		{"doubled", func(a *account) { a.Resilient.Doubled = 1 }, plainMove, "resilient clients: doubled<=0 is 1"},
		{"reordered", func(a *account) { a.Resilient.Reordered = 1 }, unplanned, "resilient clients: reordered<=0 is 1"},
		{"foreign", func(a *account) { a.Resilient.Foreign = 1 }, unplanned, "resilient clients: foreign<=0 is 1"},
		{"doubled in a crash", func(a *account) { a.Resilient.Doubled = 1 }, unplanned, "resilient clients: doubled<=0 is 1"},
		{"lost in a crash", func(a *account) { a.Resilient.Lost, a.Settled = 1, false }, unplanned, ""},
		{"reset in a crash", func(a *account) { a.Resilient.Ends["reset: lost"] = 1 }, unplanned, "a session was reset: lost"},
		{"ended", func(a *account) { a.Resilient.SessionsLost = 1 }, plainMove, "resilient clients: sessions.lost<=0 is 1"},
		{"cut", func(a *account) { a.Plain.Ends[tally.Cut] = 1 }, plainMove, "a plain connection ended: cut"},
		{"cut in a crash", func(a *account) { a.Plain.Ends[tally.Cut] = 1 }, unplanned, ""},
		{"wrong code", func(a *account) { a.Plain.Ends["1001"] = 1 }, plainMove, "a plain connection ended: 1001"},
		{"no end was allowed", func(*account) {}, noEnds, "a plain connection ended: 1012"},
		{"early", func(a *account) { a.Ended[0].At = 11 * time.Second }, plainMove, "a plain connection ended before the pod had told load balancers"},
		{"out of order", func(a *account) { a.Plain.Reordered = 1 }, plainMove, "plain clients: plain.reordered<=0 is 1"},
	} {
		a := good()
		tt.breaks(a)
		got := a.judge(*tt.promise, 10*time.Second)
		if tt.want == "" && len(got) > 0 || tt.want != "" && !slices.Contains(got, tt.want) {
			t.Errorf("%s: judged %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestClients: an app that restarts, with the close code of one that says so. Who
// connects again goes on, and a round does not count what was before it.
func TestClients(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var open []*websocket.Conn
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		mu.Lock()
		open = append(open, c)
		mu.Unlock()
		for {
			kind, p, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, p) != nil {
				return
			}
		}
	}))
	defer app.Close()
	c, err := newClients("ws"+strings.TrimPrefix(app.URL, "http"), 4, true)
	if err != nil {
		t.Fatal(err)
	}
	c.load.Profile.Ramp = 0
	ctx, cancel := context.WithCancel(t.Context())
	c.load.Start(ctx)
	defer c.load.Wait()
	defer cancel()
	pod := httptest.NewServer(c.handler())
	defer pod.Close()
	ask := func(what string) (a account) {
		answer, err := http.Get(pod.URL + "/" + what)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(&a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	for a := ask("tally"); a.Plain.Longest.N < 2; a = ask("tally") {
		time.Sleep(pace / 4) // real sockets: no virtual time
	}
	start := ask("go")
	mu.Lock()
	for _, conn := range open {
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseServiceRestart, ""), time.Now().Add(time.Second))
	}
	mu.Unlock()
	for a := ask("tally"); a.Plain.Handshakes < 2 || a.Plain.Answered < 4; a = ask("tally") {
		time.Sleep(pace / 4)
	}
	a := ask("settle")
	if !a.Settled || a.Plain.Clients != 2 || a.Plain.Ends["1012"] != 2 || a.Plain.Doubled+a.Plain.Reordered+a.Plain.Foreign > 0 || len(a.Ended) != 2 || a.Ended[0].At < start.Now {
		t.Errorf("after a restart of the app: %+v", a)
	}
	if c.load.Profile.Patience < profile.Duration(10*time.Minute) {
		t.Errorf("who hears nothing between two scenarios connects again after %v", time.Duration(c.load.Profile.Patience))
	}
	if a = ask("go"); a.Plain.Sent > 1 || len(a.Ended) > 0 {
		t.Errorf("a new round begins with %+v", a)
	}
}
