package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// Adoption is what is known when a session is taken from a journal.
type Adoption struct {
	Start
	State    *store.State // claimed: its epoch is this owner's
	Position Position     // of the client
	AppOpen  bool         // a fresh app socket was dialled
	NoApp    CloseCause   // why not; 0: CauseNoApp
}

// Adopt returns the session that a journal holds (PROTOCOL §8.3). Without a
// fresh app socket it replays what is unacknowledged and closes with 1012. A
// reason other than 0 means that it cannot go on.
func Adopt(cfg *Config, now time.Time, a Adoption) (*Session, wire.ResetReason) {
	state := a.State
	// "RESET 3: received before what is kept" (PROTOCOL §8.2).
	if seqwindow.Less(a.Position.Received, seqwindow.Serial(state.OutAcked)) || state.Gap {
		return nil, wire.ResetLost
	}
	s := newSession(cfg, now, a.Start)
	s.epoch = state.Epoch
	s.confirmedToken, s.attempt = tokenOrder{state.ProvenEpoch, state.Proven}, state.Attempt
	s.adopted, s.announcedAt = adoptReason(state), tokenOrder{s.epoch, 1}
	s.app.open = a.AppOpen
	s.context.client, s.context.awaited = a.Position.restorer(), a.AppOpen && a.Position.Adopt
	// "Inbound, the client's next counts if it is ahead of the journal"
	// (PROTOCOL §8.3).
	inbound := seqwindow.Serial(state.InAcked)
	if next := a.Position.Next; next != 0 && seqwindow.Less(inbound, next-1) {
		inbound = next - 1
	}
	if reason := s.restore(state, a.Position.Received, inbound); reason != 0 {
		s.window.Reset()
		return nil, reason
	}
	s.restoreState(state)
	s.base = s.window.Head()
	if g := s.gate(); g != nil {
		g.Adopted(state.Epoch, state.Handed, state.InAcked, uint32(s.base))
	}
	if s.firstBase = seqwindow.Serial(state.FirstBase); state.ProvenEpoch+1 == s.epoch {
		s.firstBase = s.base
	}
	s.present(&a.Position)
	if a.AppOpen {
		s.context.restore(now, s)
	}
	if cfg.Journal { // a member's session is in the journal of the common one
		s.journal.restored(state.N)
	}
	s.journal.cadence.Found(state.Held)
	switch {
	case state.Closed:
		s.closing, s.cause = closing{byApp: true, code: ws.StatusCode(state.CloseCode), reason: state.CloseReason}, CauseBefore
	case !a.AppOpen:
		// "Otherwise the sidecar says WELCOME adopted, replays what is
		// unacknowledged, and sends CLOSE 1012" (PROTOCOL §8.3).
		s.closing = closing{byApp: true, code: wire.CodeRestart, reason: "session adopted without its app"}
		if s.cause = a.NoApp; s.cause == 0 {
			s.cause = CauseNoApp
		}
	}
	return s, 0
}

// adoptReason is what the client is told of the adoption: that nothing is
// missing only if the former owner handed the session over, and its app had
// closed its socket (PROTOCOL §8.3).
func adoptReason(state *store.State) wire.AdoptReason {
	switch {
	case state.Unclean && state.Owed: // the former owner had adopted it so, and the client has not heard of that
		return wire.AdoptOwnerLost
	case state.Handed && state.Unclean:
		return wire.AdoptAppRestarted
	case state.Owed:
		return wire.AdoptOwed
	case state.Handed:
		return wire.AdoptDrained
	}
	return wire.AdoptOwnerLost
}

// leavesBehind is how a record that hands the session over says why the next owner
// adopts it.
func leavesBehind(why wire.AdoptReason) (unclean, owed bool) {
	switch why {
	case wire.AdoptOwnerLost:
		return true, true
	case wire.AdoptAppRestarted:
		return true, false
	case wire.AdoptOwed:
		return false, true
	}
	return false, false
}

// leavesAs is what the next owner has to tell of a session that is handed over.
func (s *Session) leavesAs() wire.AdoptReason {
	why := wire.AdoptDrained
	switch h := &s.handover; {
	case h.unclean:
		why = wire.AdoptAppRestarted
	case h.owed:
		why = wire.AdoptOwed
	}
	return s.graver(why)
}

// graver returns what the client is to be told of a fresh app socket: why it is one, or
// why a former one was, if the client has not heard of that, and it says that more may
// be missing (PROTOCOL §8.3).
func (s *Session) graver(why wire.AdoptReason) wire.AdoptReason {
	if s.unheard() && gravity(s.adopted) > gravity(why) {
		return s.adopted
	}
	return why
}

// untold reports whether the client has not shown that it read the WELCOME that tells
// of the newest fresh app socket.
func (s *Session) untold() bool {
	return s.adopted != 0 && s.confirmedToken.before(s.announcedAt)
}

// unheard reports whether the client may not have read that WELCOME: it is away, or has
// shown nothing of this owner yet. On a connection that lives it counts as read; only
// the first of a connection is ever confirmed there.
func (s *Session) unheard() bool {
	return s.untold() && (!s.client.attached || s.client.welcomeDue || s.confirmedToken.epoch != s.epoch)
}

// gravity orders reasons by how much may be missing.
func gravity(why wire.AdoptReason) int {
	switch why {
	case wire.AdoptOwnerLost:
		return 3
	case wire.AdoptAppRestarted:
		return 2
	case wire.AdoptOwed:
		return 1
	}
	return 0
}

// restore fills the window with what the journal has beyond received: "outbound
// numbering continues after the higher of the client's received and the
// journal's last message" (PROTOCOL §8.3).
func (s *Session) restore(state *store.State, received, inbound seqwindow.Serial) wire.ResetReason {
	s.start(received, inbound)
	size := 0
	for _, f := range state.Frames {
		size += len(f.Data)
	}
	s.window.Extend(len(state.Frames), size) // a hand-over may have taken more than a window holds
	for _, f := range state.Frames {
		seq := seqwindow.Serial(f.Seq)
		if seqwindow.LessEq(seq, received) {
			continue
		}
		if seq != s.window.Head()+1 {
			return wire.ResetLost
		}
		if s.window.AppendOver(f.Data, 0) != nil { // whether there is memory for it was asked before
			return wire.ResetTryAgain
		}
	}
	if seqwindow.Less(s.window.Head(), seqwindow.Serial(state.OutHead)) {
		return wire.ResetLost
	}
	// What the journal has the client may have got of the former owner, beyond what it
	// offered when it dialled: on a connection that worked until then.
	s.window.SentBefore()
	s.window.SetJournaled(s.window.Head())
	return 0
}
