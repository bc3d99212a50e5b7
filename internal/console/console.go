// Package console is how an operator looks into a running sidecar: a page for a
// browser, and the same as JSON for commands and scripts. It only reads. Nothing
// here shows a token, a header value or a payload (I9), and nothing here makes the
// data path wait: sessions are looked at one at a time, answers are bounded, and
// who follows events slowly loses some.
package console

import (
	"context"
	"iter"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/observe"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/wire"
)

// A Sidecar is what a console looks into. It is safe for concurrent use.
type Sidecar interface {
	Views() iter.Seq[proxy.SessionView]
	View(id wire.SessionID) (v proxy.SessionView, context snapshot.View, ok bool)
	Stats() event.Stats
}

// Config says what a Console shows.
type Config struct {
	Sidecar Sidecar
	History *History // that observes it

	// Locate looks for a session in the journal. nil: there is none.
	Locate func(ctx context.Context, id wire.SessionID) (Location, error)
	// About fills in what is known of the sidecar as a whole beside its sessions:
	// itself, its drain, its journal, the others.
	About func(*Status)
}

// A Console answers operators. It is safe for concurrent use. Make it with New.
type Console struct {
	cfg     Config
	history *History
	began   time.Time

	// Looks at all sessions, and searches in the journal, under way: one at a time is
	// enough for operators.
	looking, locating chan struct{}
}

// New makes a console.
func New(cfg Config) *Console {
	return &Console{
		cfg: cfg, history: cfg.History, began: time.Now(),
		looking: make(chan struct{}, 1), locating: make(chan struct{}, 1),
	}
}

// Views are what the console answers.
func (c *Console) Views() []observe.View {
	return []observe.View{
		{Path: pagePath, Help: "all of what follows as a page, for a browser", Handler: page(), Public: true},
		{Path: "/sessions", Help: "sessions as JSON: ?path= client= state= id= kind= sort= limit= cursor=", Handler: c.sessions},
		{Path: "/sessions/{id}", Help: "one session, and what happened to it", Handler: c.session},
		{Path: "/sessions/{id}/snapshot", Help: "what a fresh app socket would hear, payloads masked", Handler: c.snapshot},
		{Path: "/ended", Help: "those that ended lately, and why: ?path= client= id= kind= limit=", Handler: c.ended},
		{Path: "/events", Help: "what happens, as server-sent events: ?path= client= id= notable= last=", Handler: c.events},
		{Path: "/status", Help: "the sidecar, its journal and the others, as JSON", Handler: c.status},
	}
}

// turn waits until it is the caller's turn at what one does at a time. The result
// is to be called when it is done; nil: whoever asked is gone.
func turn(ctx context.Context, places chan struct{}) (done func()) {
	select {
	case places <- struct{}{}:
		return func() { <-places }
	case <-ctx.Done():
		return nil
	}
}
