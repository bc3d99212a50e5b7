package session

import (
	"bytes"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/sharing"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/store"
)

// state is what a common session knows of the messages that all members have
// acknowledged: those are in its log no more, and who joins later has to hear what
// they said. The journal has it as the past of the session.
type state struct {
	kept    *sharing.State // nil: no rule is about the session's path
	charged int            // against the memory budget
	missing bool           // the journal was not told of messages that were acknowledged

	judge *sharing.Judge // of what members say; nil: no rule is about that
}

// heard shows the judge a message of the app that the log has now.
func (s *Session) heard(raw []byte) {
	j := s.extra.state.judge
	if h, err := frame.Bounds(raw); j != nil && err == nil {
		own := bytes.Clone(raw)
		j.Said(uint32(s.window.Head()), own[h.Size:], own)
		s.chargeState()
	}
}

// Judge reports whether the app gets a message that a member says, which is as for
// FromMember. If not, refusal is what the member is to hear; nil: nothing, since it
// came again.
func (s *Session) Judge(w *sharing.Write, raw []byte) (refusal *sharing.Refusal, passes bool) {
	if s.extra.state.judge == nil {
		return nil, true
	}
	m, ok := s.inboundMessage(bytes.Clone(raw))
	if !ok {
		return nil, true
	}
	refusal, again := s.extra.state.judge.Judge(*w, m.Data)
	s.chargeState()
	return refusal, refusal == nil && !again
}

// said shows the state a message that leaves the log.
func (st *state) said(raw []byte) {
	if h, err := frame.Bounds(raw); err == nil {
		st.kept.Said(raw[h.Size:], raw)
	}
}

// keepsState returns the state of a common session; nil: it has none.
func (s *Session) keepsState() *state {
	if s.extra == nil || s.extra.state.kept == nil {
		return nil
	}
	return &s.extra.state
}

// acknowledgedByAll shows the state the messages up to seq, which leave the log.
func (s *Session) acknowledgedByAll(seq seqwindow.Serial) {
	st := s.keepsState()
	if st == nil {
		return
	}
	st.missing = st.missing || seqwindow.Less(s.window.Journaled(), seq)
	s.eachUpTo(seq, st.said)
	s.chargeState()
}

// eachUpTo calls f with a copy of each message of the log up to seq.
func (s *Session) eachUpTo(seq seqwindow.Serial, f func(raw []byte)) {
	s.window.Each(s.window.Acked(), func(at seqwindow.Serial, _ uint32, parts [][]byte) bool {
		if seqwindow.Less(seq, at) {
			return false
		}
		f(bytes.Join(parts, nil))
		return true
	})
}

// Present returns the state that the messages up to seq make: the latest for each
// key, in the order in which they were said. It is partial if not all of it is known.
func (s *Session) Present(seq seqwindow.Serial) (frames [][]byte, partial bool) {
	st := s.keepsState()
	if st == nil {
		return nil, true
	}
	now := state{kept: st.kept.Clone()}
	s.eachUpTo(seq, now.said)
	return now.kept.Frames(), now.kept.Partial()
}

// chargeState counts the state against the memory budget.
func (s *Session) chargeState() {
	st := &s.extra.state
	size := st.kept.Size() + st.judge.Cost()
	s.cfg.Pool.Memory().Charge(int64(size - st.charged))
	st.charged = size
}

// dropState gives its memory back.
func (s *Session) dropState() {
	if st := s.keepsState(); st != nil {
		st.kept, st.judge = nil, nil
		s.chargeState()
	}
}

// restoreState makes the state of what a journal has.
func (s *Session) restoreState(from *store.State) {
	st := s.keepsState()
	if st == nil {
		return
	}
	if !from.KeepsPast {
		st.kept.SetPartial()
	}
	for _, f := range from.Past {
		switch {
		case f.Seq == pastRegister && st.judge != nil:
			st.judge.Load(f.Data)
		case f.Seq == pastRegister:
		case len(f.Data) == 0:
			st.kept.SetPartial()
		default:
			st.said(f.Data)
		}
	}
	if st.judge != nil {
		st.judge.State = st.kept.Clone()
		s.eachUpTo(s.window.Head(), func(raw []byte) { (&state{kept: st.judge.State}).said(raw) })
	}
	s.chargeState()
}

// keepsPast reports whether a record of a version keeps what is acknowledged.
func (s *Session) keepsPast(version uint8) bool {
	return s.keepsState() != nil && (version == 0 || version >= store.Pasts)
}

// pastRegister marks what a record has of a write that counted, in place of a message.
const pastRegister = 1<<32 - 1

// registers are what a record has of the writes that counted: all of them, or those
// that no record has.
func (s *Session) registers(all bool) (list []store.Frame) {
	if j := s.extra.state.judge; j != nil {
		for _, b := range j.Unsaved(all) {
			list = append(list, store.Frame{Seq: pastRegister, Data: b})
		}
	}
	return list
}

// past is what a Snapshot has of the state. A message without bytes stands for those
// that are not known.
func (s *Session) past() (list []store.Frame) {
	kept := s.extra.state.kept
	if kept.Partial() {
		list = append(list, store.Frame{})
	}
	for _, raw := range kept.Frames() {
		list = append(list, store.Frame{Data: raw})
	}
	return list
}

// stateSize is about what a Snapshot takes for the state.
func (s *Session) stateSize() int {
	if st := s.keepsState(); st != nil {
		return st.kept.Size()
	}
	return 0
}
