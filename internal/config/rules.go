package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Rules are the rules of the context snapshot: JSON, on one line, or the name
// of a file with it.
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

// readRules takes the rules from the variable or its file. Package snapshot
// checks what they say: see RulesProblem.
func (l *loader) readRules() {
	const variable = "WSR_SNAPSHOT_RULES"
	rules := l.cfg.SnapshotRules
	switch {
	case rules == "" || l.bad[variable]:
		return
	case rules.inline():
		l.cfg.rules = []byte(rules)
		return
	}
	_, err := File(rules).check()
	if err == nil {
		l.cfg.rules, err = File(rules).read()
	}
	if err != nil {
		l.fail(l.find(variable), err.Error())
	}
}

// Rules returns the rules of the context snapshot as they were given, from
// the variable or its file; nil if there are none. They must not be changed.
func (c *Config) Rules() []byte { return c.rules }

// RulesProblem turns what package snapshot finds wrong with the rules or with
// the app's protocol into an error like that of Load.
func (c *Config) RulesProblem(why error) error {
	p := Problem{Why: why.Error()}
	for _, name := range []string{"WSR_SNAPSHOT_RULES", "WSR_APP_PROTOCOL"} {
		if c.given[name] {
			p.Names = append(p.Names, name)
		}
	}
	return Problems{p}
}
