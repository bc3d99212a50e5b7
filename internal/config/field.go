package config

import (
	"encoding"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// A field is one setting as the tags of Config describe it.
type field struct {
	index    int
	variable string
	def      string // in the notation of the variable; empty: none
	unset    string // what an empty value stands for, where there is no default
	doc      string
	min, max string
	oneof    []string
	secret   bool
	private  bool // a file that others should not read
	refused  bool // set but empty is an error
	lines    bool // white space is for the type to check
	required bool
	injector bool // in Kubernetes the injector decides it
	reach    Reach
	typ      reflect.Type
}

// fields reads the tags of Config, in the order of its fields.
func fields() []field {
	typ := reflect.TypeFor[Config]()
	var list []field
	for i := range typ.NumField() {
		sf := typ.Field(i)
		variable, options, _ := strings.Cut(sf.Tag.Get("env"), ",")
		if variable == "" {
			continue
		}
		f := field{
			index: i, variable: variable, typ: sf.Type,
			def: sf.Tag.Get("envDefault"), unset: sf.Tag.Get("unset"), doc: sf.Tag.Get("doc"),
			min: sf.Tag.Get("min"), max: sf.Tag.Get("max"),
			secret: sf.Tag.Get("secret") != "", private: sf.Tag.Get("private") != "",
			lines: sf.Tag.Get("lines") != "", required: options == "required",
			injector: sf.Tag.Get("pod") == "injector", reach: Reach(sf.Tag.Get("reload")),
		}
		f.refused = f.required || f.def != "" || sf.Tag.Get("empty") == "refused"
		if values := sf.Tag.Get("oneof"); values != "" {
			f.oneof = strings.Split(values, ",")
		}
		list = append(list, f)
	}
	return list
}

// allowed describes what the variable may hold.
func (f *field) allowed() string {
	if f.oneof != nil {
		return strings.Join(f.oneof, ", ")
	}
	text := "text"
	switch t := reflect.Zero(f.typ).Interface().(type) {
	case interface{ Allowed() string }:
		text = t.Allowed()
	case time.Duration:
		text = durationAllowed
	case int:
		text = "a whole number"
	}
	if f.min != "" {
		text += ", from " + f.min + " to " + f.max
	}
	return text
}

// standard describes what holds when the variable is not set.
func (f *field) standard() string {
	switch {
	case f.required:
		return "required"
	case f.def != "":
		return f.def
	}
	return f.unset
}

// text returns the field's value in c, masked, in the notation of the
// variable where it is no secret.
func (f *field) text(c *Config) string {
	value := reflect.ValueOf(c).Elem().Field(f.index)
	if f.secret {
		return masked
	}
	switch v := value.Interface().(type) {
	case time.Duration:
		return formatDuration(v)
	case slog.Level:
		return strings.ToLower(v.String())
	case fmt.Stringer:
		return v.String()
	}
	return fmt.Sprint(value.Interface())
}

// number returns the field's value in c as a number to compare, if it is one.
func (f *field) number(c *Config) int64 {
	return reflect.ValueOf(c).Elem().Field(f.index).Int()
}

// bound reads one of the field's bounds. A bound that cannot be read is a bug
// in the tags of Config.
func (f *field) bound(text string) int64 {
	value := reflect.New(f.typ)
	var n int64
	var err error
	switch v := value.Interface().(type) {
	case encoding.TextUnmarshaler:
		err = v.UnmarshalText([]byte(text))
		n = value.Elem().Int()
	case *time.Duration:
		var d time.Duration
		d, err = parseDuration(text)
		n = int64(d)
	default:
		n, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil {
		panic(fmt.Sprintf("config: bound %q of %s: %v", text, f.variable, err))
	}
	return n
}
