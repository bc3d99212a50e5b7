package snapshot

import (
	"errors"
	"fmt"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/internal/match"
	"github.com/wsresilience/wsresilience/internal/pathpattern"
)

// An exchange is a rule that tells requests and their answers. It keeps nothing
// for a fresh app socket. It is immutable.
type exchange struct {
	path           pathpattern.Pattern
	request, reply *matcher
	key            []string // nil: the first groups of the expressions
}

// compileExchange checks a rule with "request".
func (t *ruleText) compileExchange() (*exchange, error) {
	if t.Select != nil || t.Drop != nil || t.DropOutbound != nil || t.Await != nil || t.Swallow != nil || t.Merge != "" || t.TTL != "" {
		return nil, errors.New(`"request" goes with "path", "reply" and "key" only`)
	}
	if t.Request == nil || t.Reply == nil {
		return nil, errors.New(`"request" and "reply" go together`)
	}
	var e exchange
	var err error
	if e.path, err = match.ParsePath(t.Path); err != nil {
		return nil, err
	}
	if e.request, err = t.Request.Compile(); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	if e.reply, err = t.Reply.Compile(); err != nil {
		return nil, fmt.Errorf("reply: %w", err)
	}
	if e.key, err = t.compileKey(); err != nil {
		return nil, err
	}
	if e.key == nil && (e.request.Groups() == 0 || e.reply.Groups() == 0) {
		return nil, errors.New(`no "key", and no group in both expressions: which reply answers which request?`)
	}
	return &e, nil
}

// keyOf returns what a request and its reply share; "" is none.
func (e *exchange) keyOf(by *matcher, m Message) string {
	if e.key != nil {
		return jsonpointer.LookupText(m.Data, e.key...)
	}
	key := by.Group(m.Data)
	return key
}

// inbound notes a request. What no rule calls one has no answer, and neither has
// one without a key.
func (e *exchange) inbound(t *Tracker, m Message) {
	switch e.request.Look(m.Data) {
	case jsonpointer.Present:
		if key := e.keyOf(e.request, m); key != "" {
			t.asked.Asked(key, true)
		}
	case jsonpointer.Undecided:
		t.asked.Unclear()
	}
}

// outbound notes a reply.
func (e *exchange) outbound(t *Tracker, m Message) {
	switch e.reply.Look(m.Data) {
	case jsonpointer.Present:
		if key := e.keyOf(e.reply, m); key != "" || len(m.Data) <= maxLook {
			t.asked.Answered(key)
			return
		}
		t.replyNotRead()
	case jsonpointer.Undecided:
		t.replyNotRead()
	}
}

// replyNotRead notes that the app said something too large to be looked at, which
// may have been any reply: what is open now may be answered.
func (t *Tracker) replyNotRead() {
	if t.asked.Owed() == OwedNothing {
		return
	}
	t.asked = Requests{}
	t.asked.Unclear()
}
