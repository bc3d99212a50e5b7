package endtoend

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/otlp"
	"github.com/wsresilience/wsresilience/internal/otlp/exporter"
	"github.com/wsresilience/wsresilience/internal/otlp/otlptest"
	"github.com/wsresilience/wsresilience/internal/tracing"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
)

// traced is a fleet whose pods send spans to a collector, and an app that notes from
// which span it was asked.
type traced struct {
	*fleet
	app       *script
	collector *otlptest.Collector

	mu    sync.Mutex
	asked []http.Header // of the handshakes that the app has seen
}

func newTraced(t *testing.T, pods int, change func(*proxy.Config)) *traced {
	t.Helper()
	tr := &traced{app: newScript(), collector: otlptest.NewCollector()}
	t.Cleanup(tr.collector.Close)
	tr.fleet = newFleet(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tr.mu.Lock()
		tr.asked = append(tr.asked, r.Header.Clone())
		tr.mu.Unlock()
		tr.app.ServeHTTP(w, r)
	}), false)
	settings := otlp.FromEnviron([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + tr.collector.URL, "OTEL_BSP_SCHEDULE_DELAY=5"})
	for i := range pods {
		e, err := exporter.New(exporter.Config{
			Settings: settings, Resource: []otlp.Attribute{otlp.Text("service.instance.id", fmt.Sprint("pod", i))}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Shutdown(context.Background()) })
		tracer := tracing.New(settings.Sampler, e.Add)
		tr.add(func(c *proxy.Config) {
			c.Tracer, c.TraceMessages, c.Observer = tracer, 2, event.Observers{c.Observer, tracer}
			if change != nil {
				change(c)
			}
		})
	}
	return tr
}

// from is the traceparent with which the app was asked, the first time or later.
func (tr *traced) from(n int) string { return tr.header(n).Get("Traceparent") }

// header is what came with that handshake.
func (tr *traced) header(n int) http.Header {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.asked[n]
}

// spans waits until there are so many of a name, and returns them in the order of
// their beginning.
func (tr *traced) spans(name string, want int) (list []otlptest.Span) {
	tr.t.Helper()
	soon(tr.t, fmt.Sprintf("%d spans %q", want, name), func() bool {
		list = nil
		for _, s := range tr.collector.Spans() {
			if s.Name == name {
				list = append(list, s)
			}
		}
		return len(list) >= want
	})
	if len(list) != want {
		tr.t.Errorf("%d spans %q, want %d", len(list), name, want)
	}
	return list
}

// by is the one of them that a pod made.
func by(t *testing.T, list []otlptest.Span, pod string) otlptest.Span {
	t.Helper()
	for _, s := range list {
		if s.Resource["service.instance.id"] == pod {
			return s
		}
	}
	t.Fatalf("%s has made none of %d spans", pod, len(list))
	return otlptest.Span{}
}

// comesFrom are header fields of handshakes, each from a trace of its own.
func comesFrom(n *int) func(context.Context) (http.Header, error) {
	return func(context.Context) (http.Header, error) {
		*n++
		return http.Header{"Traceparent": {traceparentOf(*n)}}, nil
	}
}

func traceparentOf(n int) string { return fmt.Sprintf("00-%032d-%016d-01", n, n) }

// A session begins at pod 0, is resumed through pod 1, and is adopted by pod 1. Each
// handshake goes on in the trace that its client comes with, through both pods to the
// app; the session's own trace has the work of both; and spans link from one to the
// other.
func TestTraceAcrossPods(t *testing.T) {
	t.Parallel()
	tr := newTraced(t, 2, nil)
	dials := 0
	v := tr.connect(0, "/chat?ticket=hunter2", &client.Options{Adopt: true, Header: comesFrom(&dials)})
	socket := <-tr.app.sockets
	id := tr.pods[0].session(t).ID
	v.sayAcked("hello")

	first := tr.spans("handshake", 1)[0]
	if first.TraceID != fmt.Sprintf("%032d", 1) || first.Parent != fmt.Sprintf("%016d", 1) || first.Kind != 2 || first.Attributes["url.path"] != "/chat" || first.Attributes["wsr.session"] != id {
		t.Errorf("the handshake's span: %+v", first)
	}
	dial := tr.spans("dial app", 1)[0]
	if tr.from(0) != "00-"+dial.TraceID+"-"+dial.SpanID+"-01" || dial.TraceID != first.TraceID || dial.Parent != first.SpanID {
		t.Errorf("the app was asked from %s, in span %+v", tr.from(0), dial)
	}
	attach := tr.spans("attach", 1)[0]
	if attach.TraceID != id || len(attach.Links) != 1 || attach.Links[0].SpanID != first.SpanID || first.Links[0].TraceID != id || first.Links[0].SpanID != attach.Parent {
		t.Errorf("session and handshake do not link to each other: %+v, %+v", attach, first)
	}

	say(t, socket, "one")
	say(t, socket, "two")
	v.hear("one", "two")
	if m := tr.spans("message", 1)[0]; m.TraceID != id || m.Parent != attach.Parent || m.Attributes["wsr.seq"] != int64(2) || m.Attributes["wsr.from"] != "app" {
		t.Errorf("the message: %+v", m)
	}
	v.sayAcked("hello again")
	if m := tr.spans("message", 2)[1]; m.TraceID != id || m.Parent != attach.Parent || m.Attributes["wsr.seq"] != int64(2) || m.Attributes["wsr.from"] != "client" {
		t.Errorf("the client's message: %+v", m)
	}

	v.move(1)
	tunnel := tr.spans("tunnel", 1)[0]
	entry, owner := by(t, tr.spans("handshake", 3)[1:], "pod1"), by(t, tr.spans("handshake", 3)[1:], "pod0")
	if entry.Parent != fmt.Sprintf("%016d", 2) || tunnel.Parent != entry.SpanID || owner.Parent != tunnel.SpanID || owner.TraceID != fmt.Sprintf("%032d", 2) {
		t.Errorf("through pod 1: %+v\n%+v\n%+v", entry, tunnel, owner)
	}
	resume := tr.spans("resume", 1)[0]
	if resume.TraceID != id || resume.Parent != attach.Parent || resume.Links[0].SpanID != owner.SpanID || resume.Attributes["wsr.via"] == "" {
		t.Errorf("the resume: %+v", resume)
	}
	if c := tr.spans("connection", 1)[0]; c.Links[0].SpanID != first.SpanID || c.Attributes["wsr.cause"] == nil {
		t.Errorf("the first connection: %+v", c)
	}

	tr.leases.set(tr.pods[0].name, store.LeaseReleased)
	if err := tr.pods[0].stop(); err != nil {
		t.Fatal(err)
	}
	<-tr.app.sockets
	socket.CloseNow()
	adopt := tr.spans("adopt", 1)[0]
	second := by(t, tr.spans("dial app", 2), "pod1")
	if adopt.TraceID != id || adopt.Resource["service.instance.id"] != "pod1" || adopt.Attributes["wsr.reason"] == "" || tr.from(1) != "00-"+second.TraceID+"-"+second.SpanID+"-01" {
		t.Errorf("the adoption: %+v; the app was asked from %s", adopt, tr.from(1))
	}
	if err := v.Close(1000, ""); err != nil {
		t.Fatal(err)
	}
	sessions := tr.spans("session", 2)
	root, next := by(t, sessions, "pod0"), by(t, sessions, "pod1")
	if root.Parent != "" || root.SpanID != attach.Parent || next.Parent != root.SpanID || next.TraceID != id || adopt.Parent != next.SpanID || len(root.Events) == 0 {
		t.Errorf("the session's spans: %+v\n%+v", root, next)
	}
	tr.sound(t)
}

// sound checks what holds for all spans: each has its parent, unless that is the
// client's, and none tells a secret.
func (tr *traced) sound(t *testing.T) {
	t.Helper()
	for _, err := range tr.collector.Faults() {
		t.Error(err)
	}
	known := map[string]bool{}
	for _, s := range tr.collector.Spans() {
		known[s.SpanID] = true
	}
	for _, s := range tr.collector.Spans() {
		if s.Parent != "" && !known[s.Parent] && !strings.HasPrefix(s.Parent, "000000000000") {
			t.Errorf("%s has no parent %s", s.Name, s.Parent)
		}
		if text := fmt.Sprint(s); strings.Contains(text, "hunter2") || strings.Contains(text, "hello") {
			t.Errorf("a span tells a secret: %s", text)
		}
	}
}

// The command sends what its environment asks for, the last before it ends, and counts
// that.
func TestTracesOfAProcess(t *testing.T) {
	t.Parallel()
	collector := otlptest.NewCollector()
	t.Cleanup(collector.Close)
	app := newScript()
	srv := httptest.NewServer(app)
	t.Cleanup(srv.Close)
	p := newProcess(t, srv.URL, t.TempDir(), "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_SERVICE_NAME=shop",
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_HEADERS=api-key=hunter2", "OTEL_BSP_SCHEDULE_DELAY=100", "WSR_DRAIN_SECONDS=1")
	c, _, err := client.Dial(t.Context(), "ws://"+p.Addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	p.wantMetric(`wsr_trace_spans_total{outcome="exported"} 3`) // the handshake, the app, how it came
	if err := c.Close(1000, ""); err != nil {
		t.Fatal(err)
	}
	p.terminate()
	names := map[string]int{}
	for _, s := range collector.Spans() {
		names[s.Name]++
		if s.Resource["service.name"] != "shop" || s.Resource["service.instance.id"] == nil {
			t.Errorf("%s is of %v", s.Name, s.Resource)
		}
	}
	if want := map[string]int{"handshake": 1, "dial app": 1, "attach": 1, "connection": 1, "session": 1}; !maps.Equal(names, want) {
		t.Errorf("spans %v, want %v", names, want)
	}
	if len(collector.Faults()) > 0 || strings.Contains(p.Log(), "hunter2") {
		t.Errorf("faults %v; is the key in the log? %v", collector.Faults(), strings.Contains(p.Log(), "hunter2"))
	}
}

// A trace that its client does not record is not recorded, and the app hears of it as
// the client has said it.
func TestTraceNotSampled(t *testing.T) {
	t.Parallel()
	tr := newTraced(t, 2, nil)
	const from = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	v := tr.connect(0, "/", &client.Options{Adopt: true, HTTPHeader: http.Header{"Traceparent": {from}}})
	<-tr.app.sockets
	v.move(1)
	v.sayAcked("hello")
	if err := v.Close(1000, ""); err != nil {
		t.Fatal(err)
	}
	soon(t, "the session ends", func() bool { return tr.pods[0].watch.count("ended resilient closed") == 1 })
	time.Sleep(30 * time.Millisecond) // several times as long as spans wait
	if spans := tr.collector.Spans(); len(spans) > 0 || tr.from(0) != from {
		t.Errorf("%d spans, and the app was asked from %s", len(spans), tr.from(0))
	}
}
