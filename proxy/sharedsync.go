package proxy

import (
	"slices"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// synchrony is how a member is brought up to date that has not all of the log: since
// it is new, or the log is gone before it came back. It hears the state, and then the
// log from there. As with what it alone hears, the journal has to know first where
// that is among the member's messages. Guarded by shared.mu.
type synchrony struct {
	share bool // its client hears SHARED (PROTOCOL §4.14)

	anew bool             // it is to be synchronised, and keeps nothing of the log from going
	sync [][]byte         // planned for that, and not said yet
	end  seqwindow.Serial // number of the last message of the newest synchronisation to the member
	at   seqwindow.Serial // and its place in the log

	untold bool   // it has come, and is to hear that it has all of the log
	heard  uint32 // of shared.memberships that it has heard
}

// synchronised reports whether the member is at a place in the log. The caller holds
// shared.mu.
func (y *synchrony) synchronised() bool { return !y.anew && y.sync == nil }

// synchronise plans what brings a member up to date, or says what was planned, and
// reports whether it said something.
func (g *shared) synchronise(m *member) bool {
	g.mu.Lock()
	due := m.anew && !g.over && m.state.Attached && !m.paused && m.planned == 0
	visible := g.visible
	g.mu.Unlock()
	if due {
		frames, partial := g.present(visible)
		g.planSync(m, visible, frames, partial)
	}
	g.mu.Lock()
	frames := m.sync
	ready := frames != nil && !g.over && g.journaledLocked(m)
	g.mu.Unlock()
	if !ready {
		return false
	}
	g.say(m, frames)
	return true
}

// present is the state that the log makes up to a message.
func (g *shared) present(visible seqwindow.Serial) (frames [][]byte, partial bool) {
	g.c.enter()
	defer g.c.leave()
	if s, ok := g.c.m.(*session.Session); ok && s.EndedWith() == 0 {
		return s.Present(visible)
	}
	return nil, true
}

// planSync numbers what brings a member up to date.
func (g *shared) planSync(m *member, visible seqwindow.Serial, state [][]byte, partial bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	frames := [][]byte{}
	if m.share {
		if m.heard != g.memberships {
			m.heard = g.memberships
			frames = append(frames, g.membersLocked(m))
		}
		mode := wire.SyncFull
		if partial {
			mode = wire.SyncPartial
		}
		frames = append(frames, sharedFrame(wire.AppendSynchronised(nil, wire.Synchronised{Mode: mode, Messages: uint32(len(state)), Version: uint32(visible)})))
	}
	frames = append(frames, state...)
	head := m.fed - m.delta
	m.end = head + seqwindow.Serial(len(frames))
	m.fed, m.acked, m.at, m.delta = visible, visible, visible, visible-m.end
	m.anew, m.untold, m.sync, m.since = false, false, frames, g.rosters
	g.changed = true
}

// say has a member hear frames for it alone, which are planned and in the journal.
func (g *shared) say(m *member, frames [][]byte) {
	now := m.c.enter()
	defer m.c.leave()
	if s, ok := m.c.m.(*session.Session); ok {
		s.SayOwn(now, frames)
	}
	g.mu.Lock()
	m.planned, m.sync = 0, nil
	g.mu.Unlock()
	m.c.settleLocked(now)
}

// journaledLocked reports whether the journal has what was planned for a member
// last. The caller holds mu.
func (g *shared) journaledLocked(m *member) bool {
	return seqwindow.Less(seqwindow.Serial(m.since), seqwindow.Serial(g.rosterSaved))
}

// tellLocked has a member hear who shares the session, if that has changed, and that
// it has all of the log, if it has come and that is so. The caller holds mu.
func (g *shared) tellLocked(m *member) {
	if !m.share || g.over || !m.state.Attached || m.paused || !m.synchronised() || m.waitsForOwn() {
		return
	}
	if m.heard != g.memberships {
		m.heard = g.memberships
		m.queue = append(m.queue, g.membersLocked(m))
		g.wakeLocked()
	}
	if m.untold && m.fed == g.visible {
		m.untold = false
		m.queue = append(m.queue, sharedFrame(wire.AppendSynchronised(nil, wire.Synchronised{Mode: wire.SyncLog, Version: uint32(g.visible)})))
		g.wakeLocked()
	}
}

// membersLocked is what a member hears of who shares the session. The caller holds
// mu.
func (g *shared) membersLocked(to *member) []byte {
	list := wire.Members{Self: to.number}
	for _, m := range g.members {
		list.All = append(list.All, m.number)
	}
	for i := range g.absent {
		list.All = append(list.All, g.absent[i].Number)
	}
	slices.Sort(list.All)
	return sharedFrame(wire.AppendMembers(nil, &list))
}

// sharedFrame is the frame of a message that we say.
func sharedFrame(msg []byte) []byte {
	return frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, msg)
}
