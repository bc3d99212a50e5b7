package proxy

import (
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/session"
)

// Reload takes some fields up of a Config while the server runs, and ignores the
// others. Of sessions and plain connections that live, all follow Heartbeat,
// PlainHeartbeat and Rates; MemoryBudget, MaxSessions and MaxSessionsPerClient
// count them, and end none. What begins or is adopted from now on has
// WindowMessages, WindowBytes, MaxMessage, Resilient, Adopt, Snapshots, Keys and State: the
// others keep what was promised to their clients, and a session on a path where
// none are offered any more may be resumed. A memory budget is changed and not
// begun or ended.
//
// When Reload returns, all of it is in force. It may be called at any time.
func (s *Server) Reload(cfg Config) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	cfg.setDefaults()
	if (cfg.MemoryBudget > 0) == (s.pool.Budget() > 0) {
		s.pool.Memory().SetLimit(cfg.MemoryBudget)
		s.clientBuffers.Memory.SetMost(s.share(clientShare))
		s.appBuffers.Memory.SetMost(s.share(appShare))
	}
	s.limit.set(cfg.MaxSessions, cfg.MaxSessionsPerClient)
	l := s.newLive(cfg)
	s.live.Store(l)
	for _, c := range s.sessions.all() {
		c.reload()
	}
}

// live is what Reload changes. It does not change itself: there is another.
type live struct {
	cfg     Config         // of which only what Reload changes is used
	session session.Config // of what begins now
	echo    session.Config // of clients without wsr.v1, and of members of shared sessions: nothing of theirs is journaled
	common  session.Config // of shared sessions

	mu      sync.Mutex
	retuned map[*session.Config]*session.Config // of sessions that began before, by what they had
}

func (s *Server) newLive(cfg Config) *live {
	l := &live{cfg: cfg, retuned: map[*session.Config]*session.Config{}}
	l.session = session.Config{
		WindowMessages: cfg.WindowMessages, WindowBytes: cfg.WindowBytes, MaxMessage: cfg.MaxMessage,
		Heartbeat: &l.cfg.Heartbeat, PlainHeartbeat: cfg.PlainHeartbeat, Rates: cfg.Rates, Slowed: &s.slowings,

		TTL: s.cfg.SessionTTL, TTLGoingAway: s.cfg.SessionTTLGoingAway, PersistAfter: s.cfg.PersistAfter, PersistAway: max(0, s.cfg.PersistAway), HandOverQuiet: s.cfg.HandOverQuiet, CloseTimeout: s.cfg.CloseTimeout,
		Owner: s.cfg.Advertise, Pool: s.pool, Buffers: s.clientBuffers, AppBuffers: s.appBuffers,
		Random: mathrand.Uint32, Token: s.newToken, Retry: s.askedRetry,
	}
	l.echo = l.session
	if s.cfg.Tracer != nil && s.cfg.TraceMessages > 0 {
		l.session.Delivered, l.session.DeliveredEvery = s.cfg.Tracer.Delivered, uint32(s.cfg.TraceMessages)
	}
	if s.cfg.Store != nil {
		l.session.Journal, l.session.JournalLimits = true, s.cfg.Store.Limits()
		l.session.Busy, l.session.AwayBusy = s.journalBusy, s.awayBusy
		l.session.Crowded, l.session.Share = s.journalCrowded, s.cfg.Share
		l.session.RecordVersion = s.recordVersion
	}
	l.common = l.session
	l.common.Common, l.common.Rates, l.common.PersistAfter, l.common.Busy = true, session.Rates{}, 0, nil
	l.common.WindowBytes = s.cfg.ShareLag
	return l
}

// instead returns what a session goes on with that has old. Sessions that had the
// same have the same again.
func (l *live) instead(old *session.Config) *session.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	to := l.retuned[old]
	switch {
	case to != nil:
	case old == &l.session || old == &l.echo || old == &l.common:
		return old
	case old.Common:
		to = old.Retuned(&l.common)
	case old.Journal:
		to = old.Retuned(&l.session)
	default:
		to = old.Retuned(&l.echo)
	}
	l.retuned[old], l.retuned[to] = to, to
	return to
}

// reload has a session follow the settings of now.
func (c *sessionDriver) reload() {
	now := c.enter()
	defer c.leave()
	if !c.over {
		c.reloadLocked(now)
		c.settleLocked(now)
	}
}

func (c *sessionDriver) reloadLocked(now time.Time) {
	if !c.srv.limit.off() {
		c.srv.limit.addLiving(c)
	}
	old := c.m.Config()
	if to := c.srv.live.Load().instead(old); to != old {
		c.m.Configure(now, to)
	}
}

// Messages that have not come whole take at most these parts of the memory
// budget, in percent: what waits to be acknowledged needs the rest, and an app
// that sends everything at once leaves something to clients.
const (
	clientShare = 75
	appShare    = 50
)

func (s *Server) buffers(percent int64) *frame.Buffers {
	return &frame.Buffers{Memory: s.pool.Memory().Share(s.share(percent))}
}

func (s *Server) share(percent int64) int64 { return s.pool.Budget() / 100 * percent }

// readLittle reports whether what is read at once has to be small, since there
// may be no memory to keep it, or since what a client sent too fast is kept until
// that may pass.
func (s *Server) readLittle() bool {
	return s.live.Load().cfg.Rates.Slow() || s.scarce() || s.clientBuffers.Memory.Waiting() > 0 || s.appBuffers.Memory.Waiting() > 0
}

// scarce reports whether the memory for all sessions is nearly used up.
func (s *Server) scarce() bool { return s.pool.Memory().Scarce() }
