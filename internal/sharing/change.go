package sharing

import (
	"errors"
	"fmt"

	"github.com/wsresilience/wsresilience/internal/match"
)

// A Mode says what becomes of changes that clients made without knowing of each other.
type mode uint8

const (
	// keepsAll: all of them are handed to the app, in one order for everybody.
	keepsAll mode = iota
	// lastWins: one counts if it was made after the last that did.
	lastWins
	// sameVersion: one counts if it was made on the present version.
	sameVersion
)

// change is what a rule says of clients' messages about its states.
type change struct {
	mode    mode
	selects *match.Matcher
	key     []string
	version []string        // that the client saw
	time    []string        // when the client made it; nil: when it came
	refuse  *match.Template // what the client hears of one that is refused; nil: the state
}

// compileChange reads what a rule says of clients' messages; nil is nothing.
func (t *ruleText) compileChange(r *rule) (*change, error) {
	c := &change{}
	switch t.Conflict {
	case "":
		if t.Change != nil || t.Refuse != nil {
			return nil, errors.New(`"change" and "refuse" go with "conflict": want last-write-wins, version or log`)
		}
		return nil, nil
	case "log":
		if t.Refuse != nil {
			return nil, errors.New(`"refuse": nothing is refused with the conflict log`)
		}
	case "last-write-wins":
		c.mode = lastWins
	case "version":
		c.mode = sameVersion
	default:
		return nil, fmt.Errorf("conflict %q: not last-write-wins, version or log", t.Conflict)
	}
	text := t.Change
	if text == nil {
		text = &changeText{}
	}
	return c, c.compile(t, r, text)
}

func (c *change) compile(t *ruleText, r *rule, text *changeText) (err error) {
	c.selects, c.key, c.version = r.selects, r.key, r.version
	if text.Select != nil {
		if c.selects, err = text.Select.Compile(); err != nil {
			return fmt.Errorf("change: select: %w", err)
		}
	}
	for _, p := range []struct {
		name string
		from *string
		to   *[]string
	}{{"key", text.Key, &c.key}, {"version", text.Version, &c.version}, {"time", text.Time, &c.time}} {
		if p.from == nil {
			continue
		}
		if *p.to, err = pointer("change: "+p.name, p.from); err != nil {
			return err
		}
	}
	switch {
	case c.mode == sameVersion && (r.version == nil || c.version == nil):
		return errors.New(`conflict version: no "version" in the app's messages, or in those of clients ("change")`)
	case c.mode != lastWins && c.time != nil:
		return errors.New(`change: "time" goes with the conflict last-write-wins`)
	case t.Refuse == nil:
		return nil
	}
	if c.refuse, err = match.ParseTemplate(t.Refuse); err != nil {
		return fmt.Errorf("refuse: %w", err)
	}
	return nil
}
