package traceparent

import (
	"encoding/hex"
	"net/http"
	"strings"
)

// A Propagator is a form in which requests say in which trace they are.
type Propagator uint8

const (
	// TraceContext is W3C's: traceparent.
	TraceContext Propagator = iota
	// B3 is Zipkin's in one field: b3.
	B3
	// B3Multi is Zipkin's in several: X-B3-TraceId, X-B3-SpanId, X-B3-Sampled.
	B3Multi
	// Jaeger is Jaeger's: uber-trace-id.
	Jaeger
)

// Propagators are the forms that are read, of which the first that says something
// counts, and written, all of them (OTEL_PROPAGATORS). Nil is TraceContext alone,
// and an empty list none.
type Propagators []Propagator

func (p Propagators) list() Propagators {
	if p == nil {
		return Propagators{TraceContext}
	}
	return p
}

// Extract returns the place that a request comes from; zero: it does not say. values
// returns the values of the fields by a name, which it is asked for in small letters.
func (p Propagators) Extract(values func(name string) []string) Parent {
	one := func(name string) string {
		if v := values(name); len(v) == 1 { // of several nobody can tell which is right
			return v[0]
		}
		return ""
	}
	for _, each := range p.list() {
		if parent, ok := each.extract(one); ok {
			return parent
		}
	}
	return Parent{}
}

func (p Propagator) extract(field func(name string) string) (Parent, bool) {
	switch p {
	case B3:
		return parseB3(field("b3"))
	case B3Multi:
		sampled := field("x-b3-sampled")
		if field("x-b3-flags") == "1" { // debug
			sampled = "1"
		}
		return parent(field("x-b3-traceid"), field("x-b3-spanid"), sampled)
	case Jaeger:
		parts := strings.Split(strings.ReplaceAll(field("uber-trace-id"), "%3A", ":"), ":")
		if len(parts) != 4 {
			return Parent{}, false
		}
		sampled := "0"
		if n := len(parts[3]); n > 0 && strings.ContainsRune("13579bdfBDF", rune(parts[3][n-1])) {
			sampled = "1"
		}
		return parent(parts[0], parts[1], sampled)
	}
	return Parse(field("traceparent"))
}

// parseB3 reads trace-span, trace-span-sampled or trace-span-sampled-parent.
func parseB3(value string) (Parent, bool) {
	parts := strings.Split(value, "-")
	switch len(parts) {
	case 2:
		return parent(parts[0], parts[1], "")
	case 3, 4:
		return parent(parts[0], parts[1], parts[2])
	}
	return Parent{}, false
}

// parent makes a Parent of ids in hexadecimal, of which zeros in front may be left
// out, as Jaeger does. What says nothing of sampling leaves it to whoever reads it,
// which is as good as yes.
func parent(trace, span, sampled string) (p Parent, ok bool) {
	if !padded(p.TraceID[:], trace) || !padded(p.SpanID[:], span) || p.TraceID == [16]byte{} || p.SpanID == [8]byte{} {
		return Parent{}, false
	}
	switch sampled {
	case "1", "d", "", "true":
		p.Flags = Sampled
	}
	return p, true
}

func padded(dst []byte, digits string) bool {
	missing := 2*len(dst) - len(digits)
	if missing < 0 || digits == "" {
		return false
	}
	_, err := hex.Decode(dst, []byte(strings.Repeat("0", missing)+strings.ToLower(digits)))
	return err == nil
}

// Inject says in h that a request is in p, and takes out of it what says otherwise.
func (p Propagators) Inject(h http.Header, at Parent) {
	trace, span := hex.EncodeToString(at.TraceID[:]), hex.EncodeToString(at.SpanID[:])
	sampled := "0"
	if at.Sampled() {
		sampled = "1"
	}
	for _, each := range p.list() {
		switch each {
		case B3:
			h.Set("b3", trace+"-"+span+"-"+sampled)
		case B3Multi:
			h.Set("X-B3-TraceId", trace)
			h.Set("X-B3-SpanId", span)
			h.Set("X-B3-Sampled", sampled)
			h.Del("X-B3-ParentSpanId")
			h.Del("X-B3-Flags")
		case Jaeger:
			h.Set("uber-trace-id", trace+":"+span+":0:"+sampled)
		case TraceContext:
			h.Set(Header, at.String())
		}
	}
}
