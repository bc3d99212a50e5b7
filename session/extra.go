package session

import "github.com/wsresilience/wsresilience/internal/idempotency"

// extra is what few sessions have. The others have nil: a word more in each
// Session costs 128 bytes.
type extra struct {
	echo   *echo // nil: the client knows wsr.v1
	keys   keys
	common bool    // its clients are members: see AttachMembers
	roster roster  // of members, for the journal
	member *member // nil: its app is an app
	state  state   // of members

	offersShare bool // the attached client offered wsr.share
}

// echo returns what there is of a client that does not know wsr.v1; nil: it does.
func (s *Session) echo() *echo {
	if s.extra == nil {
		return nil
	}
	return s.extra.echo
}

// gate returns where messages with keys wait; nil: none of the session has one.
func (s *Session) gate() *idempotency.Gate {
	if s.extra == nil {
		return nil
	}
	return s.extra.keys.gate
}

// newExtra returns what the session that begins so has beside others.
func (st *Start) newExtra() *extra {
	if !st.Echo && st.Keys == nil && !st.Shared && !st.Member {
		return nil
	}
	x := &extra{keys: keys{gate: st.Keys}, common: st.Shared, state: state{kept: st.State, judge: st.Judge}}
	if st.Member {
		x.member = new(member)
	}
	if st.Echo {
		x.echo = new(echo)
	}
	return x
}

// escapes reports whether a message of the app that looks like one of ours is
// marked (PROTOCOL §3.2): nobody but a client that knows wsr.v1 needs that, and a
// member marks it itself.
func (s *Session) escapes() bool {
	return s.extra == nil || s.extra.echo == nil && !s.extra.common
}
