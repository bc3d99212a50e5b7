package traceparent

import (
	"net/http"
	"strings"
	"testing"
)

func TestExtract(t *testing.T) {
	const w3c = "00-" + trace + "-" + span + "-01"
	short := "00-0000000000000000" + trace[16:] + "-" + span + "-01"
	all := Propagators{TraceContext, B3, B3Multi, Jaeger}
	for _, c := range []struct {
		name   string
		by     Propagators
		fields string
		want   string
	}{
		{"as delivered", nil, "traceparent: " + w3c, w3c},
		{"as delivered, of another form", nil, "b3: " + trace + "-" + span + "-1", ""},
		{"none", Propagators{}, "traceparent: " + w3c, ""},
		{"b3", Propagators{B3}, "b3: " + trace + "-" + span + "-1-" + span, w3c},
		{"b3 that leaves sampling open", all, "b3: " + trace + "-" + span, w3c},
		{"b3, debug", all, "b3: " + trace + "-" + span + "-d", w3c},
		{"b3, not sampled", all, "b3: " + trace + "-" + span + "-0", strings.TrimSuffix(w3c, "1") + "0"},
		{"b3 without a trace", all, "b3: 0", ""},
		{"b3 of 64 bits", all, "b3: " + trace[16:] + "-" + span + "-1", short},
		{"b3 in several", all, "x-b3-traceid: " + trace + "\nx-b3-spanid: " + span + "\nx-b3-sampled: 1", w3c},
		{"b3 in several, debug", all, "x-b3-traceid: " + trace + "\nx-b3-spanid: " + span + "\nx-b3-flags: 1\nx-b3-sampled: 0", w3c},
		{"b3 in several, half", all, "x-b3-traceid: " + trace, ""},
		{"jaeger", all, "uber-trace-id: " + trace + ":" + span + ":0:1", w3c},
		{"jaeger without zeros in front", all, "uber-trace-id: " + strings.TrimLeft(trace, "0") + ":" + strings.TrimLeft(span, "0") + ":0:3", w3c},
		{"jaeger in percents", all, "uber-trace-id: " + strings.ReplaceAll(trace+":"+span+":0:1", ":", "%3A"), w3c},
		{"jaeger, not sampled", all, "uber-trace-id: " + trace + ":" + span + ":0:0", strings.TrimSuffix(w3c, "1") + "0"},
		{"the first that says something", Propagators{B3, TraceContext}, "traceparent: " + w3c + "\nb3: " + trace[16:] + "-" + span + "-1", short},
		{"one that is broken", Propagators{B3, TraceContext}, "traceparent: " + w3c + "\nb3: hunter2", w3c},
		{"two of one field", nil, "traceparent: " + w3c + "\ntraceparent: " + w3c, ""},
		{"zeros", all, "b3: " + strings.Repeat("0", 32) + "-" + span + "-1", ""},
		{"too long", all, "b3: 1" + trace + "-" + span + "-1", ""},
	} {
		h := http.Header{}
		for line := range strings.SplitSeq(c.fields, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			h.Add(name, value)
		}
		if got := c.by.Extract(h.Values).String(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// What is written is read again, in each form, and nothing of the caller's stays
// beside it.
func TestInject(t *testing.T) {
	at, _ := Parse("00-" + trace + "-" + span + "-01")
	for _, by := range []Propagators{nil, {TraceContext}, {B3}, {B3Multi}, {Jaeger}, {TraceContext, B3, B3Multi, Jaeger}} {
		h := http.Header{"X-B3-Parentspanid": {"1"}, "X-B3-Flags": {"0"}}
		by.Inject(h, at)
		for _, one := range by.list() {
			if got := (Propagators{one}).Extract(h.Values); got != at {
				t.Errorf("%v: read as %v", one, got)
			}
			if one == B3Multi && (h.Get("X-B3-Flags") != "" || h.Get("X-B3-ParentSpanId") != "") {
				t.Errorf("%v", h)
			}
		}
	}
	h := http.Header{}
	Propagators{}.Inject(h, at)
	if len(h) != 0 {
		t.Errorf("none writes %v", h)
	}
}
