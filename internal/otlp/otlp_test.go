package otlp_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/otlp"
	"github.com/wsresilience/wsresilience/internal/otlp/otlptest"
	"github.com/wsresilience/wsresilience/internal/traceparent"
)

// batch has one of everything.
func batch() *otlp.Batch {
	at := time.Unix(1_700_000_000, 123_456_789)
	return &otlp.Batch{
		Resource: []otlp.Attribute{otlp.Text("service.name", "shop")}, Scope: "wsr", ScopeVersion: "v1",
		Spans: []otlp.Span{
			{
				TraceID: [16]byte{0xab, 15: 1}, SpanID: [8]byte{0xcd, 7: 2}, Parent: [8]byte{7: 3}, Name: "resume", Kind: otlp.Server,
				Start: at, End: at.Add(time.Second), Failure: "nobody is there",
				Attributes: []otlp.Attribute{otlp.Text("path", "/ws\xff"), otlp.Text("empty", ""), otlp.Int("n", -1<<53-1), otlp.Int("zero", 0), otlp.Bool("yes", true), otlp.Bool("no", false)},
				Events:     []otlp.Event{{Time: at, Name: "detached", Attributes: []otlp.Attribute{otlp.Text("cause", "gone")}}, {Time: at, Name: "closed"}},
				Links:      []otlp.Link{{TraceID: [16]byte{1}, SpanID: [8]byte{2}}},
			},
			{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Name: strings.Repeat("long ", 500), Kind: otlp.Internal, Start: at, End: at},
		},
	}
}

// Both forms say the same, as whoever decodes them strictly reads them.
func TestEncodings(t *testing.T) {
	at := time.Unix(1_700_000_000, 123_456_789)
	b := batch()
	fromProtobuf, err := otlptest.DecodeProtobuf(b.AppendProtobuf([]byte("x"))[1:])
	if err != nil {
		t.Fatal(err)
	}
	fromJSON, err := otlptest.DecodeJSON(b.AppendJSON(nil))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fromProtobuf, fromJSON) {
		t.Errorf("protobuf %+v\nJSON     %+v", fromProtobuf, fromJSON)
	}
	want := otlptest.Span{
		TraceID: "ab000000000000000000000000000001", SpanID: "cd00000000000002", Parent: "0000000000000003", Name: "resume", Kind: 2,
		Start: at, End: at.Add(time.Second), StatusCode: 2, StatusMessage: "nobody is there", Flags: 1,
		Attributes: map[string]any{"path": "/ws\ufffd", "empty": "", "n": int64(-1<<53 - 1), "zero": int64(0), "yes": true, "no": false},
		Events:     []otlptest.Event{{Time: at, Name: "detached", Attributes: map[string]any{"cause": "gone"}}, {Time: at, Name: "closed", Attributes: map[string]any{}}},
		Links:      []otlptest.Link{{TraceID: "01000000000000000000000000000000", SpanID: "0200000000000000", Flags: 1}},
		Resource:   map[string]any{"service.name": "shop"}, Scope: "wsr",
	}
	if !reflect.DeepEqual(fromProtobuf[0], want) {
		t.Errorf("got  %+v\nwant %+v", fromProtobuf[0], want)
	}
}

func TestLimits(t *testing.T) {
	b := batch()
	l := otlp.Limits{ValueLength: 2, Attributes: 2, Events: 1, Links: 0, EventAttributes: 5}
	l.Apply(&b.Spans[0])
	spans, err := otlptest.DecodeProtobuf(b.AppendProtobuf(nil))
	if err != nil {
		t.Fatal(err)
	}
	s := spans[0]
	if len(s.Attributes) != 2 || s.DroppedAttributes != 4 || s.Attributes["path"] != "/w" || len(s.Events) != 1 || s.DroppedEvents != 1 || s.Events[0].Attributes["cause"] != "go" || len(s.Links) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestSampler(t *testing.T) {
	low, high := [16]byte{}, [16]byte{8: 0xff, 9: 0xff}
	for _, tt := range []struct {
		sampler otlp.Sampler
		trace   [16]byte
		flags   traceparent.Flags
		begins  bool
		want    bool
	}{
		{otlp.NewSampler(true, 1), low, 0, true, true},
		{otlp.NewSampler(true, 1), low, 0, false, false},
		{otlp.NewSampler(true, 1), low, traceparent.Sampled, false, true},
		{otlp.NewSampler(true, 0), low, traceparent.Sampled, false, true},
		{otlp.NewSampler(true, 0), low, 0, true, false},
		{otlp.NewSampler(false, 1), high, 0, false, true},
		{otlp.NewSampler(false, 0), low, traceparent.Sampled, false, false},
		{otlp.NewSampler(false, .5), low, 0, false, true},
		{otlp.NewSampler(false, .5), high, traceparent.Sampled, false, false},
		{otlp.NewSampler(true, .5), high, 0, true, false},
		{otlp.Sampler{}, low, traceparent.Sampled, true, false},
	} {
		if got := tt.sampler.Samples(traceparent.Parent{TraceID: tt.trace, Flags: tt.flags}, tt.begins); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
	if !(otlp.Sampler{}).Never() || otlp.NewSampler(true, 0).Never() || otlp.NewSampler(false, .1).Never() {
		t.Error("which never record anything?")
	}
}

func TestPartialSuccess(t *testing.T) {
	for _, tt := range []struct {
		text string
		json bool
		n    uint64
		said string
	}{
		{"", false, 0, ""},
		{"{}", true, 0, ""},
		{`{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}`, true, 3, "too old"},
		{`{"partialSuccess":{"rejectedSpans":3}}`, true, 3, ""},
		{`{"partialSuccess":{"rejectedSpans":-3}}`, true, 0, ""},
		{"\x0a\x0b\x08\x03\x12\x07too old", false, 3, "too old"},
		{"\x0a\x7f\x08\x03", false, 0, ""},
		{"\xff\xff", false, 0, ""},
		{"not JSON\n", true, 0, ""},
	} {
		if n, said := otlp.PartialSuccess([]byte(tt.text), tt.json); n != tt.n || said != tt.said {
			t.Errorf("%q: %d, %q", tt.text, n, said)
		}
	}
}

func FuzzPartialSuccess(f *testing.F) {
	f.Add([]byte("\x0a\x0b\x08\x03\x12\x07too old"), false)
	f.Add([]byte(`{"partialSuccess":{"rejectedSpans":"3"}}`), true)
	f.Fuzz(func(t *testing.T, text []byte, isJSON bool) {
		if n, said := otlp.PartialSuccess(text, isJSON); n > 1<<63 || len(said) > 4*200 {
			t.Errorf("%d, %q", n, said)
		}
	})
}

func TestFromEnviron(t *testing.T) {
	for _, environ := range []string{"", "OTEL_SERVICE_NAME=shop", "OTEL_SDK_DISABLED=TRUE OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_EXPORTER=none OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"} {
		if s := otlp.FromEnviron(strings.Fields(environ)); s.On || len(s.Warnings) > 0 {
			t.Errorf("%q: on %v, %q", environ, s.On, s.Warnings)
		}
	}
	s := otlp.FromEnviron([]string{"OTEL_TRACES_EXPORTER=otlp"})
	if !s.On || s.Endpoint != "http://localhost:4318/v1/traces" || s.JSON || s.Gzip || s.Timeout != 10*time.Second || s.Delay != 5*time.Second || s.Patience != 30*time.Second || s.MaxQueue != 2048 || s.MaxInEach != 512 || s.Sampler != otlp.NewSampler(true, 1) || len(s.Warnings) > 0 {
		t.Errorf("defaults: %+v", s)
	}
	s = otlp.FromEnviron([]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=https://c.example/otlp/", "OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
		"OTEL_EXPORTER_OTLP_HEADERS=api-key=a%20b, x=y=z", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=2000", "OTEL_EXPORTER_OTLP_TIMEOUT=1",
		"OTEL_SERVICE_NAME=shop", "OTEL_RESOURCE_ATTRIBUTES=service.name=other,team=a%2Cb,team=c", "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.25",
		"OTEL_BSP_MAX_QUEUE_SIZE=100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=200", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=10", "OTEL_SPAN_EVENT_COUNT_LIMIT=5",
	})
	if !s.On || s.Endpoint != "https://c.example/otlp/v1/traces" || !s.JSON || !s.Gzip || !reflect.DeepEqual(s.Headers, [][2]string{{"api-key", "a b"}, {"x", "y=z"}}) ||
		s.Timeout != 2*time.Second || s.ServiceName != "shop" || !reflect.DeepEqual(s.Resource, []otlp.Attribute{otlp.Text("team", "c")}) || s.Sampler != otlp.NewSampler(false, .25) ||
		s.MaxQueue != 100 || s.MaxInEach != 100 || s.Limits.ValueLength != 10 || s.Limits.Events != 5 || s.Limits.Links != 128 || len(s.Warnings) > 0 {
		t.Errorf("%+v", s)
	}
	if said := otlp.FromEnviron([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://user:hunter2@c:4318?key=hunter2"}).String(); said != "sent to http://c:4318/v1/traces as http/protobuf" {
		t.Error(said)
	}
	if said := otlp.FromEnviron(nil).String(); said != "not sent" {
		t.Error(said)
	}
	if s = otlp.FromEnviron([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://no", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4318/own"}); s.Endpoint != "http://c:4318/own" {
		t.Errorf("the endpoint for traces is %s", s.Endpoint)
	}
}

// TestVariablesAreDocumented: those for traces alone by the ones for all signals.
func TestVariablesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/TRACES.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range otlp.Variables() {
		if name = strings.Replace(name, "OTLP_TRACES_", "OTLP_", 1); !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/TRACES.md says nothing of %s", name)
		}
	}
}

// What cannot be used is ignored with a warning that says what is allowed, and shows
// no secret.
func TestFromEnvironWarns(t *testing.T) {
	for _, tt := range []struct {
		variable, said string
		on             bool
	}{
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", `OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" is ignored; allowed: http/protobuf, http/json`, false},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=hunter2@collector", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: is no URL", false},
		{"OTEL_EXPORTER_OTLP_HEADERS=hunter2", "OTEL_EXPORTER_OTLP_HEADERS: an entry that is not name=value", true},
		{"OTEL_EXPORTER_OTLP_HEADERS=a b=hunter2", "OTEL_EXPORTER_OTLP_HEADERS: an entry that is no header field", true},
		{"OTEL_EXPORTER_OTLP_HEADERS=a=hunter2%0d%0aX", "OTEL_EXPORTER_OTLP_HEADERS: an entry that is no header field", true},
		{"OTEL_TRACES_SAMPLER=sometimes", "always_on, always_off, traceidratio", true},
		{"OTEL_BSP_SCHEDULE_DELAY=5s", "OTEL_BSP_SCHEDULE_DELAY: \"5s\" is ignored; allowed: milliseconds", true},
		{"OTEL_BSP_MAX_QUEUE_SIZE=0", "a whole number from 1", true},
		{"OTEL_PROPAGATORS=xray", "tracecontext, baggage, b3, b3multi, jaeger, none", true},
		{"OTEL_EXPORTER_OTLP_COMPRESSION=zstd", "gzip, none", true},
		{"OTEL_TRACES_EXPORTER=otlp,console", `"otlp,console" is ignored; allowed: otlp, none`, true},
	} {
		s := otlp.FromEnviron([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", tt.variable})
		if s.On != tt.on || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], tt.said) || strings.Contains(s.Warnings[0], "hunter2") {
			t.Errorf("%s: on %v, %q", tt.variable, s.On, s.Warnings)
		}
	}
	s := otlp.FromEnviron([]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=2"})
	if len(s.Warnings) != 1 || s.Sampler != otlp.NewSampler(false, 1) {
		t.Errorf("%q", s.Warnings)
	}
}

func TestPropagators(t *testing.T) {
	for value, want := range map[string]traceparent.Propagators{
		"":                     nil,
		"tracecontext,baggage": {traceparent.TraceContext},
		"b3, tracecontext,b3":  {traceparent.B3, traceparent.TraceContext},
		"b3multi,jaeger,xray":  {traceparent.B3Multi, traceparent.Jaeger},
		"none":                 {},
		"baggage":              {},
		"xray":                 nil, // what is not known is ignored, and the default stays
	} {
		s := otlp.FromEnviron([]string{"OTEL_PROPAGATORS=" + value})
		if !slices.Equal(s.Propagators, want) || (s.Propagators == nil) != (want == nil) {
			t.Errorf("%q: %v, want %v", value, s.Propagators, want)
		}
		if strings.Contains(value, "xray") == (len(s.Warnings) == 0) {
			t.Errorf("%q: warnings %q", value, s.Warnings)
		}
	}
}
