package config

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// A Reach is whom a changed setting reaches without a restart.
type Reach string

// The values of Reach.
const (
	ReachNone    Reach = ""        // nobody
	ReachContent Reach = "content" // what is in the file counts, and not its name
	ReachNew     Reach = "new"     // what begins then
	ReachLiving  Reach = "living"  // sessions and connections that live too
)

// String is what the documentation says.
func (r Reach) String() string {
	switch r {
	case ReachContent:
		return "its content"
	case ReachNew:
		return "new sessions"
	case ReachLiving:
		return "at once"
	}
	return "-"
}

// A Change is a setting that differs from what it was. It holds no secret.
type Change struct {
	Name     string
	From, To string // as in the variable, masked and shortened
	Reach    Reach  // ReachNone: it needs a restart
}

// Reload reads the settings again, as Load does, and returns those to go on with:
// c's, but for what may change while the sidecar runs. The changes are in the order
// of the documentation, those among them that need a restart once. The error is a
// Problems with all that is wrong; then c stays as it is. It is none of Load's if
// what changes contradicts what does not.
func (c *Config) Reload(environ []string) (next *Config, changes []Change, err error) {
	fresh, err := Load(environ)
	if err != nil {
		return nil, nil, err
	}
	next = new(Config)
	*next = *c
	next.given, next.fromFile = maps.Clone(c.given), maps.Clone(c.fromFile)
	last := c.lastRead()
	for _, f := range fields() {
		reach := f.reach
		if f.variable == "WSR_TOKEN_KEYS" && (!c.given[f.variable] || !fresh.given[f.variable]) {
			reach = ReachNone // keys of its own, or of a file, are another kind
		}
		from := c
		if reach == ReachNone || reach == ReachContent {
			if from, reach = last, ReachNone; f.same(c, fresh) {
				reach = f.reach // it is as it runs
			}
		} else {
			f.copy(next, fresh)
		}
		if !f.same(from, fresh) {
			changes = append(changes, Change{Name: f.variable, From: f.shown(from), To: f.shown(fresh), Reach: reach})
		}
	}
	l := newLoader()
	l.cfg, l.given = next, next.given
	next.warnings = nil
	l.contradictions()
	if len(l.problems) > 0 {
		for i := range l.problems {
			l.problems[i].Why += "; what needs a restart counts as it runs"
		}
		return nil, nil, l.problems
	}
	l.lint()
	for _, w := range fresh.warnings { // such as of a line that the environment overrides
		if !slices.Contains(next.warnings, w) {
			next.warnings = append(next.warnings, w)
		}
	}
	next.read = fresh
	return next, changes, nil
}

// WatchedFiles lists the files whose content is part of the settings, apart from
// those that are read at each use.
func (c *Config) WatchedFiles() (list []File) {
	if c.ConfigFile != "" {
		list = append(list, c.ConfigFile)
	}
	for _, variable := range ruleSettings {
		for _, rules := range []Rules{c.rulesOf(variable), c.lastRead().rulesOf(variable)} {
			if rules != "" && !rules.inline() && !slices.Contains(list, File(rules)) {
				list = append(list, File(rules))
			}
		}
	}
	return list
}

func (c *Config) lastRead() *Config {
	if c.read != nil {
		return c.read
	}
	return c
}

// Content returns what is in the file now.
func (f File) Content() ([]byte, error) { return f.read() }

// derived are settings whose value depends on the machine, or on chance, where none
// is given.
var derived = []string{"WSR_ADVERTISE", "WSR_NATS_REPLICAS", "WSR_TOKEN_KEYS"}

// same reports whether two configurations agree in the field.
func (f *field) same(a, b *Config) bool {
	if slices.Contains(derived, f.variable) && !(a.given[f.variable] && b.given[f.variable]) {
		return a.given[f.variable] == b.given[f.variable]
	}
	if slices.Contains(ruleSettings, f.variable) && !bytes.Equal(a.rules[f.variable], b.rules[f.variable]) {
		return false
	}
	return reflect.DeepEqual(f.value(a), f.value(b))
}

func (f *field) value(c *Config) any { return reflect.ValueOf(c).Elem().Field(f.index).Interface() }

// copy takes the field over.
func (f *field) copy(to, from *Config) {
	reflect.ValueOf(to).Elem().Field(f.index).Set(reflect.ValueOf(from).Elem().Field(f.index))
	to.given[f.variable], to.fromFile[f.variable] = from.given[f.variable], from.fromFile[f.variable]
	if slices.Contains(ruleSettings, f.variable) {
		to.keepRules(f.variable, from.rules[f.variable])
	}
}

// maxShownChange bounds what the log says of one value.
const maxShownChange = 256

// shown is the field's value for the log.
func (f *field) shown(c *Config) string {
	text := f.text(c)
	switch {
	case !c.given[f.variable] && slices.Contains(derived, f.variable):
		return "not set"
	case slices.Contains(ruleSettings, f.variable) && c.rulesOf(f.variable) != "" && !c.rulesOf(f.variable).inline():
		rules := c.rules[f.variable]
		return fmt.Sprintf("%s (%d bytes, sha256 %.4x)", text, len(rules), sha256.Sum256(rules))
	case text == "":
		return "not set"
	case len(text) > maxShownChange:
		return fmt.Sprintf("%s... (%d bytes, sha256 %.4x)", strings.ToValidUTF8(text[:maxShownChange], "?"), len(text), sha256.Sum256([]byte(text)))
	}
	return text
}
