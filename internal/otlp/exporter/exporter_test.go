package exporter

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/internal/otlp"
	"github.com/wsresilience/wsresilience/internal/otlp/otlptest"
)

// handler answers requests without a network.
type handler http.HandlerFunc

func (h handler) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h(w, r)
	return w.Result(), nil
}

// away is a collector that cannot be reached.
type away struct{}

func (away) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("connection refused")
}

// stage is an exporter and its collector, in virtual time.
type stage struct {
	*Exporter
	collector *otlptest.Collector
	sender    *sender
	log       bytes.Buffer
}

func newStage(t *testing.T, environ ...string) *stage {
	t.Helper()
	st := &stage{collector: new(otlptest.Collector)}
	cfg := Config{
		Settings: otlp.FromEnviron(append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://user:hunter2@c:4318"}, environ...)),
		Scope:    "wsr", Logger: slog.New(slog.NewTextHandler(&st.log, nil)),
	}
	var err error
	if st.sender, err = newSender(cfg.Settings); err != nil {
		t.Fatal(err)
	}
	st.sender.http.Transport = handler(st.collector.ServeHTTP)
	st.Exporter = start(cfg, st.sender)
	return st
}

// add adds spans with these names.
func (st *stage) add(names ...string) {
	for _, name := range names {
		now := time.Now()
		st.Add(otlp.Span{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Name: name, Kind: otlp.Internal, Start: now, End: now})
	}
}

// want waits for a while and compares the names of what has arrived.
func (st *stage) want(t *testing.T, after time.Duration, names ...string) {
	t.Helper()
	time.Sleep(after)
	synctest.Wait()
	var got []string
	for _, s := range st.collector.Spans() {
		got = append(got, s.Name)
	}
	if strings.Join(got, " ") != strings.Join(names, " ") || len(st.collector.Faults()) > 0 {
		t.Errorf("after %v the collector has %q, want %q; faults %v", after, got, names, st.collector.Faults())
	}
}

func status(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
	}
}

func TestBatches(t *testing.T) {
	for _, environ := range [][]string{
		nil,
		{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json"},
		{"OTEL_EXPORTER_OTLP_COMPRESSION=gzip"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip"},
	} {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t, append(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2", "OTEL_EXPORTER_OTLP_HEADERS=api-key=k")...)
			st.add("a")
			st.want(t, 4*time.Second) // it waits for others
			st.want(t, 2*time.Second, "a")
			st.add("b", "c", "d")
			st.want(t, 0, "a", "b", "c") // two are as many as go together
			if err := st.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			st.want(t, 0, "a", "b", "c", "d")
			for _, r := range st.collector.Requests() {
				if r.Header.Get("Api-Key") != "k" {
					t.Errorf("a request without the header: %v", r.Header)
				}
			}
			if c := st.Counts(); c != (Counts{Exported: 4}) {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, "OTEL_BSP_SCHEDULE_DELAY=1")
		st.collector.Answer(status(503, ""), status(429, "7"), status(502, ""))
		st.add("a")
		st.want(t, 7*time.Second) // asked for 7 s beside the first wait
		st.want(t, 6*time.Second, "a")
		if n := len(st.collector.Requests()); n != 4 {
			t.Errorf("%d requests, want 4", n)
		}

		st.collector.Answer(status(400, ""))
		st.add("refused")
		st.want(t, 30*time.Second, "a") // for good
		st.collector.Answer(status(503, "3600"))
		st.add("too late")
		st.want(t, time.Second, "a") // nobody waits for an hour
		st.add("b")
		st.want(t, time.Second, "a", "b")
		if c := st.Counts(); c != (Counts{Exported: 2, Failed: 2}) {
			t.Errorf("%+v", c)
		}
		if log := st.log.String(); strings.Count(log, "could not be sent") != 1 || strings.Contains(log, "hunter2") {
			t.Errorf("the log: %s", log) // once a minute
		}
		_ = st.Shutdown(t.Context())
	})
}

// While the collector is away spans are dropped and counted; nobody waits.
func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, "OTEL_BSP_MAX_QUEUE_SIZE=3", "OTEL_BSP_SCHEDULE_DELAY=1")
		st.sender.http.Transport = away{}
		st.add("a")
		time.Sleep(time.Second)
		began := time.Now()
		st.add("b", "c", "d", "e", "f")
		if c := st.Counts(); c.Full != 2 || time.Since(began) != 0 {
			t.Errorf("%+v after %v", c, time.Since(began))
		}
		time.Sleep(31 * time.Second)
		if c := st.Counts(); c.Failed != 1 {
			t.Errorf("after the patience with one batch: %+v", c)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began = time.Now()
		if err := st.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 2*time.Second {
			t.Errorf("shutdown: %v after %v", err, time.Since(began))
		}
		if c := st.Counts(); c != (Counts{Full: 2, Failed: 4}) {
			t.Errorf("%+v, want all counted", c)
		}
	})
}

func TestPartialSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, "OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_BSP_SCHEDULE_DELAY=1")
		st.collector.Answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}`))
		})
		st.add("a", "b")
		st.want(t, time.Second)
		if c := st.Counts(); c != (Counts{Exported: 1, Rejected: 1}) || !strings.Contains(st.log.String(), "too old") {
			t.Errorf("%+v, %s", c, st.log.String())
		}
		_ = st.Shutdown(t.Context())
	})
}

func TestFilesOfCertificates(t *testing.T) {
	_, err := New(Config{Settings: otlp.FromEnviron([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=https://c", "OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere"})})
	if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_CERTIFICATE") {
		t.Error(err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "-5": 0, "Thu, 01 Jan 2026 00:00:09 GMT": 9 * time.Second, "Wed, 31 Dec 2025 00:00:00 GMT": 0, "soon": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}
