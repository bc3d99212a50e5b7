// Package decoder holds what the sidecar sends against the decoder of the
// OpenTelemetry collector. It is a module of its own, so that nothing else depends on
// that: make test-otlp.
package decoder

import (
	"encoding/json"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/wsresilience/wsresilience/internal/otlp"
)

func batch() *otlp.Batch {
	at := time.Unix(1_700_000_000, 123_456_789)
	return &otlp.Batch{
		Resource: []otlp.Attribute{otlp.Text("service.name", "shop")}, Scope: "wsr", ScopeVersion: "v1",
		Spans: []otlp.Span{{
			TraceID: [16]byte{0xab, 15: 1}, SpanID: [8]byte{0xcd, 7: 2}, Parent: [8]byte{7: 3}, Name: "resume", Kind: otlp.Server,
			Start: at, End: at.Add(time.Second), Failure: "nobody is there",
			Attributes: []otlp.Attribute{otlp.Text("path", "/ws"), otlp.Int("n", -1<<53-1), otlp.Bool("yes", true)},
			Events:     []otlp.Event{{Time: at, Name: "detached", Attributes: []otlp.Attribute{otlp.Text("cause", "gone")}}},
			Links:      []otlp.Link{{TraceID: [16]byte{1}, SpanID: [8]byte{2}}},
		}},
	}
}

// The collector reads both forms as what was meant.
func TestCollectorReads(t *testing.T) {
	b := batch()
	l := otlp.Limits{Attributes: 3, Events: 1, Links: 1}
	l.Apply(&b.Spans[0])
	for name, read := range map[string]func(ptraceotlp.ExportRequest) error{
		"protobuf": func(r ptraceotlp.ExportRequest) error { return r.UnmarshalProto(b.AppendProtobuf(nil)) },
		"JSON":     func(r ptraceotlp.ExportRequest) error { return r.UnmarshalJSON(b.AppendJSON(nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := ptraceotlp.NewExportRequest()
			if err := read(r); err != nil {
				t.Fatal(err)
			}
			rs := r.Traces().ResourceSpans().At(0)
			if v, _ := rs.Resource().Attributes().Get("service.name"); v.Str() != "shop" {
				t.Errorf("resource %v", rs.Resource().Attributes().AsRaw())
			}
			ss := rs.ScopeSpans().At(0)
			if ss.Scope().Name() != "wsr" || ss.Scope().Version() != "v1" {
				t.Errorf("scope %s %s", ss.Scope().Name(), ss.Scope().Version())
			}
			check(t, ss.Spans().At(0), &b.Spans[0])
		})
	}
}

func check(t *testing.T, got ptrace.Span, want *otlp.Span) {
	t.Helper()
	if got.TraceID() != pcommon.TraceID(want.TraceID) || got.SpanID() != pcommon.SpanID(want.SpanID) || got.ParentSpanID() != pcommon.SpanID(want.Parent) {
		t.Errorf("ids %s %s %s", got.TraceID(), got.SpanID(), got.ParentSpanID())
	}
	if got.Name() != want.Name || got.Kind() != ptrace.SpanKindServer || got.Flags() != 1 ||
		!got.StartTimestamp().AsTime().Equal(want.Start) || !got.EndTimestamp().AsTime().Equal(want.End) {
		t.Errorf("%s %s %d from %v to %v", got.Name(), got.Kind(), got.Flags(), got.StartTimestamp().AsTime(), got.EndTimestamp().AsTime())
	}
	if got.Status().Code() != ptrace.StatusCodeError || got.Status().Message() != want.Failure {
		t.Errorf("status %s %s", got.Status().Code(), got.Status().Message())
	}
	a := got.Attributes().AsRaw()
	if len(a) != 3 || a["path"] != "/ws" || a["n"] != int64(-1<<53-1) || a["yes"] != true {
		t.Errorf("attributes %v", a)
	}
	e := got.Events().At(0)
	if e.Name() != "detached" || e.Attributes().AsRaw()["cause"] != "gone" || !e.Timestamp().AsTime().Equal(want.Start) {
		t.Errorf("event %s %v at %v", e.Name(), e.Attributes().AsRaw(), e.Timestamp().AsTime())
	}
	link := got.Links().At(0)
	if link.TraceID() != pcommon.TraceID(want.Links[0].TraceID) || link.SpanID() != pcommon.SpanID(want.Links[0].SpanID) || link.Flags() != 1 {
		t.Errorf("link %s %s %d", link.TraceID(), link.SpanID(), link.Flags())
	}
}

// What the collector answers is read as it was meant.
func TestCollectorAnswers(t *testing.T) {
	r := ptraceotlp.NewExportResponse()
	r.PartialSuccess().SetRejectedSpans(3)
	r.PartialSuccess().SetErrorMessage("too old")
	inProtobuf, err := r.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	inJSON, err := r.MarshalJSON()
	if err != nil || !json.Valid(inJSON) {
		t.Fatal(err, string(inJSON))
	}
	for isJSON, text := range map[bool][]byte{false: inProtobuf, true: inJSON} {
		if n, said := otlp.PartialSuccess(text, isJSON); n != 3 || said != "too old" {
			t.Errorf("JSON %v: %d, %q", isJSON, n, said)
		}
	}
}
