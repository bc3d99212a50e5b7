package natsstore

import (
	"log/slog"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/store"
)

const (
	// maxForeignTold is how many sessions are told of at most per
	// foreignInterval: whoever writes to the journal decides how often there is
	// a reason to.
	maxForeignTold  = 16
	foreignInterval = time.Minute
)

// A foreignLog tells an operator of messages that no owner wrote: each session
// once in an interval, and a few sessions only. It is safe for concurrent use.
type foreignLog struct {
	log *slog.Logger

	mu     sync.Mutex // guards all below
	told   map[store.ID]struct{}
	until  time.Time // when told begins anew
	untold int       // messages since then that no line was written for
}

func (l *foreignLog) record(f store.Foreign) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); !now.Before(l.until) {
		if l.untold > 0 {
			l.log.Warn("more messages in the journal that no owner wrote", "audit", true, "messages", l.untold)
		}
		l.told, l.until, l.untold = map[store.ID]struct{}{}, now.Add(foreignInterval), 0
	}
	if _, known := l.told[f.ID]; known || len(l.told) == maxForeignTold {
		l.untold++
		return
	}
	l.told[f.ID] = struct{}{}
	l.log.Warn("a message in the journal was written by no owner of its session, and is skipped: somebody else can write there",
		"audit", true, "session", f.ID.String(), "revision", uint64(f.Revision), "error", f.Why)
}
