// Package traceparent reads and writes the W3C Trace Context header field by that
// name (https://www.w3.org/TR/trace-context/#traceparent-header). It is pure.
package traceparent

import "encoding/hex"

// Header is the name of the field.
const Header = "Traceparent"

// Sizes in the text form of version 00: version, trace id, parent id and flags,
// with dashes between them.
const (
	textSize  = 2 + 1 + 32 + 1 + 16 + 1 + 2
	traceAt   = 3
	spanAt    = traceAt + 32 + 1
	flagsAt   = spanAt + 16 + 1
	noVersion = 0xff // forbidden by the specification
)

// A Parent is the place in a trace that a request came from. The zero value is
// none.
type Parent struct {
	TraceID [16]byte
	SpanID  [8]byte
	Flags   Flags
}

// Flags are those of a trace.
type Flags uint8

const (
	// Sampled says that the caller may have recorded the trace.
	Sampled Flags = 1 << iota
	// Random says that at least the last seven bytes of the trace's id are
	// random.
	Random

	known = Sampled | Random
)

// IsZero reports whether there is no trace.
func (p Parent) IsZero() bool { return p == Parent{} }

// Sampled reports whether the caller may have recorded the trace.
func (p Parent) Sampled() bool { return p.Flags&Sampled != 0 }

// Trace is the trace's id in hexadecimal, or "" if there is none.
func (p Parent) Trace() string {
	if p.IsZero() {
		return ""
	}
	return hex.EncodeToString(p.TraceID[:])
}

// String is p in version 00, or "" if there is no trace.
func (p Parent) String() string {
	if p.IsZero() {
		return ""
	}
	b := append(make([]byte, 0, textSize), "00-"...)
	b = append(hex.AppendEncode(b, p.TraceID[:]), '-')
	b = append(hex.AppendEncode(b, p.SpanID[:]), '-')
	return string(hex.AppendEncode(b, []byte{byte(p.Flags)}))
}

// Parse reads the value of the one field of a request; without spaces around it.
// It reports false for what the specification tells a receiver to ignore: any
// other length in version 00, capital letters, version ff, an id of zeros. What a
// later version has behind the part that is known is skipped, and so are flags
// that are not known.
func Parse(value string) (p Parent, ok bool) {
	if len(value) < textSize || value[2] != '-' || value[spanAt-1] != '-' || value[flagsAt-1] != '-' {
		return Parent{}, false
	}
	var version, flags [1]byte
	if !decode(version[:], value[:2]) || version[0] == noVersion ||
		!decode(p.TraceID[:], value[traceAt:spanAt-1]) || !decode(p.SpanID[:], value[spanAt:flagsAt-1]) || !decode(flags[:], value[flagsAt:textSize]) {
		return Parent{}, false
	}
	switch {
	case len(value) == textSize:
	case version[0] == 0, value[textSize] != '-':
		return Parent{}, false
	}
	p.Flags = Flags(flags[0]) & known
	if p.TraceID == [16]byte{} || p.SpanID == [8]byte{} {
		return Parent{}, false
	}
	return p, true
}

// decode reads hexadecimal digits, of which only small letters are allowed.
func decode(dst []byte, text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	_, err := hex.Decode(dst, []byte(text))
	return err == nil
}
