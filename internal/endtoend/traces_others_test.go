package endtoend

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
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
