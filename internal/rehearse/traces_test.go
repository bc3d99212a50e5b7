package rehearse

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/otlp"
	"github.com/wsresilience/wsresilience/internal/rehearse/report"
)

// Spans come in both forms, compressed or not, from sidecars and others; the slowest
// are named with mean and deviation, without those that last as long as a user.
func TestTraces(t *testing.T) {
	r, err := listenForTraces(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if taken, err := listenForTraces(t.Context(), "nowhere:x"); err == nil || !strings.Contains(err.Error(), "such as :4318") {
		t.Errorf("%v, %v", taken, err)
	}
	send := func(path, kind string, body []byte, zipped bool) int {
		t.Helper()
		if zipped {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write(body)
			_ = z.Close()
			body = b.Bytes()
		}
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", kind)
		if zipped {
			q.Header.Set("Content-Encoding", "gzip")
		}
		w := newAnswer()
		r.ServeHTTP(w, q)
		return w.status
	}
	began := time.Unix(1_800_000_000, 0)
	span := func(name string, took time.Duration) otlp.Span {
		return otlp.Span{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Name: name, Kind: otlp.Server, Start: began, End: began.Add(took), Attributes: []otlp.Attribute{otlp.Text("a", "b")}}
	}
	sidecar := otlp.Batch{
		Resource: []otlp.Attribute{otlp.Int("n", 1), otlp.Text("service.name", "shop")}, Scope: ownScope,
		Spans: []otlp.Span{span("resume", 10*time.Millisecond), span("resume", 30*time.Millisecond), span("session", time.Hour), span("attach", 0)},
	}
	if got := send("/v1/traces", "application/x-protobuf", sidecar.AppendProtobuf(nil), true); got != 200 {
		t.Fatal(got)
	}
	app := otlp.Batch{Resource: []otlp.Attribute{otlp.Text("service.name", "app")}, Scope: "orders", Spans: []otlp.Span{span("query", time.Second), span("session", 2*time.Second)}}
	if got := send("/v1/traces", "application/json; charset=utf-8", app.AppendJSON(nil), false); got != 200 {
		t.Fatal(got)
	}
	for _, bad := range []struct {
		path, kind, body string
		status           int
	}{
		{"/v1/metrics", "application/x-protobuf", "", 404},
		{"/v1/traces", "application/x-protobuf", "\x0a\xff", 400},
		{"/v1/traces", "application/json", "{", 400},
		{"/v1/traces", "text/plain", "", 415},
	} {
		if got := send(bad.path, bad.kind, []byte(bad.body), false); got != bad.status {
			t.Errorf("%+v: %d", bad, got)
		}
	}
	var said []string
	for _, s := range r.slowest() {
		said = append(said, fmt.Sprintf("%s %d %.0f±%.0f %s", s.Name, s.Count, s.Mean, s.Deviation, s.From))
	}
	if got, want := strings.Join(said, ", "), "app: session 1 2000±0 traces, app: query 1 1000±0 traces, shop: resume 2 20±10 traces"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if (*traces)(nil).slowest() != nil || report.FromTraces == report.FromMetrics {
		t.Error("none are some")
	}
}

// An answer keeps a status.
type answer struct {
	http.ResponseWriter
	status int
	header http.Header
}

func newAnswer() *answer { return &answer{status: 200, header: http.Header{}} }

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return io.Discard.Write(p) }

func FuzzSpansOfProtobuf(f *testing.F) {
	f.Add((&otlp.Batch{Scope: "s", Spans: []otlp.Span{{Name: "n"}}}).AppendProtobuf(nil))
	f.Fuzz(func(_ *testing.T, p []byte) { _ = spansOfProtobuf(p, func(spanTime) {}) })
}
