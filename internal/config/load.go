package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caarlos0/env/v11"
)

const (
	// prefix is that of every variable of ours.
	prefix = "WSR_"

	// podIP is what the downward API of Kubernetes is asked to set.
	podIP = "POD_IP"

	// maxValue bounds a variable: 16 keys or 256 paths are far below it.
	maxValue = 64 << 10
)

// serviceLink matches what Kubernetes sets in every container for a Service
// whose name begins with wsr: that is no typing error.
var serviceLink = regexp.MustCompile(
	`^WSR_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// loader carries one Load from step to step.
type loader struct {
	fields   []field
	values   map[string]string // what is handed to the parser
	lines    map[string]int    // of the config file, where values are from there
	podIP    string
	cfg      *Config
	given    map[string]bool // variables that are set and not empty
	bad      map[string]bool // variables with a problem, left out of later checks
	problems Problems

	overridden []string // variables of the file for which the environment has other values
}

func newLoader() *loader {
	return &loader{
		fields: fields(), values: map[string]string{}, lines: map[string]int{}, cfg: &Config{},
		given: map[string]bool{}, bad: map[string]bool{},
	}
}

// fail records a problem with one variable.
func (l *loader) fail(f *field, why string) {
	l.bad[f.variable] = true
	p := Problem{Names: []string{f.variable}, Where: l.where(f.variable), Why: why, Allowed: f.allowed()}
	if value, ok := l.values[f.variable]; ok {
		p.Given = show(value, f.secret)
		delete(l.values, f.variable)
	}
	l.problems = append(l.problems, p)
}

// conflict records that variables contradict each other, unless one of them is
// wrong by itself.
func (l *loader) conflict(why string, names ...string) {
	if slices.ContainsFunc(names, func(n string) bool { return l.bad[n] }) {
		return
	}
	l.problems = append(l.problems, Problem{Names: names, Why: why})
}

func (l *loader) warn(format string, args ...any) {
	l.cfg.warnings = append(l.cfg.warnings, fmt.Sprintf(format, args...))
}

// collect takes our variables from the environment. Where one is set twice the
// last one counts, as for a program that is started with it.
func (l *loader) collect(environ []string) {
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case name == podIP:
			l.podIP = value
		case strings.HasPrefix(name, prefix):
			l.values[name] = value
		}
	}
}

// read looks at what was collected.
func (l *loader) read() {
	l.refuseUnknown()
	for i := range l.fields {
		f := &l.fields[i]
		value, ok := l.values[f.variable]
		switch {
		case !ok && f.required:
			l.fail(f, "is required and not set")
		case !ok:
		case value == "" && f.refused:
			l.fail(f, "is set but empty; unset it for the default ("+f.standard()+")")
		case value == "":
			delete(l.values, f.variable)
		default:
			l.given[f.variable] = true
			if why := f.malformed(value); why != "" {
				l.fail(f, why)
			}
		}
	}
}

// refuseUnknown records variables with our prefix that do not exist: a typing
// error would otherwise leave a default in force, unseen.
func (l *loader) refuseUnknown() {
	var known, unknown []string
	for i := range l.fields {
		known = append(known, l.fields[i].variable)
	}
	for name := range l.values {
		if !slices.Contains(known, name) && !serviceLink.MatchString(name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		p := Problem{Names: []string{shorten(name)}, Where: l.where(name), Why: "there is no such setting"}
		if near := nearest(name, known); near != "" {
			p.Why += ", did you mean " + near + "?"
		}
		l.problems = append(l.problems, p)
	}
}

// shorten makes a variable's name fit to print.
func shorten(name string) string {
	return strings.ToValidUTF8(name[:min(len(name), maxShown)], "?")
}

// malformed tells what is wrong with a value before it is parsed.
func (f *field) malformed(value string) string {
	switch {
	case len(value) > maxValue:
		return "is longer than " + Bytes(maxValue).String()
	case !utf8.ValidString(value):
		return "is not valid UTF-8"
	case strings.TrimSpace(value) == "":
		return "is only white space"
	case f.lines:
		return ""
	case strings.HasSuffix(value, "\n"):
		return "ends with a line break (echo -n avoids it)"
	case strings.TrimSpace(value) != value:
		return "has white space around it"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "has a control character in it"
	case f.oneof != nil && !slices.Contains(f.oneof, value):
		return "unknown value"
	}
	return ""
}

// parse fills the Config from what is left.
func (l *loader) parse() {
	err := env.ParseWithOptions(l.cfg, env.Options{
		Environment: l.values,
		FuncMap: map[reflect.Type]env.ParserFunc{
			reflect.TypeFor[time.Duration](): func(s string) (any, error) { return parseDuration(s) },
			reflect.TypeFor[int]():           func(s string) (any, error) { return parseInt(s) },
		},
	})
	var all env.AggregateError
	if !errors.As(err, &all) {
		return
	}
	for _, err := range all.Errors {
		var parse env.ParseError
		if errors.As(err, &parse) {
			sf, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
			l.fail(l.find(sf.Tag.Get("env")), parse.Err.Error())
		}
		// The rest are required variables, which read has reported.
	}
}

// find returns the setting of a variable that exists.
func (l *loader) find(variable string) *field {
	variable, _, _ = strings.Cut(variable, ",")
	return &l.fields[l.index(variable)]
}

// index is the place of a setting; -1: there is none of that name.
func (l *loader) index(variable string) int {
	return slices.IndexFunc(l.fields, func(f field) bool { return f.variable == variable })
}

func parseInt(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if errors.Is(err, strconv.ErrSyntax) {
		return 0, errors.New("not a whole number")
	}
	if err != nil {
		return 0, errors.New("too large")
	}
	return n, nil
}
