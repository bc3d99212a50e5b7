package upgrade

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// A front is what a sidecar does with an upgrade request, on a real socket and
// joined as simply as can be: the guard, the check, and the handshake with the
// app. Any other request gets an empty 200.
type front struct {
	addr    string
	app     *App
	timeout time.Duration // of the app's handshake, 0 for the real one
	logged  bytes.Buffer
}

func newFront(t *testing.T, app string) *front {
	t.Helper()
	up, err := ParseApp(app)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{app: up}
	l := proxytest.Listen(t)
	f.addr = l.Addr().String()
	proxytest.ServeHTTP(t, httpguard.Guard(l), f)
	return f
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !Requested(r) {
		return
	}
	q, refused := Parse(r)
	if refused != nil {
		refused.Write(w)
		return
	}
	ctx := r.Context()
	if f.timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, f.timeout)
		defer cancel()
		ctx = limited
	}
	app, resp, err := f.app.Dial(ctx, r, Offer{Scheme: "http", Verbatim: true})
	var failed *AppError
	switch {
	case errors.As(err, &failed):
		f.logged.WriteString(err.Error())
		failed.Refusal().Write(w)
		return
	case resp != nil:
		_ = resp.Pass(ctx, w)
		return
	}
	defer app.Conn.Close()
	conn, err := Answer(w, q.AppendSwitch(nil, app.Subprotocol, app.Extensions, app.Fields))
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write(app.Early)
	go func() { _, _ = io.Copy(app.Conn, conn); app.Conn.Close() }()
	_, _ = io.Copy(conn, app.Conn)
}
