package proxy

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

const (
	// reissuePace is the pause between two clients that are asked to come for a
	// new token: ten thousand take a minute.
	reissuePace = 6 * time.Millisecond

	// reissueDelay is what a client has to come.
	reissueDelay = time.Second
)

// A reissue gives clients that are attached a token of the present form. The zero
// value is ready; it is safe for concurrent use.
type reissue struct {
	mu   sync.Mutex
	stop context.CancelFunc // of the one under way; nil: none
	left int                // clients that it has not asked
}

// A stale client has a token of a former form, unless it came for another one
// since.
type staleClient struct {
	c          *sessionDriver
	generation uint32
}

// ReissueTokens asks each client that is attached, one after the other, to open
// another connection, with which comes a token: the one it has names a key or a
// format that is about to go. It does not wait. A call while one is under way
// begins anew.
func (s *Server) ReissueTokens(why string) {
	var stale []staleClient
	for _, c := range s.sessions.all() {
		if generation, ok := c.attachedWith(); ok {
			stale = append(stale, staleClient{c, generation})
		}
	}
	ctx, stop := context.WithCancel(s.life)
	r := &s.reissue
	r.mu.Lock()
	if r.stop != nil {
		r.stop()
	}
	r.stop, r.left = stop, len(stale)
	r.mu.Unlock()
	if len(stale) == 0 || ctx.Err() != nil {
		stop()
		return
	}
	s.log.Info("asking clients to come for new tokens", "audit", true, "why", why, "clients", len(stale))
	rand.Shuffle(len(stale), func(i, j int) { stale[i], stale[j] = stale[j], stale[i] })
	s.work.Go(func() {
		defer stop()
		r.run(ctx, stale)
	})
}

func (r *reissue) run(ctx context.Context, stale []staleClient) {
	pace := time.NewTicker(reissuePace)
	defer pace.Stop()
	for i, client := range stale {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		client.c.sendReissue(client.generation)
		r.mu.Lock()
		if ctx.Err() == nil {
			r.left = len(stale) - i - 1
		}
		r.mu.Unlock()
	}
}

// waiting returns how many clients are still to be asked.
func (r *reissue) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left
}

// attachedWith returns the number of the newest token of a session whose client
// is attached.
func (c *sessionDriver) attachedWith() (generation uint32, ok bool) {
	c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	if !ok || c.over || !m.Attached() {
		return 0, false
	}
	return m.Generation(), true
}

// sendReissue asks the client to open another connection, unless it has a newer
// token than that one.
func (c *sessionDriver) sendReissue(generation uint32) {
	now := c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	if !ok || c.over || !m.Attached() || m.HandingOver() || m.Generation() != generation {
		return
	}
	m.GoAway(wire.GoAwayToken, reissueDelay)
	c.settleLocked(now)
}
