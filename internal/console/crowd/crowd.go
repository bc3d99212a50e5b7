package main

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/console"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/wire"
)

// A crowd is the sessions of a sidecar that does not exist. They do not change, and
// it is safe for concurrent use.
type crowd struct {
	now   time.Time
	views []proxy.SessionView
}

func newCrowd(n int, now time.Time) *crowd {
	c := &crowd{now: now}
	r := rand.New(rand.NewPCG(1, 2))
	paths := []string{"/chat", "/chat", "/chat", "/prices/live", "/prices/live", "/rooms/7f3a/cursor", "/admin/feed"}
	for range n {
		v := proxy.SessionView{
			ID: newID(r), Kind: event.Resilient, Owner: self, Began: now.Add(-time.Duration(r.ExpFloat64()*float64(40*time.Minute)) - time.Second),
			Subject: subject(paths[r.IntN(len(paths))], fmt.Sprintf("%d.%d.%d.%d/32", []int{203, 198}[r.IntN(2)], r.IntN(64), r.IntN(256), r.IntN(256))),
			Link: proxy.LinkView{
				State: heartbeat.StateConnected, RTT: time.Duration(8+r.ExpFloat64()*45) * time.Millisecond,
				Deviation: time.Duration(r.ExpFloat64() * float64(9*time.Millisecond)), Interval: 5 * time.Second,
			},
		}
		v.Attached, v.Epoch = true, 1
		v.Journal = session.JournalView{On: true}
		v.ToClient, v.ToApp = session.WindowView{MaxMessages: 4096, MaxBytes: 1 << 20}, session.WindowView{MaxBytes: 1 << 20}
		v.Counters = session.Counters{InMessages: uint64(r.IntN(900)), OutMessages: uint64(r.IntN(9000)), BeatsSent: 480, BeatsHeard: 480}
		v.Counters.InBytes, v.Counters.OutBytes = v.Counters.InMessages*90, v.Counters.OutMessages*310
		c.vary(r, &v)
		c.views = append(c.views, v)
	}
	return c
}

// vary makes some of them unlike the others.
func (c *crowd) vary(r *rand.Rand, v *proxy.SessionView) {
	switch n := r.IntN(100); {
	case n < 6:
		v.Phase, v.Attached, v.ExpiresIn, v.Link.State = session.PhaseDetached, false, time.Duration(1+r.IntN(299))*time.Second, heartbeat.StateDisconnected
		v.Away = 300*time.Second - v.ExpiresIn
		v.ToClient.Messages = r.IntN(400)
		v.Lacking = v.ToClient.Messages
		v.ToClient.Bytes = v.ToClient.Messages * 320
	case n < 9:
		v.Link.State, v.Link.Loss, v.Link.Deviation = heartbeat.StateDegraded, float64(1+r.IntN(9))/32, 61*time.Millisecond
		v.ToClient.Messages, v.ToClient.Bytes = 18, 18*320
	case n < 11:
		v.Epoch, v.Adopted = 2, wire.AdoptDrained
	case n < 16:
		v.Kind, v.Epoch, v.View = event.Plain, 0, session.View{Attached: true, Counters: v.Counters}
	case n == 17:
		v.Phase = session.PhaseAppLost
	}
}

func newID(r *rand.Rand) (id wire.SessionID) {
	for i := range id {
		id[i] = byte(r.Uint32())
	}
	return id
}

// Views implements console.Sidecar.
func (c *crowd) Views() iter.Seq[proxy.SessionView] {
	return func(yield func(proxy.SessionView) bool) {
		for i := range c.views {
			if !yield(c.views[i]) {
				return
			}
		}
	}
}

// View implements console.Sidecar.
func (c *crowd) View(id wire.SessionID) (proxy.SessionView, snapshot.View, bool) {
	for i := range c.views {
		if v := c.views[i]; v.ID == id {
			return v, snapshot.View{}, true
		}
	}
	return proxy.SessionView{}, snapshot.View{}, false
}

// Stats implements console.Sidecar.
func (c *crowd) Stats() (st event.Stats) {
	st.Budget, st.Tunnels = 512<<20, 41
	for i := range c.views {
		v := &c.views[i]
		switch {
		case v.Kind == event.Plain:
			st.Plain++
		case v.Attached:
			st.Attached++
		default:
			st.Detached++
		}
		st.WindowBytes += int64(v.ToClient.Bytes)
	}
	return st
}

// past is what happened before.
func (c *crowd) past(h *console.History) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range c.views {
		v := &c.views[i]
		h.Observe(event.Event{Kind: event.Began, Client: v.Kind, Session: v.ID, Subject: v.Subject})
		switch {
		case v.Phase == session.PhaseDetached:
			h.Observe(event.Event{Kind: event.LinkState, Link: heartbeat.StateDegraded, Session: v.ID, Subject: v.Subject})
			h.Observe(event.Event{Kind: event.Detached, Cause: event.DetachedHeartbeat, Session: v.ID, Subject: v.Subject})
		case v.Adopted != 0:
			h.Observe(event.Event{Kind: event.Resumed, Resume: event.ResumeAdopted, Adopted: v.Adopted, Owner: "10.0.3.22:15801", Fact: "owner 10.0.3.22:15801 has released its lease", Away: 210 * time.Millisecond, Lacking: 12, Session: v.ID, Subject: v.Subject, Took: 38 * time.Millisecond})
		case v.Link.State == heartbeat.StateDegraded:
			h.Observe(event.Event{Kind: event.Detached, Cause: event.DetachedHeartbeat, Session: v.ID, Subject: v.Subject})
			h.Observe(event.Event{Kind: event.Resumed, Away: 9 * time.Second, Lacking: 31, Session: v.ID, Subject: v.Subject, Took: 4 * time.Millisecond})
			h.Observe(event.Event{Kind: event.LinkState, Link: v.Link.State, Session: v.ID, Subject: v.Subject})
		}
	}
	for i := range 150 {
		e := endings[r.IntN(len(endings))]
		e.Kind, e.Client, e.Session, e.Took = event.Ended, event.Resilient, newID(r), time.Duration(r.IntN(4000))*time.Second
		e.Subject = subject("/chat", fmt.Sprintf("198.51.100.%d/32", i))
		h.Observe(event.Event{Kind: event.Began, Client: event.Resilient, Session: e.Session, Subject: e.Subject})
		h.Observe(event.Event{Kind: event.Detached, Cause: event.DetachCause(r.IntN(4)), Session: e.Session, Subject: e.Subject})
		h.Observe(e)
	}
}

// endings are why sessions end.
var endings = []event.Event{
	{Ending: session.EndedClosed, Closed: session.CauseClient, Code: 1000},
	{Ending: session.EndedClosed, Closed: session.CauseApp, Code: 1001},
	{Ending: session.EndedClosed, Closed: session.CauseUnrestored, Code: 1006, Advice: event.AdviceContext},
	{Ending: session.EndedExpired, Advice: event.AdviceTTL},
	{Ending: session.EndedHanded}, {Ending: session.EndedFenced},
	{Ending: session.EndedUnauthorized, Code: 1008},
	{Ending: session.EndedClosed, Closed: session.CauseAppTooBig, Code: 1009, Advice: event.AdviceSize},
}

// present is what goes on happening.
func (c *crowd) present(ctx context.Context, h *console.History) {
	tick := time.NewTicker(400 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if len(c.views) == 0 {
			continue
		}
		v := &c.views[i*7919%len(c.views)]
		h.Observe(event.Event{Kind: event.Detached, Cause: event.DetachedGone, Session: v.ID, Subject: v.Subject})
		h.Observe(event.Event{Kind: event.Resumed, Away: 1400 * time.Millisecond, Lacking: 3, Session: v.ID, Subject: v.Subject, Took: 3 * time.Millisecond})
	}
}
