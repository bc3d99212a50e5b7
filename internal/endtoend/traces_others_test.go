package endtoend

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/traceparent"
	"github.com/wsresilience/wsresilience/proxy"
)

// What a plain client says of its trace passes as it came, and its connection is one
// span below the client's, when it is over.
func TestTraceOfAPlainConnection(t *testing.T) {
	t.Parallel()
	tr := newTraced(t, 1, nil)
	c, _, err := websocket.Dial(t.Context(), "ws://"+tr.pods[0].addr+"/plain?ticket=hunter2", &websocket.DialOptions{
		HTTPHeader: http.Header{"Traceparent": {traceparentOf(1)}, "Tracestate": {"a=b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	<-tr.app.sockets
	if got := tr.from(0); got != traceparentOf(1) {
		t.Errorf("the app was asked from %s", got)
	}
	if err := c.Close(1000, ""); err != nil {
		t.Fatal(err)
	}
	s := tr.spans("websocket", 1)[0]
	if s.TraceID != fmt.Sprintf("%032d", 1) || s.Parent != fmt.Sprintf("%016d", 1) || s.Attributes["url.path"] != "/plain" {
		t.Errorf("%+v", s)
	}
	if n := len(tr.collector.Spans()); n != 1 {
		t.Errorf("%d spans of a plain connection", n)
	}
	tr.sound(t)
}

// Where another form than W3C's is spoken (OTEL_PROPAGATORS), a handshake goes on in
// the client's trace by that, from pod to pod and to the app. What is said in other
// forms passes as it came.
func TestTraceInAnotherForm(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]traceparent.Propagators{"b3": {traceparent.B3}, "jaeger": {traceparent.Jaeger}, "none": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTraced(t, 2, func(c *proxy.Config) { c.Propagators = by })
			parent, _ := traceparent.Parse(traceparentOf(1))
			from := http.Header{}
			by.Inject(from, parent)
			const other = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
			from.Set("Traceparent", other)
			v := tr.connect(0, "/", &client.Options{HTTPHeader: from})
			<-tr.app.sockets
			v.move(1)
			handshakes := tr.spans("handshake", 3)
			dial := tr.spans("dial app", 1)[0]
			said := by.Extract(tr.header(0).Values)
			if name == "none" {
				if first := handshakes[0]; first.Parent != "" || first.TraceID == parent.Trace() || !said.IsZero() {
					t.Errorf("the handshake: %+v", first)
				}
			} else if hex.EncodeToString(said.SpanID[:]) != dial.SpanID || said.Trace() != parent.Trace() {
				t.Errorf("the app was asked from %v, in span %+v", said, dial)
			}
			if name != "none" {
				for _, h := range handshakes {
					if h.TraceID != parent.Trace() {
						t.Errorf("in another trace: %+v", h)
					}
				}
			}
			if got := tr.from(0); got != other {
				t.Errorf("traceparent came as %q", got)
			}
			if id := tr.pods[0].session(t).ID; tr.spans("attach", 1)[0].TraceID != id {
				t.Error("the session is not in a trace of its own")
			}
		})
	}
}

// An app that restarts is asked again from the session's trace.
func TestTraceOfAnAppRestart(t *testing.T) {
	t.Parallel()
	tr := newTraced(t, 1, func(c *proxy.Config) { c.AppRetry = 10 * time.Second })
	v := tr.connect(0, "/", &client.Options{Adopt: true, HTTPHeader: http.Header{"Traceparent": {traceparentOf(1)}}})
	socket := <-tr.app.sockets
	id := tr.pods[0].session(t).ID
	v.sayAcked("hello")
	if err := socket.Close(1012, ""); err != nil {
		t.Fatal(err)
	}
	<-tr.app.sockets
	restart, dial := tr.spans("app restart", 1)[0], tr.spans("dial app", 2)[1]
	if restart.TraceID != id || restart.Attributes["wsr.outcome"] != "ok" || restart.StatusCode != 0 {
		t.Errorf("the restart: %+v", restart)
	}
	if dial.TraceID != id || dial.Parent != restart.Parent || tr.from(1) != "00-"+id+"-"+dial.SpanID+"-03" {
		t.Errorf("the app was asked from %s, in span %+v", tr.from(1), dial)
	}
	if err := v.Close(1000, ""); err != nil {
		t.Fatal(err)
	}
	tr.spans("session", 1)
	tr.sound(t)
}

// A client that gets no session has a span that says why.
func TestTraceOfARefusal(t *testing.T) {
	t.Parallel()
	tr := newTraced(t, 1, nil)
	tr.pods[0].attempt(t, "bm9uc2Vuc2U", http.Header{"Traceparent": {traceparentOf(1)}})
	s := tr.spans("handshake", 1)[0]
	if s.Parent != fmt.Sprintf("%016d", 1) || s.StatusCode != 2 || s.StatusMessage != "reset: token" || s.Attributes["wsr.fact"] == nil || len(s.Links) > 0 {
		t.Errorf("%+v", s)
	}
	tr.sound(t)
}
