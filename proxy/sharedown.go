package proxy

import (
	"slices"

	"github.com/wsresilience/wsresilience/internal/sharing"
	"github.com/wsresilience/wsresilience/seqwindow"
)

// alone is what a member alone is to hear: the outcome of a key, a conflict. Such a
// message counts as any other, so the member's numbers are not those of the log, and
// a later owner has to know by how much. So first it is planned, behind what the
// member was fed, then the journal has that, and only then it is said. Guarded by
// shared.mu.
type alone struct {
	own     []sharing.Own // planned, and not acknowledged by the client; its memory is the journal's too
	planned int           // of own, the last so many are not said yet
	since   uint32        // how many rosters there were when something was planned last
	queue   [][]byte      // frames that are not planned yet
}

// hearsMore reports whether what the member says may lead to more that it alone
// hears: one that acknowledges nothing would gather it without bound.
func (o *alone) hearsMore() bool { return len(o.own)+len(o.queue) < sharing.MaxOwn }

// waitsForOwn reports whether something is to be said that was not.
func (o *alone) waitsForOwn() bool { return o.planned > 0 || len(o.queue) > 0 }

// sayAlone has a member hear frames that nobody else does.
func (g *shared) sayAlone(m *member, frames [][]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m.queue = append(m.queue, frames...)
	g.wakeLocked()
}

// sayOwn plans what a member alone is to hear, or says what was planned, and reports
// whether it said something.
func (g *shared) sayOwn(m *member) bool {
	frames := g.toSay(m)
	if frames == nil {
		return false
	}
	g.say(m, frames)
	return true
}

// toSay returns what is to be said to a member now, that is planned and in the
// journal.
func (g *shared) toSay(m *member) (frames [][]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over || m.sync != nil {
		return nil
	}
	if m.planned == 0 && !m.anew {
		g.planLocked(m)
	}
	if m.planned == 0 || !g.journaledLocked(m) {
		return nil
	}
	for _, o := range m.own[len(m.own)-m.planned:] {
		frames = append(frames, o.Data)
	}
	return frames
}

// planLocked numbers what waits. The caller holds mu.
func (g *shared) planLocked(m *member) {
	all := 0
	for _, other := range g.members {
		all += len(other.own)
	}
	n := max(0, min(len(m.queue), sharing.MaxOwn-len(m.own), sharing.MaxAllOwn-all))
	if n == 0 {
		return
	}
	head := m.fed - m.delta
	list := slices.Clip(m.own) // a roster may have it
	for i, raw := range m.queue[:n] {
		list = append(list, sharing.Own{Seq: uint32(head) + uint32(i) + 1, Data: raw})
	}
	m.own, m.queue = list, m.queue[n:]
	m.planned, m.since = n, g.rosters
	m.delta -= seqwindow.Serial(n)
	g.changed = true
}

// dropOwn forgets what the client has acknowledged. The caller holds shared.mu.
func (m *member) dropOwn() {
	n := 0
	for n < len(m.own)-m.planned && seqwindow.LessEq(seqwindow.Serial(m.own[n].Seq), m.state.Acked) {
		n++
	}
	m.own = m.own[n:]
}

// place returns what of the log a client has that has received so much. The caller
// holds shared.mu.
func (m *member) place(received seqwindow.Serial) seqwindow.Serial {
	if seqwindow.Less(received, m.end) {
		return m.at
	}
	e := sharing.Member{Delta: uint32(m.delta), Own: m.own}
	log, _ := e.Place(uint32(received))
	return seqwindow.Serial(log)
}
