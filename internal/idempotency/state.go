package idempotency

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
)

// Implementation limits of states.
const (
	// maxState bounds the name of a state, whose length is a byte in an entry.
	maxState = 255

	// maxStates bounds the states of a rule, and those that may follow one.
	maxStates = 256

	// maxPast is how many of the messages before the last one are known of an
	// entity: what a client sends again after its owner died is among them.
	maxPast = 8
)

// states are the states of a rule's entities. It is immutable.
type states struct {
	entity, state []string            // pointers
	after         map[string][]string // which states may follow which; "" is an entity that is not known
}

// compileStates reads a rule about entities.
func (r *Rule) compileStates(t *ruleText) error {
	switch {
	case t.Entity == nil && t.State == nil && t.Transitions == nil:
		return nil
	case t.Entity == nil || t.State == nil || t.Transitions == nil:
		return errors.New(`"entity", "state" and "transitions" go together`)
	case t.Key != nil || t.Reply != nil:
		return errors.New(`"entity" goes with neither "key" nor "reply"`)
	case t.Select == nil:
		return errors.New(`no "select": which messages are about an entity?`)
	}
	s := &states{after: t.Transitions}
	var err error
	if s.entity, err = pointer("entity", *t.Entity); err != nil {
		return err
	}
	if s.state, err = pointer("state", *t.State); err != nil {
		return err
	}
	if n := len(s.after); n == 0 || n > maxStates {
		return fmt.Errorf("transitions: from %d states, want 1 to %d", n, maxStates)
	}
	if len(s.after[""]) == 0 {
		return errors.New(`transitions: none from "", the state of an entity that is not known: no message would ever pass`)
	}
	for from, list := range s.after {
		if len(from) > maxState || len(list) > maxStates {
			return fmt.Errorf("transitions: %.40q: a state has at most %d bytes, and at most %d follow one", from, maxState, maxStates)
		}
		for _, to := range list {
			if to == "" || len(to) > maxState {
				return fmt.Errorf("transitions: from %q to %.40q: want a state of 1 to %d bytes", from, to, maxState)
			}
		}
	}
	r.states = s
	return nil
}

func (s *states) allows(from, to string) bool { return slices.Contains(s.after[from], to) }

// A change is what a message makes of an entity.
type change struct {
	to    string
	print Key // of the message
}

// changeOf returns the entity of a message, also as JSON, and what it makes of it.
func (s *states) changeOf(m Message) (entity, shown []byte, c change, ok bool) {
	entity, shown, ok = jsonValue(m, s.entity)
	state, found := jsonpointer.Lookup(m.Data, s.state...)
	if !ok || found != jsonpointer.Present || !json.Valid(state) {
		return nil, nil, c, false
	}
	c.to, c.print = jsonpointer.Text(state), makeKey(m.Data)
	return entity, shown, c, c.to != "" && len(c.to) <= maxState
}

// A position is what an entry has of an entity.
type position struct {
	at, before string // the states after and before the message
	print      Key    // of the message
	past       []past // the messages before it, the last one first
}

// past is a message that has changed an entity, or may have.
type past struct {
	print Key
	doubt bool // its owner died while it was on its way
}

// next is what the message behind p's knows of those before it. doubt says that p's
// may have changed nothing.
func (p *position) next(doubt bool) []past {
	if p.print == (Key{}) {
		return p.past
	}
	return append([]past{{p.print, doubt}}, p.past[:min(len(p.past), maxPast-1)]...)
}

// forbids is what becomes of a message that the entity's state does not allow: it may
// be one that came before the last.
func (p *position) forbids(c change) step {
	for _, before := range p.past {
		if before.print == c.print && before.doubt {
			return stepDoubt
		}
		if before.print == c.print {
			return stepRepeated
		}
	}
	return stepForbidden
}

// append appends the form in which it is stored, as an outcome:
//
//	fingerprint 16 B | state u8+n | state before u8+n | per message before it: doubt u8, fingerprint 16 B
//
// An older release has nothing behind the states, and does not look there.
func (p *position) append(dst []byte) []byte {
	dst = append(dst, p.print[:]...)
	for _, s := range []string{p.at, p.before} {
		dst = append(append(dst, byte(len(s))), s...)
	}
	for _, before := range p.past {
		doubt := byte(0)
		if before.doubt {
			doubt = 1
		}
		dst = append(append(dst, doubt), before.print[:]...)
	}
	return dst
}

// positionOf reads it. What is none is an entity that is not known.
func positionOf(e *Entry) (p position) {
	b := e.Outcome
	if len(b) < len(p.print) {
		return position{}
	}
	b = b[copy(p.print[:], b):]
	for _, s := range []*string{&p.at, &p.before} {
		if len(b) == 0 || len(b)-1 < int(b[0]) {
			return position{}
		}
		*s = string(b[1 : 1+b[0]])
		b = b[1+b[0]:]
	}
	const size = 1 + len(p.print)
	for ; len(b) >= size && len(p.past) < maxPast; b = b[size:] {
		p.past = append(p.past, past{Key(b[1:size]), b[0] != 0})
	}
	return p
}

// decideState is decide for a message about an entity. It returns the state from
// which the message leads, too, and the messages before it.
func (f *facts) decideState(s *states, c change) (step, string, []past) {
	e := f.found
	if e == nil || e.State == Free {
		return s.from(&position{}, c), "", nil
	}
	p := positionOf(e)
	ours := e.By.Session == f.self.Session
	former := ours && int32(f.self.Epoch-e.By.Epoch) > 0
	same := p.print == c.print && p.at == c.to
	switch {
	case e.State == Claimed && ours && !former && e.By.Owner == f.self.Owner && e.Seq == f.seq:
		return stepPass, p.before, p.past
	case e.State == Claimed && former && f.handed && int32(e.Seq-f.handedUp) > 0:
		p.at = p.before // that message never was with an app
		return s.from(&p, c), p.before, p.past
	case e.State == Claimed && (former || f.ownerGone):
		switch {
		case !same && s.allows(p.at, c.to):
			return stepClaim, p.at, p.next(true)
		case !same && !s.allows(p.before, c.to):
			return p.forbids(c), "", nil
		case f.again:
			return stepAgain, p.before, p.past
		}
		return stepDoubt, "", nil
	case e.State == Claimed && !f.waited:
		return stepWait, "", nil
	case same && !s.allows(p.at, c.to):
		return stepRepeated, "", nil
	}
	return s.from(&p, c), p.at, p.next(false)
}

// from is what becomes of a message where its entity is in the state of p.
func (s *states) from(p *position, c change) step {
	if s.allows(p.at, c.to) {
		return stepClaim
	}
	return p.forbids(c)
}
