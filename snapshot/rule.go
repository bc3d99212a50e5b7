package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/internal/match"
	"github.com/wsresilience/wsresilience/internal/pathpattern"
)

// ruleText is a rule as it is written in WSR_SNAPSHOT_RULES.
type ruleText struct {
	Path         string       `json:"path"`
	Select       *matcherText `json:"select"`
	Request      *matcherText `json:"request"`
	Reply        *matcherText `json:"reply"`
	Key          *string      `json:"key"`
	Drop         *matcherText `json:"drop"`
	DropOutbound *matcherText `json:"dropOutbound"`
	Merge        string       `json:"merge"`
	TTL          string       `json:"ttl"`
	Await        *matcherText `json:"await"`
	Swallow      *matcherText `json:"swallow"`
}

// A rule keeps the latest message per key of those that it selects. It is
// immutable.
type rule struct {
	// id names the rule in what is saved. It follows from what decides which
	// message is kept under which key, so that it survives a restart, and a
	// rule that means something else is another one.
	id uint32

	path         pathpattern.Pattern
	selects      *matcher
	key          []string // nil: none
	drop         *matcher // inbound; or nil
	dropOutbound *matcher // or nil
	conflictFree bool
	ttl          time.Duration // 0: as long as the session
	await        *matcher      // or nil
	swallow      *matcher      // or nil
}

// parseRules reads WSR_SNAPSHOT_RULES.
func parseRules(data []byte) ([]*rule, []*exchange, error) {
	list, err := match.ReadRules[ruleText](data)
	if err != nil {
		return nil, nil, err
	}
	var rules []*rule
	var exchanges []*exchange
	numbers := make(map[uint32]int) // by id
	for i := range list {
		if t := &list[i]; t.Request != nil || t.Reply != nil {
			e, err := t.compileExchange()
			if err != nil {
				return nil, nil, fmt.Errorf("rule %d: %w", i+1, err)
			}
			exchanges = append(exchanges, e)
			continue
		}
		r, err := list[i].compile()
		if err != nil {
			return nil, nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		if first, twice := numbers[r.id]; twice {
			return nil, nil, fmt.Errorf("rule %d: has path, select and key of rule %d", i+1, first)
		}
		rules, numbers[r.id] = append(rules, r), i+1
	}
	return rules, exchanges, nil
}

// compile checks a rule.
func (t *ruleText) compile() (*rule, error) {
	r := &rule{}
	var err error
	if r.path, err = match.ParsePath(t.Path); err != nil {
		return nil, err
	}
	if t.Select == nil {
		return nil, errors.New(`no "select"`)
	}
	for _, part := range []struct {
		name string
		from *matcherText
		to   **matcher
	}{
		{"select", t.Select, &r.selects}, {"drop", t.Drop, &r.drop}, {"dropOutbound", t.DropOutbound, &r.dropOutbound},
		{"await", t.Await, &r.await}, {"swallow", t.Swallow, &r.swallow},
	} {
		if *part.to, err = part.from.Compile(); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if err := r.compileEntry(t); err != nil {
		return nil, err
	}
	r.id = t.id(r.path)
	return r, nil
}

// compileEntry checks what a rule says of its entries.
func (r *rule) compileEntry(t *ruleText) error {
	var err error
	if r.key, err = t.compileKey(); err != nil {
		return err
	}
	switch t.Merge {
	case "", "last-write-wins":
	case "conflict-free":
		r.conflictFree = true
	default:
		return fmt.Errorf("merge %q: not last-write-wins or conflict-free", t.Merge)
	}
	if t.TTL != "" {
		ttl, err := time.ParseDuration(t.TTL)
		if err != nil || ttl < time.Millisecond {
			return fmt.Errorf("ttl %q: not a duration of 1ms or more, such as 90s or 1h", t.TTL)
		}
		r.ttl = ttl
	}
	return nil
}

// compileKey reads the key; nil is none.
func (t *ruleText) compileKey() ([]string, error) {
	if t.Key == nil {
		return nil, nil
	}
	key, ok := jsonpointer.Parse(*t.Key)
	if !ok || len(key) == 0 {
		return nil, fmt.Errorf("key %q: not an RFC 6901 pointer of 1 to %d bytes and at most %d names", *t.Key, jsonpointer.MaxLength, jsonpointer.MaxTokens)
	}
	return key, nil
}

// id hashes what decides which message is kept under which key.
func (t *ruleText) id(path pathpattern.Pattern) uint32 {
	var selects, pointer, key string
	if t.Select.Regexp != nil {
		selects = *t.Select.Regexp
	} else {
		pointer = *t.Select.Pointer
		var equals bytes.Buffer
		_ = json.Compact(&equals, t.Select.Equals) // it was decoded, so it is well-formed
		selects = equals.String()
	}
	if t.Key != nil {
		key = *t.Key
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%q %q %q %q", path, pointer, selects, key)
	return max(h.Sum32(), 1) // 0 is the preset
}

// inbound keeps or drops by what the client said.
func (r *rule) inbound(t *Tracker, now time.Time, m Message) {
	switch r.selects.Look(m.Data) {
	case jsonpointer.Present:
		if len(m.Data) > maxLook || !r.selects.IsRegexp() && !json.Valid(m.Data) {
			t.setIncomplete() // it does not fit, or it is not what it looks like
			return
		}
		t.put(now, entry{rule: r.id, key: r.keyOf(r.selects, m), m: m})
		return
	case jsonpointer.Undecided:
		t.setIncomplete()
		return
	}
	if r.drop != nil {
		r.drops(t, now, r.drop, m)
	}
}

// drops forgets the entry with the key of m, if it matches by.
func (r *rule) drops(t *Tracker, now time.Time, by *matcher, m Message) {
	if !by.Match(m.Data) {
		return
	}
	key := r.keyOf(by, m)
	i := t.find(r.id, key)
	if i < 0 || t.entries[i].state != held {
		return
	}
	t.version++
	if !r.conflictFree {
		t.remove(i)
		return
	}
	e := &t.entries[i]
	t.size -= len(e.m.Data)
	e.state, e.version, e.at, e.m = dropped, t.version, now.UnixMilli(), Message{}
	t.schedule()
}

// keyOf returns what distinguishes the entry of m from others of the rule: the
// value at the rule's pointer, or the first group of the expression.
func (r *rule) keyOf(by *matcher, m Message) string {
	if r.key != nil {
		return jsonpointer.LookupText(m.Data, r.key...)
	}
	key := by.Group(m.Data)
	return key
}
