package proxy

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/sharing"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// maxPresent is how much of a state a member is told of a conflict: the journal's
// records have it until that has arrived.
const maxPresent = 8 << 10

// fromMember hands what a member writes to the app's socket, as far as it was taken:
// all, or nothing while the socket takes none. hold reports whether some of it is
// not in the socket yet. The caller holds the member's lock.
func (g *shared) fromMember(m *member, parts [][]byte, control int) (n int, hold bool) {
	now := g.c.enter()
	defer g.c.leave()
	s, ok := g.c.m.(*session.Session)
	g.mu.Lock()
	m.waits = !ok || !s.TakesFromMembers() || !m.hearsMore()
	waits := m.waits
	g.mu.Unlock()
	if waits {
		return 0, false
	}
	last, any := seqwindow.Serial(0), false
	var refused []*sharing.Refusal
	var numbers []uint32
	w := g.writer(m, now)
	before := w.N
	count, code, closes := m.take(parts, control, func(raw []byte, n uint32) {
		if w.N = before + n; n > 0 && g.hasState {
			refusal, passes := s.Judge(&w, raw)
			if refusal != nil {
				refused, numbers = append(refused, refusal), append(numbers, w.N)
			}
			if !passes {
				return
			}
		}
		last, any = s.FromMember(now, raw), true
	})
	g.c.settleLocked(now)
	g.mu.Lock()
	defer g.mu.Unlock()
	if hold = m.owes || any && seqwindow.Less(s.Handed(now), last); hold {
		if any {
			m.owed, m.owes = last, true
		}
		m.held += count
		g.wakeLocked() // it may have been handed meanwhile
	} else {
		m.in += count
	}
	for i, refusal := range refused {
		m.refuse(numbers[i], refusal)
		g.wakeLocked()
	}
	if closes {
		m.asks, m.code = true, code
		g.wakeLocked()
	}
	return size(parts), hold
}

// writer is what is known of a member that says something; N is the last message that
// it has said.
func (g *shared) writer(m *member, now time.Time) sharing.Write {
	g.mu.Lock()
	defer g.mu.Unlock()
	return sharing.Write{Device: m.number, N: m.in + m.held, Has: uint32(m.acked), Now: now, Behind: m.state.Behind}
}

// maxRefusals is how many refusals wait for a member at most that sends much at once
// and reads nothing; those behind are not told. From sharing.MaxOwn on they do not tell
// the state.
const maxRefusals = 1024

// refuse has a member hear that the app does not get its message number n. The caller
// holds shared.mu.
func (m *member) refuse(n uint32, r *sharing.Refusal) {
	switch waits := len(m.own) + len(m.queue); {
	case waits >= maxRefusals:
		return
	case waits >= sharing.MaxOwn:
		brief := *r
		brief.Present = nil
		r = &brief
	}
	if raw := refusalFrame(m, n, r); raw != nil {
		m.queue = append(m.queue, raw)
	}
}

// refusalFrame is what a member hears of its message number n that the app does not
// get: what the rule says, or that there is a conflict, or, if its client would not
// understand that, the state; nil: nothing.
func refusalFrame(m *member, n uint32, r *sharing.Refusal) []byte {
	if r.Say != nil {
		return frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpText}, r.Say)
	}
	h, err := frame.Bounds(r.Present)
	known := r.Present != nil && err == nil && len(r.Present) <= maxPresent
	if !m.share {
		if !known {
			return nil
		}
		return r.Present
	}
	c := wire.Conflict{Seq: n, Key: r.Key}
	if known {
		c.OpCode, c.Present = h.OpCode, r.Present[h.Size:]
	}
	return sharedFrame(wire.AppendConflict(nil, &c))
}
