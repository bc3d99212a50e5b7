package endtoend

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// Clients take all descriptors that there are for them. Those that are there go
// on, others are told to come again, probes are answered and say why, and when
// the clients are gone all is as before.
func TestDescriptorsUsedUp(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(gorillaEcho))
	defer app.Close()
	p := newLimited(t, app.URL, 400)
	echo := func(c *client.Conn) error {
		ctx, cancel := context.WithTimeout(t.Context(), processLimit)
		defer cancel()
		if err := c.Write(ctx, client.MessageText, []byte("here")); err != nil {
			return err
		}
		_, _, err := c.Read(ctx)
		return err
	}
	here, _, err := client.Dial(t.Context(), "ws://"+p.Addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer here.CloseNow()

	var all []net.Conn
	closeAll := func() {
		for _, c := range all {
			c.Close()
		}
	}
	defer closeAll()
	refused := 0
	for i := range 600 {
		c, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
		if i%3 == 0 { // some of them are WebSockets, which take two descriptors
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
			_ = c.SetReadDeadline(time.Now().Add(processLimit))
			buf := make([]byte, 200)
			if n, _ := c.Read(buf); strings.Contains(string(buf[:n]), "Wsr-Refused: descriptors") {
				refused++
			}
		}
	}
	if refused == 0 {
		t.Error("nobody was told that there are no descriptors")
	}
	if err := echo(here); err != nil {
		t.Errorf("a client that was there: %v", err)
	}
	for _, path := range []string{"/livez", "/readyz"} {
		text, err := p.Get(t.Context(), path)
		if err != nil || path == "/readyz" && !strings.Contains(string(text), "descriptors were used up") {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	if text, err := p.Get(t.Context(), "/metrics"); err != nil || strings.Contains(string(text), `wsr_shortages_total{resource="descriptors"} 0`) {
		t.Errorf("the metrics do not show it: %v", err)
	}
	if !strings.Contains(p.Log(), "descriptors are used up") {
		t.Error("the log does not say so")
	}

	closeAll()
	err = proc.Until(t.Context(), processLimit, processLook, func() bool {
		c, _, err := gorilla.DefaultDialer.Dial("ws://"+p.Addr+"/", nil) //nolint:bodyclose // need not be closed, it says
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if err != nil {
		t.Errorf("when they are gone nobody is taken: %v", err)
	}
}

// newLimited is newProcess for one that may have so many descriptors.
func newLimited(t *testing.T, upstream string, descriptors int) *process {
	t.Helper()
	program, err := binary.Path(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	limited := filepath.Join(t.TempDir(), "limited")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec %s\n", descriptors, program)
	if err := os.WriteFile(limited, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	// The end of the log is all that is kept of it, and is not to be of debugging alone.
	return newProgram(t, limited, upstream, t.TempDir(), "WSR_LOG_LEVEL=info")
}
