package main

import (
	"context"
	"encoding/json"
	"flag"
	"maps"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/rehearse/load"
	"github.com/wsresilience/wsresilience/internal/rehearse/profile"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

const (
	// pace is between two messages of a client.
	pace = 200 * time.Millisecond

	// ramp is the time over which they come.
	ramp = time.Second

	// settleLimit is how long the echoes of what was said may take: longer
	// than a pod's death takes to be noticed.
	settleLimit = 60 * time.Second

	// firstLook is how soon what a pod answers is of use.
	firstLook = 10 * time.Second
)

// clients are those of a run, which talk to an echo server. They are safe for
// concurrent use.
type clients struct {
	load *load.Load

	mu  sync.Mutex
	why map[string]int // why some could not connect, or had to end
}

// newClients makes so many; half of them are resilient, or none.
func newClients(target string, count int, ordinary bool) (*clients, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	p := profile.Echo()
	p.Think, p.Ramp = profile.Duration(pace), profile.Duration(ramp)
	p.Patience = profile.Duration(time.Hour) // between scenarios nobody says anything
	p.Plain, p.Resilient = count/2, count/2
	if ordinary {
		p.Resilient = 0
	}
	c := &clients{why: map[string]int{}}
	c.load = load.New(load.Spec{Target: u, Profile: p, Failed: c.failed})
	return c, p.Check()
}

// runClients is what the pod of the clients does, until ctx ends.
func runClients(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("clients", flag.ContinueOnError)
	flags.SetOutput(os.Stderr)
	target := flags.String("url", "", "of the echo server")
	count := flags.Int("clients", 200, "half of them resilient")
	ordinary := flags.Bool("ordinary", false, "none of them resilient")
	listen := flags.String("listen", ":8080", "where to ask")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := newClients(*target, *count, *ordinary)
	if err != nil {
		return err
	}
	c.load.Start(ctx)
	server := &http.Server{Addr: *listen, Handler: c.handler(), ReadHeaderTimeout: firstLook}
	go func() {
		<-ctx.Done()
		_ = server.Close() // no answer is under way that matters
	}()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	c.load.Wait()
	return nil
}

// handler lets the clients go on, with an account that begins there; has them settle;
// and tells.
func (c *clients) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/tally", func(w http.ResponseWriter, _ *http.Request) { c.answer(w, false) })
	mux.HandleFunc("/go", func(w http.ResponseWriter, _ *http.Request) { c.restart(); c.answer(w, false) })
	mux.HandleFunc("/settle", func(w http.ResponseWriter, r *http.Request) {
		c.load.Hold(true)
		ctx, cancel := context.WithTimeout(r.Context(), settleLimit)
		defer cancel()
		c.answer(w, c.load.Settle(ctx, func([tally.Sides]int) {}))
	})
	return mux
}

func (c *clients) failed(side tally.Side, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.why[side.String()+": "+why]++
}

func (c *clients) restart() {
	for _, a := range c.load.Accounts() {
		a.Restart(c.load.Now())
	}
	c.mu.Lock()
	clear(c.why)
	c.mu.Unlock()
	c.load.Hold(false)
}

func (c *clients) answer(w http.ResponseWriter, settled bool) {
	now, accounts := c.load.Now(), c.load.Accounts()
	frame := tally.Frame{End: now}
	t := &account{
		Now: now, Settled: settled,
		Plain: tally.Summarise(tally.Plain, accounts, frame), Resilient: tally.Summarise(tally.Resilient, accounts, frame),
	}
	for _, a := range accounts {
		if a.Side == tally.Plain {
			t.Ended = append(t.Ended, a.Ends()...)
		}
	}
	c.mu.Lock()
	t.Reasons = maps.Clone(c.why)
	c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(t) // whoever asked has gone
}
