package config

import (
	"fmt"
	"strings"
)

// A Setting is one line of the effective configuration. It holds no secret.
type Setting struct {
	Name    string
	Value   string // masked, as in the variable
	Default string // what holds without it, in words where it depends
	Source  string // env, file or default
}

// The values of Setting.Source.
const (
	SourceEnv     = "env"
	SourceFile    = "file"
	SourceDefault = "default"
)

// Effective lists all settings as they are in force, in the order of the
// documentation.
func (c *Config) Effective() []Setting {
	var list []Setting
	for _, f := range fields() {
		s := Setting{Name: f.variable, Value: f.text(c), Default: f.standard(), Source: SourceDefault}
		switch {
		case c.fromFile[f.variable]:
			s.Source = SourceFile
		case c.given[f.variable]:
			s.Source = SourceEnv
		}
		list = append(list, s)
	}
	return list
}

// Markdown returns the table of all settings for docs/CONFIG.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| variable | default | allowed | without a restart | |\n|---|---|---|---|---|\n")
	for _, f := range fields() {
		standard := f.standard()
		if f.def != "" {
			standard = "`" + standard + "`"
		}
		doc := f.doc
		if f.injector {
			doc += " In Kubernetes the injector decides it."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.variable, standard, f.allowed(), f.reach, doc)
	}
	return b.String()
}

// Help returns the settings as plain text for a terminal.
func Help() string {
	var b strings.Builder
	for _, f := range fields() {
		fmt.Fprintf(&b, "  %s (%s)\n      %s\n      allowed: %s\n      changes without a restart: %s\n", f.variable, f.standard(), f.doc, f.allowed(), f.reach)
	}
	return b.String()
}
