package rehearse

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/rehearse/report"
)

// Implementation limits.
const (
	maxTraceBody = 16 << 20 // of one request: a batch of an SDK is below a megabyte
	maxSpanNames = 1000     // a name is that of a step, and an app has tens; more are a name per request
)

// lifetimeSpans are spans of a sidecar that last as long as a user stays, so that
// nobody waits for them.
var lifetimeSpans = []string{"session", "connection", "websocket"}

// ownScope is the instrumentation scope of a sidecar's spans.
const ownScope = "github.com/wsresilience/wsresilience"

// traces takes spans by OTLP over HTTP while a rehearsal runs, from sidecars and from
// whatever else has OpenTelemetry, and keeps sums of how long each took.
type traces struct {
	server *http.Server

	mu    sync.Mutex
	spans map[string]*moments
}

// moments are the sums of some times in milliseconds, from which mean and deviation
// follow (Welford).
type moments struct {
	n             int64
	mean, squares float64
}

func (m *moments) add(v float64) {
	m.n++
	d := v - m.mean
	m.mean += d / float64(m.n)
	m.squares += d * (v - m.mean)
}

// listenForTraces begins to take spans at addr; "" takes none, and is nil.
func listenForTraces(ctx context.Context, addr string) (*traces, error) {
	if addr == "" {
		return nil, nil
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("rehearse: -traces: %w: want an address to listen at, such as :4318, to which OTEL_EXPORTER_OTLP_ENDPOINT of sidecars and apps points", err)
	}
	t := &traces{spans: map[string]*moments{}}
	t.server = &http.Server{Handler: t, ReadTimeout: metricsWait}
	go func() { _ = t.server.Serve(ln) }() // until close
	return t, nil
}

func (t *traces) close() {
	if t != nil {
		_ = t.server.Close()
	}
}

// ServeHTTP implements http.Handler: it is a collector that tells everyone that all
// is well.
func (t *traces) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := traceBody(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case r.URL.Path != "/v1/traces" || r.Method != http.MethodPost:
		http.NotFound(w, r) // of metrics and logs
		return
	case kind == "application/json":
		err = spansOfJSON(body, t.take)
	case kind == "application/x-protobuf":
		err = spansOfProtobuf(body, t.take)
	default:
		http.Error(w, "want application/x-protobuf or application/json", http.StatusUnsupportedMediaType)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", kind)
	if kind == "application/json" {
		_, _ = io.WriteString(w, "{}")
	}
}

func traceBody(r *http.Request) ([]byte, error) {
	var from io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		from = z
	}
	body, err := io.ReadAll(io.LimitReader(from, maxTraceBody+1))
	if len(body) > maxTraceBody {
		err = errors.New("too large")
	}
	return body, err
}

// A spanTime is what is kept of a span.
type spanTime struct {
	service, scope, name string
	start, end           uint64 // ns since 1970
}

func (t *traces) take(s spanTime) {
	if s.end < s.start || s.scope == ownScope && slices.Contains(lifetimeSpans, s.name) {
		return
	}
	name := s.name
	if s.service != "" {
		name = s.service + ": " + name
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.spans[name]
	if m == nil {
		if len(t.spans) >= maxSpanNames {
			return
		}
		m = new(moments)
		t.spans[name] = m
	}
	m.add(float64(s.end-s.start) / float64(time.Millisecond))
}

// slowest returns the spans with the highest means.
func (t *traces) slowest() (list []report.Span) {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, m := range t.spans {
		list = append(list, report.Span{Name: name, From: report.FromTraces, Count: m.n, Mean: m.mean, Deviation: math.Sqrt(m.squares / float64(m.n))})
	}
	return slowestOf(list)
}

func slowestOf(list []report.Span) []report.Span {
	slices.SortFunc(list, func(a, b report.Span) int { return cmp.Or(-cmp.Compare(a.Mean, b.Mean), cmp.Compare(a.Name, b.Name)) })
	return list[:min(len(list), shownSpans)]
}
