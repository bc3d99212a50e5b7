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
}

// append appends the form in which it is stored, as an outcome:
//
//	fingerprint 16 B | state u8+n | state before u8+n
func (p *position) append(dst []byte) []byte {
	dst = append(dst, p.print[:]...)
	for _, s := range []string{p.at, p.before} {
		dst = append(append(dst, byte(len(s))), s...)
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
	return p
}

// decideState is decide for a message about an entity. It returns the state from
// which the message leads, too.
func (f *facts) decideState(s *states, c change) (step, string) {
	e := f.found
	if e == nil || e.State == Free {
		return s.from("", c), ""
	}
	p := positionOf(e)
	ours := e.By.Session == f.self.Session
	former := ours && int32(f.self.Epoch-e.By.Epoch) > 0
	same := p.print == c.print && p.at == c.to
	switch {
	case e.State == Claimed && ours && !former && e.By.Owner == f.self.Owner && e.Seq == f.seq:
		return stepPass, p.before
	case e.State == Claimed && former && f.handed && int32(e.Seq-f.handedUp) > 0:
		return s.from(p.before, c), p.before // that message never was with an app
	case e.State == Claimed && (former || f.ownerGone):
		switch {
		case !same && s.allows(p.at, c.to):
			return stepClaim, p.at
		case !same && !s.allows(p.before, c.to):
			return stepForbidden, ""
		case f.again:
			return stepAgain, p.before
		}
		return stepDoubt, ""
	case e.State == Claimed && !f.waited:
		return stepWait, ""
	case same && !s.allows(p.at, c.to):
		return stepRepeated, ""
	}
	return s.from(p.at, c), p.at
}

// from is whether a message leads on from a state.
func (s *states) from(at string, c change) step {
	if s.allows(at, c.to) {
		return stepClaim
	}
	return stepForbidden
}
