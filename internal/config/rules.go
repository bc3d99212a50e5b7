package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode"
)

// Rules are rules about messages: JSON, on one line, or the name of a file with
// it.
type Rules string

// UnmarshalText implements encoding.TextUnmarshaler. White space around the
// value and line breaks in JSON are no mistake here: a block in YAML has them.
func (r *Rules) UnmarshalText(text []byte) error {
	text = bytes.TrimSpace(text)
	if Rules(text).inline() {
		var line bytes.Buffer
		if err := json.Compact(&line, text); err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
		text = line.Bytes()
	}
	if bytes.ContainsFunc(text, unicode.IsControl) {
		return errors.New("has a control character in it")
	}
	*r = Rules(text)
	return nil
}

// Allowed describes the text form.
func (Rules) Allowed() string { return "JSON that starts with {, or path of a readable file" }

func (r Rules) inline() bool { return strings.HasPrefix(string(r), "{") }

// The settings of the type Rules.
const (
	snapshotRules    = "WSR_SNAPSHOT_RULES"
	idempotencyRules = "WSR_IDEMPOTENCY_RULES"
	stateRules       = "WSR_STATE_RULES"
)

var ruleSettings = []string{snapshotRules, idempotencyRules, stateRules}

// rulesOf returns the setting, as it was given.
func (c *Config) rulesOf(variable string) Rules {
	switch variable {
	case idempotencyRules:
		return c.IdempotencyRules
	case stateRules:
		return c.StateRules
	}
	return c.SnapshotRules
}

// keepRules notes what a setting of rules holds or names.
func (c *Config) keepRules(variable string, rules []byte) {
	all := maps.Clone(c.rules) // another Config may have the same
	if all == nil {
		all = map[string][]byte{}
	}
	all[variable] = rules
	c.rules = all
}

// readRules takes the rules from the variables or their files. Others check what
// they say: see RulesProblem.
func (l *loader) readRules() {
	for _, variable := range ruleSettings {
		rules := l.cfg.rulesOf(variable)
		switch {
		case rules == "" || l.bad[variable]:
			continue
		case rules.inline():
			l.cfg.keepRules(variable, []byte(rules))
			continue
		}
		_, err := File(rules).check()
		var text []byte
		if err == nil {
			text, err = File(rules).read()
		}
		if err != nil {
			l.fail(l.find(variable), err.Error())
			continue
		}
		l.cfg.keepRules(variable, text)
	}
}

// Rules returns the rules of the context snapshot as they were given, from
// the variable or its file; nil if there are none. They must not be changed.
func (c *Config) Rules() []byte { return c.rules[snapshotRules] }

// KeyRules returns the rules about messages that act once in the same way.
func (c *Config) KeyRules() []byte { return c.rules[idempotencyRules] }

// SharedStateRules returns the rules about the state of shared sessions in the same way.
func (c *Config) SharedStateRules() []byte { return c.rules[stateRules] }

// RulesProblem turns what package snapshot finds wrong with the rules or with
// the app's protocol into an error like that of Load.
func (c *Config) RulesProblem(why error) error {
	return c.problem(why, snapshotRules, "WSR_APP_PROTOCOL")
}

// KeyRulesProblem does so with what is wrong with the rules about messages that
// act once.
func (c *Config) KeyRulesProblem(why error) error { return c.problem(why, idempotencyRules) }

// StateRulesProblem does so with what is wrong with the rules about the state of
// shared sessions.
func (c *Config) StateRulesProblem(why error) error { return c.problem(why, stateRules) }

func (c *Config) problem(why error, settings ...string) error {
	p := Problem{Why: why.Error()}
	for _, name := range settings {
		if c.given[name] {
			p.Names = append(p.Names, name)
		}
	}
	return Problems{p}
}
