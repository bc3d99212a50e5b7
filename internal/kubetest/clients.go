package main

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// pace is between two messages of a client.
	pace = 200 * time.Millisecond

	// settleLimit is how long the echoes of what was said may take: longer
	// than a pod's death takes to be noticed.
	settleLimit = 60 * time.Second
)

// clients are the simulated clients of a run, which talk to an echo server, and
// what they counted. It is safe for concurrent use.
type clients struct {
	url string

	mu      sync.Mutex
	talks   bool
	members []member
	plain   plainTally
	other   resilientTally // Failed and Events; the rest is the members'
}

// A member is one client.
type member interface {
	// restart begins to count anew. It is called while no client talks.
	restart()
	add(*tally)
	settled() bool
}

// runClients is what the pod of the clients does, until ctx ends.
func runClients(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("clients", flag.ContinueOnError)
	flags.SetOutput(os.Stderr)
	url := flags.String("url", "", "of the echo server")
	count := flags.Int("clients", 200, "half of them resilient")
	ordinary := flags.Bool("ordinary", false, "none of them resilient")
	listen := flags.String("listen", ":8080", "where to ask")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c := &clients{url: *url}
	for range *count / 2 {
		p := newPlain(c)
		c.members = append(c.members, p)
		go p.live(ctx)
		if *ordinary {
			continue
		}
		r := newResilient(c)
		c.members = append(c.members, r)
		go r.live(ctx)
	}
	c.restart()
	mux := http.NewServeMux()
	mux.HandleFunc("/tally", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.tally()) })
	mux.HandleFunc("/go", func(w http.ResponseWriter, _ *http.Request) { c.restart(); answer(w, c.tally()) })
	mux.HandleFunc("/settle", func(w http.ResponseWriter, r *http.Request) { c.settle(r.Context()); answer(w, c.tally()) })
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close() // no answer is under way that matters
	}()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, t *tally) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(t) // whoever asked has gone
}

// restart lets the clients talk, and counts anew.
func (c *clients) restart() {
	c.mu.Lock()
	c.plain = plainTally{Ends: map[string]int{}, Refused: map[string]int{}}
	c.other = resilientTally{Events: map[string]int{}}
	c.mu.Unlock()
	for _, m := range c.members {
		m.restart()
	}
	c.mu.Lock()
	c.talks = true
	c.mu.Unlock()
}

// settle ends the talking and waits for the echoes.
func (c *clients) settle(ctx context.Context) {
	c.mu.Lock()
	c.talks = false
	c.mu.Unlock()
	for end := time.Now().Add(settleLimit); time.Now().Before(end) && ctx.Err() == nil && !c.settled(); {
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *clients) settled() bool {
	return !slices.ContainsFunc(c.members, func(m member) bool { return !m.settled() })
}

func (c *clients) talking() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.talks
}

// note counts under the lock.
func (c *clients) note(count func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	count()
}

func (c *clients) tally() *tally {
	t := &tally{Now: time.Now().UTC(), Settled: c.settled()}
	c.mu.Lock()
	t.Plain, t.Resilient = c.plain, c.other
	// Maps and lists go on growing: the answer is of this moment.
	text, _ := json.Marshal(t)
	c.mu.Unlock()
	t = new(tally)
	_ = json.Unmarshal(text, t) // it is what Marshal made
	for _, m := range c.members {
		m.add(t)
	}
	slices.Sort(t.Resilient.LongestGap)
	return t
}
