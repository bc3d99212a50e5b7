package demo

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// One visit from its beginning to its end, with a Go client in the browser's
// place: each button does what it says, and the resilient client loses nothing.
func TestVisit(t *testing.T) {
	s, w := openTestbed(t)
	url := w.terminal.snapshot().page
	visit := beginVisit(t, url)
	if visit.Rate != 50 || visit.LastWords != lastWords*50 {
		t.Errorf("told %+v", visit)
	}
	states, stop := follow(t, url, visit.Name)
	heard := startVisitor(t, "ws"+strings.TrimPrefix(url, "http")+"visit/"+visit.Name+"/resilient")
	wait(t, "messages both ways", states, func(p *pageState) bool { return p.Lanes[resilient].In.Received > 20 && heard() > 20 })
	if !w.watching() || !w.terminal.snapshot().watched {
		t.Error("nobody knows that a page is open")
	}
	button := func(name string) (status int) {
		status, _, _ = request(t, http.MethodPost, url+"visit/"+visit.Name+"/"+name)
		return status
	}
	faulty := func(kind faultKind) func(*pageState) bool {
		return func(p *pageState) bool { return p.Network.Fault == kind }
	}
	told := func(kind faultKind) func(*pageState) bool {
		return func(p *pageState) bool {
			return len(p.Notes) > 0 && p.Notes[len(p.Notes)-1].Kind == kind
		}
	}
	settled := func(p *pageState) bool { return !p.Busy && p.Pods[0].State == podUp && p.Pods[1].State == podUp }
	goesOn := func() {
		t.Helper()
		before := heard()
		wait(t, "messages again", states, func(p *pageState) bool { return heard() > before+20 })
	}
	for _, tt := range []struct {
		name  string
		shows func(*pageState) bool
	}{
		{"cut", faulty(cutFault)}, {"tunnel", faulty(tunnelFault)}, {"half", faulty(halfFault)}, {"restart", told(restartFault)}, {"kill", told(killFault)}, {"drain", told(drainFault)},
	} {
		wait(t, "a quiet moment", states, settled)
		if status := button(tt.name); status != http.StatusNoContent {
			t.Fatalf("%s: %d", tt.name, status)
		}
		if status := button(tt.name); status != http.StatusConflict {
			t.Errorf("%s again: %d", tt.name, status)
		}
		wait(t, tt.name, states, tt.shows)
		wait(t, "the end of "+tt.name, states, faulty(""))
		goesOn()
	}
	p := wait(t, "a quiet moment", states, settled)
	if in := p.Lanes[resilient].In; in.Lost+in.Duplicated+in.Reordered > 0 {
		t.Errorf("to the app: %+v", in)
	}
	if status := button("dance"); status != http.StatusNotFound {
		t.Errorf("a button that there is not: %d", status)
	}
	if end := s.fleet.podOf(0); end != "" {
		t.Errorf("no app is in %s", end)
	}
	stop()
	deadline, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if await(deadline, func() bool { return !w.watching() }); deadline.Err() != nil {
		t.Error("the page is gone, and nobody noticed")
	}
}

// startVisitor is a resilient client that sends numbers, and returns how many
// messages it has heard. It fails the test when one is missing or comes twice,
// for each of the app sockets.
func startVisitor(t *testing.T, url string) (heard func() int) {
	t.Helper()
	c, _, err := client.Dial(t.Context(), url, &client.Options{Adopt: true, Backoff: client.Backoff{Max: time.Second}}) //nolint:bodyclose // need not be closed
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	count, last := 0, map[string]int{}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			_ = c.Write(context.Background(), client.MessageText, strconv.AppendInt(nil, int64(n), 10))
			_ = proc.Sleep(ctx, 20*time.Millisecond)
		}
	})
	running.Go(func() {
		for range c.Events() {
		}
	})
	running.Go(func() {
		for {
			_, msg, err := c.Read(context.Background())
			if err != nil {
				return
			}
			sock, number, _ := strings.Cut(string(msg), " ")
			mu.Lock()
			count++
			if last[sock]++; strconv.Itoa(last[sock]) != number {
				t.Errorf("%s, want number %d", msg, last[sock])
			}
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		stop()
		_ = c.CloseNow()
		running.Wait()
	})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return count
	}
}

// There is room for so many, and who is gone makes room.
func TestVisitorsAreBounded(t *testing.T) {
	_, w := openTestbed(t)
	url := w.terminal.snapshot().page
	var stops []func()
	var first visitInfo
	for i := range maxVisitors {
		visit := beginVisit(t, url)
		states, stop := follow(t, url, visit.Name)
		wait(t, "a first state", states, func(*pageState) bool { return true })
		if stops = append(stops, stop); i == 0 {
			first = visit
		}
	}
	if status, text, _ := request(t, http.MethodPost, url+"visit"); status != http.StatusServiceUnavailable || !strings.Contains(text, "close one") {
		t.Errorf("one too many: %d %s", status, text)
	}
	stops[0]()
	deadline, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	await(deadline, func() bool {
		status, _, _ := request(t, http.MethodPost, url+"visit")
		return status == http.StatusOK
	})
	if deadline.Err() != nil {
		t.Error("there is room, and nobody gets it")
	}
	if status, _, _ := request(t, http.MethodPost, url+"visit/"+first.Name+"/cut"); status != http.StatusNotFound {
		t.Errorf("a visit that is over: %d", status)
	}
}

// With auto something happens, until it is switched off.
func TestAuto(t *testing.T) {
	_, w := openTestbed(t)
	url := w.terminal.snapshot().page
	visit := beginVisit(t, url)
	states, _ := follow(t, url, visit.Name)
	auto := url + "visit/" + visit.Name + "/auto"
	if status, text, _ := request(t, http.MethodPut, auto); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	p := wait(t, "a fault", states, func(p *pageState) bool {
		return p.Network.Fault != "" || p.Busy
	})
	if !p.Auto {
		t.Error("auto is not shown")
	}
	if status, text, _ := request(t, http.MethodDelete, auto); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	wait(t, "no auto", states, func(p *pageState) bool { return !p.Auto })
}

// While a page is open the terminal's faults rest, and begin anew after it.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := newTallies(newTally(options{rate: 1}))
		p := &runner{tallies: w, tally: w.terminal}
		acts, acting := 0, false
		var running sync.WaitGroup
		running.Go(func() {
			p.alone(ctx, func(ctx context.Context) {
				acts++
				acting = true
				<-ctx.Done()
				acting = false
			})
		})
		expect := func(what string, wantActs int, wantActing bool) {
			t.Helper()
			time.Sleep(time.Second)
			synctest.Wait()
			if acts != wantActs || acting != wantActing {
				t.Errorf("%s: act %d, acting %v", what, acts, acting)
			}
		}
		expect("nobody", 1, true)
		w.opened()
		expect("a page", 1, false)
		w.opened()
		w.closed()
		expect("one of two is gone", 1, false)
		w.closed()
		expect("nobody again", 2, true)
		cancel()
		running.Wait()
	})
}

// What an app reports goes to whom it concerns.
func TestTallies(t *testing.T) {
	w := newTallies(newTally(options{rate: 10}))
	v := newTally(options{rate: 10})
	v.visitor, v.keys = strings.Repeat("v", 26), 10
	if _, ok := v.socket(resilient); ok {
		t.Error("a socket before there is one")
	}
	w.join(v)
	const app = 1 << 16 // the first socket of app 1, and two more
	terminal, ours, stranger := w.terminal.key(resilient), v.key(resilient), uint32(99)
	for _, r := range []ledger.Record{
		{Kind: ledger.Opened, Sock: app + 1, Key: terminal}, {Kind: ledger.Opened, Sock: app + 2, Key: ours},
		{Kind: ledger.Opened, Sock: app + 3, Key: stranger},
		{Kind: ledger.Read, Sock: app + 2, Key: ours, N: 1}, {Kind: ledger.Read, Sock: app + 2, Key: ours, N: 3},
		{Kind: ledger.Writes, Sock: app + 2, Key: ours, N: 1}, {Kind: ledger.Read, Sock: app + 3, Key: stranger, N: 1},
		{Kind: ledger.Unsent, Sock: app + 3}, // of a socket that is gone nobody knows the key
	} {
		w.report(r)
	}
	p := v.state(resilient)
	if want := (countState{Received: 2, Lost: 1}); p.In != want || p.Unsent != 0 {
		t.Errorf("got %+v, want %+v", p, want)
	}
	if len(p.Lives) != 1 || p.Lives[0] != (socketState{Socket: "65538", Order: 1, Told: 1}) {
		t.Errorf("lives %+v", p.Lives)
	}
	if in := w.terminal.state(resilient).In; in != (countState{}) {
		t.Errorf("the terminal's: %+v", in)
	}
	w.fault(killFault, "pod 1: killed")
	w.kills(1)
	if notes, n := v.since(0); n != 1 || len(notes) != 1 || notes[0] != (noteState{killFault, "pod 1: killed"}) {
		t.Errorf("notes %v, %d", notes, n)
	}
	if !v.state(resilient).Lives[0].Killed || w.terminal.snapshot().kills != 1 {
		t.Error("a kill hits everybody")
	}
	for range maxNotes + 3 {
		v.say("something")
	}
	if notes, n := v.since(1); n != maxNotes+4 || len(notes) != maxNotes {
		t.Errorf("%d notes of %d", len(notes), n)
	}
	w.leave(v)
	w.say("to the rest")
	if _, n := v.since(0); n != maxNotes+4 {
		t.Error("it left and still hears")
	}
}
