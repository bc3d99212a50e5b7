package endtoend

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gorilla/websocket"
)

// What happens to the session of a client without wsr.v1 that comes back
// (WSR_PLAIN_RESUME) is in the log under the session too, refusals by HTTP included.
func TestLifeOfAPlainClientThatComesBackInTheLog(t *testing.T) {
	t.Parallel()
	app := new(lifeApp)
	app.status.Store(200)
	backend := httptest.NewServer(app)
	defer backend.Close()
	l := &eventLog{t: t}
	p := newLogged(t, l, backend.URL, t.TempDir(), "WSR_LOG_CLIENT=address", "WSR_LOG_LEVEL=info", "WSR_LOG_FORMAT=json",
		"WSR_PLAIN_RESUME=query:sid", "WSR_RESUME_AUTH=/may", "WSR_RATE_RESUMES=3")
	dial := func(subprotocols ...string) (*websocket.Conn, int) {
		d := websocket.Dialer{Subprotocols: subprotocols}
		conn, answer, err := d.DialContext(t.Context(), "ws://"+p.Addr+"/chat?sid=secret-name-of-a-client", http.Header{"Traceparent": {"00-" + lifeTrace + "-00f067aa0ba902b7-01"}}) //nolint:bodyclose // need not be closed, it says
		if err == nil {
			t.Cleanup(func() { conn.Close() })
		} else if answer == nil {
			t.Fatal(err)
		}
		return conn, answer.StatusCode
	}
	first, _ := dial()
	id := "session=" + l.want("session began", "path=/chat", "client=127.0.0.1", "trace="+lifeTrace)["session"].(string)
	first.Close()
	l.want("session detached", id, "cause=gone")
	second, _ := dial()
	l.want("session resumed", id, "away=", "replayed=", "owner="+p.Addr)
	third, _ := dial()
	l.want("session detached", id, "cause=superseded", "from=127.0.0.1")
	l.want("session resumed", id)
	for _, refusal := range []struct {
		app, client int
		msg, fact   string
	}{
		{403, 403, "the app does not allow a client its session any more", "not authorised"},
		{503, 503, "the app could not tell whether a client may have its session", "could not be asked"},
	} {
		app.status.Store(int32(refusal.app))
		if _, status := dial(); status != refusal.client {
			t.Errorf("the app says %d, and the client hears %d", refusal.app, status)
		}
		l.want(refusal.msg, id)
		l.want("request refused", id, "reason=resume", "fact="+refusal.fact)
	}
	app.status.Store(200)
	dial()
	if _, status := dial(); status != 503 {
		t.Errorf("a fourth resume within a minute is answered %d", status)
	}
	l.want("request refused", id, "reason=resume", "fact=too often")
	l.consoleTells(t, p.Admin, func(string) bool { return true })
	_, _ = second, third
}
