package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// configFile is the variable of the file with more settings.
const configFile = "WSR_CONFIG_FILE"

// InjectedFile is where the injector mounts the file of a pod's author. What the
// injector decides cannot be in it.
const InjectedFile = "/etc/wsresilience/settings/settings.env"

// readConfigFile adds the settings of the file to those of the environment, which
// count where both have one.
func (l *loader) readConfigFile() {
	name := l.values[configFile]
	if name == "" {
		return
	}
	l.cfg.ConfigFile = File(name)
	loose, err := File(name).check()
	var text []byte
	if err == nil {
		text, err = File(name).read()
	}
	var entries []entry
	if err == nil {
		entries, err = parseEntries(string(text))
	}
	if err == nil && name == InjectedFile {
		err = l.refuseInjectors(entries)
	}
	if err != nil {
		l.given[configFile] = true
		l.fail(l.find(configFile), err.Error())
		return
	}
	for _, e := range entries {
		given, twice := l.values[e.name]
		switch {
		case !twice:
			l.values[e.name], l.lines[e.name] = e.value, e.line
		case given != e.value:
			l.overridden = append(l.overridden, e.name)
			l.warn("%s is in the environment and in line %d of %s: that of the environment counts.", e.name, e.line, name)
		}
		if i := l.index(e.name); i >= 0 && l.fields[i].secret && loose && l.podIP == "" {
			l.warn("%s: every user can read %q, which has %s in it; mode 0400 is safer.", configFile, name, e.name)
		}
	}
}

// judgeOverridden warns of values in the file that do not count, since the environment
// has others, and could not be used if they did: nobody would hear of them until then.
func (l *loader) judgeOverridden(environ []string) {
	if len(l.overridden) == 0 {
		return
	}
	file := newLoader()
	file.collect(slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(l.overridden, name)
	}))
	file.judge()
	for _, p := range file.problems {
		// Where values contradict each other, those of the environment may not.
		if len(p.Names) == 1 && slices.Contains(l.overridden, p.Names[0]) {
			l.warn("%v. Without the one in the environment it would be refused.", p)
		}
	}
}

// refuseInjectors finds what only the injector may set.
func (l *loader) refuseInjectors(entries []entry) error {
	for _, e := range entries {
		if i := l.index(e.name); i >= 0 && l.fields[i].injector {
			return fmt.Errorf("line %d sets %s, which the injector decides", e.line, e.name)
		}
	}
	return nil
}

// where tells where a variable was set, unless it was in the environment.
func (l *loader) where(variable string) string {
	if line := l.lines[variable]; line > 0 {
		return fmt.Sprintf("line %d of %s", line, l.cfg.ConfigFile)
	}
	return ""
}

// fromFile lists the variables that the file sets.
func (l *loader) fromFile() map[string]bool {
	list := map[string]bool{}
	for variable := range l.lines {
		list[variable] = true
	}
	return list
}

// An entry is one line of the config file.
type entry struct {
	name, value string
	line        int
}

// parseEntries reads the text of a config file: NAME=value, or with one pair of
// quotes around the value; lines that are empty or begin with # say nothing. Its
// errors show no value, which may be a secret.
func parseEntries(text string) (list []entry, err error) {
	seen := map[string]int{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(strings.TrimPrefix(name, "export ")), strings.TrimSpace(value)
		switch {
		case !ok:
			return nil, fmt.Errorf("line %d is not NAME=value", n)
		case name == configFile:
			return nil, fmt.Errorf("line %d: a file of settings cannot name another", n)
		case !strings.HasPrefix(name, prefix):
			return nil, fmt.Errorf("line %d: only settings that begin with %s can be here", n, prefix)
		case seen[name] > 0:
			return nil, fmt.Errorf("line %d sets %s again, after line %d", n, shorten(name), seen[name])
		}
		seen[name] = n
		if value, err = unquote(value); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		list = append(list, entry{name, value, n})
	}
	return list, nil
}

// unquote takes the quotes off a value that is within a pair. Nothing is escaped.
func unquote(value string) (string, error) {
	if value == "" || value[0] != '"' && value[0] != '\'' {
		return value, nil
	}
	if len(value) < 2 || value[len(value)-1] != value[0] {
		return "", errors.New("the quote before the value has none behind it")
	}
	return value[1 : len(value)-1], nil
}
