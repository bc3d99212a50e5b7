package endtoend

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
)

// TestSidecarsAreTakenAway: a rollback takes the sidecars away under their
// clients, and the app answers at their address. A session is given up within
// seconds, with what was not delivered, and a new dial is an ordinary WebSocket.
func TestSidecarsAreTakenAway(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(echoApp))
	t.Cleanup(app.Close)
	sidecar := newProcess(t, app.URL, t.TempDir())
	var addr atomic.Value
	addr.Store(sidecar.Addr)
	o := &client.Options{NetDial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr.Load().(string))
	}}
	c, _, err := client.Dial(t.Context(), "ws://app.example/", o)
	if err != nil || !c.Resilient() {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.WriteAcked(t.Context(), client.MessageText, []byte("before")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	sidecar.Kill()
	start := time.Now()
	if err := c.Write(t.Context(), client.MessageText, []byte("after")); err != nil {
		t.Fatal(err)
	}
	addr.Store(strings.TrimPrefix(app.URL, "http://"))
	_, _, err = c.Read(t.Context())
	lost, ok := errors.AsType[*client.SessionLostError](err)
	if !ok || lost.Reason != client.LostNoSidecar || len(lost.Messages) != 1 || string(lost.Messages[0].Data) != "after" {
		t.Errorf("the session ends with %v", err)
	}
	if d := time.Since(start); d > processLimit {
		t.Errorf("it ends after %v", d)
	}
	again, _, err := client.Dial(t.Context(), "ws://app.example/", o)
	if err != nil || again.Resilient() {
		t.Fatalf("a new dial: %v", err)
	}
	again.CloseNow()
}
