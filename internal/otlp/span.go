// Package otlp writes spans as the OpenTelemetry protocol has them
// (https://opentelemetry.io/docs/specs/otlp/), in protobuf and in JSON, reads the
// OTEL_* variables that say where to and how many, and decides which traces are
// recorded. It is pure; package exporter sends.
//
// The SDK and its exporters would do the same, and more than double the sidecar,
// which runs in every pod: they link gRPC (docs/TRACES.md).
package otlp

import (
	"slices"
	"strings"
	"time"
)

// A Span is one piece of work in a trace. It is not changed once it is handed on.
type Span struct {
	TraceID    [16]byte
	SpanID     [8]byte
	Parent     [8]byte // zero: it is a root
	Name       string
	Kind       Kind
	Start, End time.Time
	Attributes []Attribute
	Events     []Event
	Links      []Link
	Failure    string // why it failed, in words for an operator; empty: it did not

	droppedAttributes, droppedEvents, droppedLinks int
}

// Kind is the part that whoever records a span has in it.
type Kind uint8

// The values of Kind, as OTLP numbers them.
const (
	Internal Kind = 1 + iota
	Server
	Client
)

// Codes of a span's status.
const statusError = 2

// An Event is something that happened during a span.
type Event struct {
	Time       time.Time
	Name       string
	Attributes []Attribute
}

// A Link names a span of the same or of another trace that has to do with this one.
type Link struct {
	TraceID [16]byte
	SpanID  [8]byte
}

// An Attribute is a name and a value. The zero value of the latter is the empty
// text.
type Attribute struct {
	Key  string
	text string
	n    int64
	kind valueKind
}

type valueKind uint8

const (
	ofText valueKind = iota
	ofInt
	ofBool
)

// Text returns an attribute that is text.
func Text(key, value string) Attribute { return Attribute{Key: key, text: value} }

// Int returns an attribute that is a whole number.
func Int(key string, value int64) Attribute { return Attribute{Key: key, n: value, kind: ofInt} }

// Bool returns an attribute that is true or false.
func Bool(key string, value bool) Attribute {
	a := Attribute{Key: key, kind: ofBool}
	if value {
		a.n = 1
	}
	return a
}

// Merge returns the attributes of own, and those of others that own does not name.
func Merge(own []Attribute, others ...Attribute) []Attribute {
	all := slices.Clone(own)
	for _, a := range others {
		if !slices.ContainsFunc(own, func(o Attribute) bool { return o.Key == a.Key }) {
			all = append(all, a)
		}
	}
	return all
}

// Limits are how much a span holds; the zero value of a field is no limit.
type Limits struct {
	ValueLength               int // characters of a text
	Attributes, Events, Links int // of a span
	EventAttributes           int // of each event
}

// Apply cuts what is above the limits off s, and counts that.
func (l *Limits) Apply(s *Span) {
	s.Attributes, s.droppedAttributes = l.attributes(s.Attributes, l.Attributes)
	s.Events, s.droppedEvents = first(s.Events, l.Events)
	s.Links, s.droppedLinks = first(s.Links, l.Links)
	for i := range s.Events {
		s.Events[i].Attributes, _ = l.attributes(s.Events[i].Attributes, l.EventAttributes)
	}
}

func (l *Limits) attributes(list []Attribute, most int) ([]Attribute, int) {
	list, dropped := first(list, most)
	for i := range list {
		if a := &list[i]; l.ValueLength > 0 && len(a.text) > l.ValueLength {
			a.text = shorten(a.text, l.ValueLength)
		}
	}
	return list, dropped
}

func first[T any](list []T, most int) ([]T, int) {
	if most <= 0 || len(list) <= most {
		return list, 0
	}
	return list[:most:most], len(list) - most
}

// shorten is the first n characters of s.
func shorten(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// valid is text as OTLP wants it.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// A Batch is what one request carries: spans, and who made them.
type Batch struct {
	Resource     []Attribute
	Scope        string // who wrote the instrumentation
	ScopeVersion string
	Spans        []Span
}
