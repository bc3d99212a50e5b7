package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/observe"
)

// drainEnviron are the settings of a sidecar whose admin port is at address.
func drainEnviron(address string) []string {
	return []string{"WSR_ADMIN_LISTEN=" + address, "HTTP_PROXY=http://127.0.0.1:1"}
}

func TestDrainCommand(t *testing.T) {
	admin := func(drain func(context.Context) error) http.Handler {
		return observe.Admin{
			Metrics: http.NotFoundHandler(), Drain: drain,
			DrainState: func() observe.DrainState { return observe.DrainState{Sessions: 7} },
		}.Handler()
	}
	never := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for _, tt := range []struct {
		name           string
		handler        http.Handler
		args           []string
		code           int
		stdout, stderr string
	}{
		{"done", admin(func(context.Context) error { return nil }), nil, exitOK, "7 sessions, 0 plain connections and 0 tunnels are left\ndone\n", ""},
		{"failed", admin(func(context.Context) error { return errors.New("store: unavailable") }), nil, exitFailed, "7 sessions", "the drain failed: store: unavailable"},
		{"late", admin(never), []string{"-timeout", "50ms"}, exitFailed, "7 sessions", "not done after 50ms"},
		{"another server", http.NotFoundHandler(), nil, exitFailed, "", "404 Not Found"},
		{"cut short", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "7 sessions\n")
		}), nil, exitFailed, "7 sessions", "ended before it said"},
		{"killed", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "7 sessions\n")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}), nil, exitFailed, "7 sessions", "ended before it said"},
		{"argument", admin(never), []string{"now"}, exitUsage, "", "takes no argument but -timeout"},
		{"negative", admin(never), []string{"-timeout", "-1s"}, exitUsage, "", "takes no argument but -timeout"},
		{"flag", admin(never), []string{"-force"}, exitUsage, "", "-force"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.handler)
			defer srv.Close()
			var stdout, stderr strings.Builder
			code := command(t.Context(), append([]string{"drain"}, tt.args...), drainEnviron(srv.Listener.Addr().String()), &stdout, &stderr)
			if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("exit code %d, %q and %q; want %d, %q and %q", code, stdout.String(), stderr.String(), tt.code, tt.stdout, tt.stderr)
			}
			if tt.stderr == "" && stderr.Len() > 0 {
				t.Errorf("complaints without a fault: %q", stderr.String())
			}
		})
	}
}

// TestDrainWithoutSidecar: a preStop hook that cannot do its work says what to
// look at.
func TestDrainWithoutSidecar(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	var stderr strings.Builder
	code := command(t.Context(), []string{"drain"}, drainEnviron(address), io.Discard, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), address) || !strings.Contains(stderr.String(), "WSR_ADMIN_LISTEN") {
		t.Errorf("exit code %d, %q; want %d and what to check", code, stderr.String(), exitFailed)
	}
	stderr.Reset()
	if code := command(t.Context(), []string{"drain"}, []string{"WSR_ADMIN_LISTEN=x"}, io.Discard, &stderr); code != exitUsage {
		t.Errorf("bad settings: exit code %d, %q; want %d", code, stderr.String(), exitUsage)
	}
}

// TestDrainInterrupted: a signal ends the command, not the drain.
func TestDrainInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		interrupt()
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second): // a bound for a test that has failed
		}
	}))
	defer srv.Close()
	var stderr strings.Builder
	code := command(ctx, []string{"drain"}, drainEnviron(srv.Listener.Addr().String()), io.Discard, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit code %d, %q; want %d, interrupted", code, stderr.String(), exitFailed)
	}
}

func TestAdminAddress(t *testing.T) {
	for listen, want := range map[config.Address]string{
		":15802": "127.0.0.1:15802", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "[::1]:1", "10.0.0.1:1": "10.0.0.1:1", "localhost:1": "localhost:1",
	} {
		if got := adminAddress(listen); got != want {
			t.Errorf("%s: %s, want %s", listen, got, want)
		}
	}
}
