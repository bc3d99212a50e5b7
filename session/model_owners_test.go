package session

import (
	contexts "context"
	"slices"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// checkRecord looks at what is to be written to the journal.
func (m *sim) checkRecord(r *store.Record) {
	if m.rec != nil {
		m.t.Fatal("a second record while one is in flight")
	}
	if max(r.InAcked+m.client.shift, m.client.acked) > m.appHeard && r.Kind != store.End {
		m.t.Fatalf("the record has %d handed over, the app has %d (I3)", r.InAcked+m.client.shift, m.appHeard)
	}
	if proven := (tokenOrder{r.ProvenEpoch, r.Proven}); proven.before(m.confirmed) && r.Kind != store.End {
		m.t.Fatalf("the record has token %+v for proven, which is %+v", proven, m.confirmed)
	}
	size := 0
	for _, f := range r.Frames {
		size += len(f.Data) + frameCost
	}
	if m.mode&simScarce != 0 && size > simRoom && len(r.Frames) > 1 {
		m.t.Fatalf("a record has %d frames of %d bytes, and room for %d", len(r.Frames), size, simRoom)
	}
	if r.Handed && int(r.OutHead) != len(m.out) {
		m.t.Fatalf("handed over with %d of %d messages", r.OutHead, len(m.out))
	}
}

// store puts a record behind those that are there, and sees whether a reader
// would find what it needs.
func (m *sim) store(r *store.Record) {
	m.chain.endless = m.mode&simScarce != 0 // snapshots need not fit then
	if _, err := m.chain.Append(contexts.Background(), store.ID{}, m.chain.newest, r); err != nil {
		m.t.Fatal(err)
	}
	if r.Kind == store.End {
		return
	}
	if st, err := store.Fold(m.chain.all); err != nil || st.Gap || st.OutHead != st.OutAcked+uint32(len(st.Frames)) {
		m.t.Fatalf("after %v %d.%d the journal amounts to %+v, %v", r.Kind, r.Epoch, r.N, st, err)
	}
}

// persisted decides the fate of the record in flight.
func (m *sim) persisted(n int) {
	r := m.rec
	if r == nil || m.s == nil {
		return
	}
	m.rec = nil
	result := Persisted
	switch n % 8 {
	case 6:
		result = PersistFailed
		if m.leaky = true; n&8 != 0 {
			m.store(r) // and the answer was lost
		}
	case 7:
		if n < rare {
			result = PersistLost
			m.chain.all, m.chain.head, m.leaky = nil, 0, true
		}
	}
	if result == Persisted {
		m.store(r)
		m.chain.head = r.OutHead
		m.leaky = m.leaky && r.Kind == store.Claim
	}
	suspect := m.s.OwnershipSuspect()
	if m.s.Persisted(m.now, result); suspect && r == m.before && !m.s.OwnershipSuspect() && !r.Handed {
		m.t.Fatalf("record %d.%d, older than the check, ends it (I5)", r.Epoch, r.N)
	}
	m.settle()
}

// ended follows the session's end.
func (m *sim) ended(why Ending) {
	switch {
	case why == EndedClosed && m.client.closed:
		m.over = true
	case why == EndedHanded && m.s.HandingOver():
		st, err := store.Fold(m.chain.all)
		if err != nil || !st.Handed || int(st.OutHead) != len(m.out) || max(st.InAcked+m.client.shift, m.client.acked) != m.appHeard {
			m.t.Fatalf("handed over with %+v, %v; the app has %d, %d are outbound", st, err, m.appHeard, len(m.out))
		}
	default:
		m.t.Fatal("session ended: ", why)
	}
	if n := m.cfg.Pool.InUse(); n != 0 {
		m.t.Fatalf("an ended session holds %d bytes", n)
	}
	m.s, m.rec = nil, nil
	m.app.open = false
}

// crash ends the owner. stored is what became of the record in flight.
func (m *sim) crash(stored bool) {
	if m.s == nil || len(m.chain.all) == 0 {
		return // nobody would know of the session
	}
	if m.rec != nil && stored {
		m.store(m.rec)
	}
	if m.s.OwnershipSuspect() {
		m.fence(m.s)
	}
	m.s, m.rec = nil, nil
	m.app.open = false
}

// fence tells an owner under an ownership check that it is none: it does not write a word
// more to either side, but for their end.
func (m *sim) fence(s *Session) {
	for range 100 {
		m.now = m.now.Add(maxRetry)
		s.Tick(m.now)
		var o Output
		s.Output(m.now, &o)
		for _, p := range append(slices.Clone(o.ToApp), o.ToClient...) {
			if p[0] != 0x80|byte(ws.OpClose) {
				m.t.Fatalf("a fenced owner says % x (I5)", p)
			}
		}
		s.AppWrote(m.now, size(o.ToApp))
		if m.rec != nil || o.Persist != nil {
			m.rec = nil
			s.Persisted(m.now, PersistRefused)
		}
		if s.Done() {
			return
		}
	}
	m.t.Fatal("a fenced owner does not end")
}

// attach is the client's next connection.
func (m *sim) attach() {
	if m.s == nil && (m.client.closed || len(m.client.tokens) == 0) {
		m.over = true // it has heard the end, or has no token to come back with
	}
	if m.over || m.s != nil && m.s.OwnershipSuspect() {
		return
	}
	m.freshClient()
	if m.s == nil {
		m.adopt()
		return
	}
	at := m.position()
	m.checkTokens(func(e, g uint32) TokenVerdict { return m.s.Token(e, g, at.Attempt) })
	if r, _ := m.s.Check(at); r != 0 {
		m.t.Fatalf("resume with %+v is refused: %v", at, r)
	}
	if m.s.Attached() {
		m.s.Supersede(m.now)
		if m.settle(); m.s == nil {
			return
		}
	}
	m.join(wire.StatusResumed, at)
}

// presented is after the resume's token. What came before with it is late from now on.
func (m *sim) presented(attempt uint32) {
	token := m.client.token
	if v := m.s.Token(token.epoch, token.generation, attempt); token.epoch != 0 && v != TokenLate {
		m.t.Fatalf("attempt %d with %+v, again: %v", attempt, token, v)
	}
	m.confirmed, m.client.tried = m.client.token, m.client.token
}

// checkTokens wants what the client was sent since the token that it has shown
// to be good, and nothing before that (PROTOCOL §8.4).
func (m *sim) checkTokens(judge func(epoch, generation uint32) TokenVerdict) {
	for _, token := range m.client.tokens[max(0, len(m.client.tokens)-5):] {
		got := judge(token.epoch, token.generation)
		if token.before(m.confirmed) && got != TokenReused || !token.before(m.client.tried) && got != TokenValid {
			m.t.Fatalf("token %+v is %v where %+v is proven, at most %+v", token, got, m.confirmed, m.client.tried)
		}
	}
}

// adopt makes the session anew from the journal, as the proxy does.
func (m *sim) adopt() {
	ctx, id := contexts.Background(), store.ID{}
	former, err := m.chain.Load(ctx, id)
	if err != nil {
		m.t.Fatal(err)
	}
	if journaled := (tokenOrder{former.ProvenEpoch, former.Proven}); journaled.before(m.confirmed) {
		m.confirmed = journaled // what was shown in the last moment is forgotten
	}
	m.checkTokens(func(e, g uint32) TokenVerdict { return JudgeToken(former, e, g, 0) })
	at := m.position()
	if Diverged(former, at) {
		m.t.Fatalf("%+v is of another history than %+v", at, former.Record)
	}
	state, err := store.Adopt(ctx, &m.chain, store.Adoption{ID: id, From: former, Owner: "b:1", Now: m.now, Received: uint32(at.Received), Epoch: at.Epoch, Early: at.Next != 0, Generation: at.Generation, Attempt: at.Attempt})
	if err != nil {
		m.t.Fatal(err)
	}
	start := m.start()
	if k := start.Tracker; k != nil {
		if state.Context == nil {
			start.Tracker, start.AppReplaceableIfRestored = nil, false
		} else if err := k.Load(state.Context); err != nil {
			m.t.Fatal(err)
		}
	}
	dial := !state.Closed && (start.AppReplaceable || start.AppReplaceableIfRestored && start.Tracker.Complete())
	m.cfg = m.config()
	s, reason := Adopt(m.cfg, m.now, Adoption{Start: start, State: state, Position: at, AppOpen: dial})
	if reason != 0 {
		m.t.Fatalf("adoption with %+v of %+v is refused: %v", at, state.Record, reason)
	}
	m.s, m.taken = s, s.Held()
	m.checkAdopted(state)
	if dial {
		m.freshApp()
		m.blind = m.blind || m.leaky
		m.hears(start.Tracker != nil)
	}
	m.join(wire.StatusAdopted, at)
}

func (m *sim) join(status wire.Status, at Position) {
	if r := m.s.Attach(m.now, status, at, false); r != 0 {
		m.t.Fatalf("%+v is not attached: %v", at, r)
	}
	m.presented(at.Attempt)
	m.settle()
}

// checkAdopted compares where the new owner goes on with what was certain.
func (m *sim) checkAdopted(state *store.State) {
	c := &m.client
	head := uint32(m.s.window.Head())
	switch {
	case head != max(state.OutHead, c.heard) || int(head) > len(m.out):
		m.t.Fatalf("outbound goes on after %d: the journal has %d, the client %d of %d", head, state.OutHead, c.heard, len(m.out))
	case head < m.chain.head || state.Handed && int(head) != len(m.out):
		m.t.Fatalf("outbound goes on after %d of %d: %d are journaled (I1)", head, len(m.out), m.chain.head)
	}
	m.out = m.out[:head]
	in := max(uint32(m.s.inbox.Received())+c.shift, c.acked)
	if in > m.appHeard || state.Handed && in != m.appHeard {
		m.t.Fatalf("inbound goes on after %d: the app has %d (I2)", in, m.appHeard)
	}
	m.appHeard = in
	if m.s.inbox.Received() != seqwindow.Serial(max(state.InAcked, c.acked-c.shift)) && m.mode&simWaits == 0 {
		m.t.Fatalf("inbound goes on after %d: the journal has %d", m.s.inbox.Received(), state.InAcked)
	}
}

// hears says what a fresh app socket has to hear first.
func (m *sim) hears(keeps bool) {
	if m.app.anyContext = m.blind && keeps; keeps && !m.blind {
		m.app.context = contextOf(m.appHeard)
	}
}

// appBack gives the session a new app socket, which hears what the old ones
// were told and still counts. An app that stops with its pod is found to do so.
func (m *sim) appBack() {
	if m.app.cause && m.s != nil {
		m.app.cause = false
		m.s.AppLeft()
		m.settle()
		return
	}
	if !m.app.redial || m.s == nil {
		return
	}
	m.app.redial = false
	lost := m.s.AppLost()
	if taken := m.s.AppBack(m.now, "", false); !taken {
		if lost && !m.s.HandingOver() && !m.s.closing.byApp {
			m.t.Fatal("a fresh app socket is not taken")
		}
		m.settle()
		return
	}
	m.freshApp()
	m.hears(m.s.context.tracks())
	m.settle()
}
