package endtoend

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// mounted is a file as Kubernetes mounts a ConfigMap: a link to a file in a folder
// that is itself a link, and is swapped.
type mounted struct {
	t    *testing.T
	dir  string
	path string
}

func mount(t *testing.T, lines ...string) *mounted {
	t.Helper()
	m := &mounted{t: t, dir: t.TempDir()}
	m.path = filepath.Join(m.dir, "settings.env")
	m.swap("..1", lines...)
	if err := os.Symlink(filepath.Join("..data", "settings.env"), m.path); err != nil {
		t.Fatal(err)
	}
	return m
}

// swap puts other settings in place.
func (m *mounted) swap(version string, lines ...string) {
	m.t.Helper()
	folder, next := filepath.Join(m.dir, version), filepath.Join(m.dir, "..next")
	for _, err := range []error{
		os.Mkdir(folder, 0o700),
		os.WriteFile(filepath.Join(folder, "settings.env"), []byte(strings.Join(lines, "\n")), 0o600),
		os.Symlink(version, next),
		os.Rename(next, filepath.Join(m.dir, "..data")),
	} {
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

// logs waits for a line of the log with all of the words.
func (p *process) logs(words ...string) {
	p.t.Helper()
	err := proc.Until(p.t.Context(), processLimit, processLook, func() bool {
		for line := range strings.Lines(p.Log()) {
			all := true
			for _, w := range words {
				all = all && strings.Contains(line, w)
			}
			if all {
				return true
			}
		}
		return false
	})
	if err != nil {
		p.t.Fatalf("no line of the log has %q", words)
	}
}

// wantMetric waits for a line of /metrics.
func (p *process) wantMetric(line string) {
	p.t.Helper()
	err := proc.Until(p.t.Context(), processLimit, processLook, func() bool {
		text, err := p.Get(p.t.Context(), "/metrics")
		return err == nil && strings.Contains(string(text), "\n"+line+"\n")
	})
	if err != nil {
		p.t.Fatalf("/metrics never has %s", line)
	}
}

// The settings of a running sidecar change with its mounted file, and with a
// SIGHUP. What is wrong changes nothing, and what needs a restart is told.
func TestReloadOfAProcess(t *testing.T) {
	t.Parallel()
	app := newScript()
	srv := httptest.NewServer(app)
	t.Cleanup(srv.Close)
	rules := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(rules, []byte(`{"rules":[{"path":"*","select":{"pointer":"/type","equals":"login"}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	m := mount(t, "# nothing yet")
	p := newProcess(t, srv.URL, t.TempDir(), "WSR_CONFIG_FILE="+m.path, "WSR_SNAPSHOT_RULES="+rules)
	living, _, err := websocket.Dial(t.Context(), "ws://"+p.Addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer living.CloseNow()
	dial := func() int {
		c, resp, err := websocket.Dial(t.Context(), "ws://"+p.Addr+"/", nil)
		if err == nil {
			c.CloseNow()
		}
		return resp.StatusCode
	}

	m.swap("..2", "WSR_MAX_SESSIONS=1", "WSR_PERSIST_AFTER=70ms")
	p.logs(`"audit":true`, `"setting":"WSR_MAX_SESSIONS"`, `"from":"0"`, `"to":"1"`, `"reaches":"at once"`)
	p.logs("a changed setting needs a restart", `"setting":"WSR_PERSIST_AFTER"`, `"from":"50ms"`, `"to":"70ms"`)
	if got := dial(); got != 503 {
		t.Errorf("beside the one session that is allowed: %d, want 503", got)
	}

	m.swap("..3", "WSR_MAX_SESSIONS=0", "WSR_HEARTBEAT_MISSES=many")
	p.logs(`"level":"ERROR"`, `WSR_HEARTBEAT_MISSES=\"many\" (line 2 of `+m.path, "allowed: a whole number, from 1 to 10")
	p.wantMetric(`wsr_settings_invalid 1`)
	if got := dial(); got != 503 {
		t.Errorf("with settings that were refused: %d, want 503 as before", got)
	}

	m.swap("..4", "WSR_MAX_SESSIONS=0")
	p.logs(`"setting":"WSR_MAX_SESSIONS"`, `"from":"1"`, `"to":"0"`)
	p.wantMetric(`wsr_settings_invalid 0`)
	if got := dial(); got != 101 {
		t.Errorf("without the limit: %d, want 101", got)
	}

	if err := os.WriteFile(rules, []byte(`{"rules":[{"path":"*","select":{"pointer":"/kind","equals":"login"}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGHUP); err != nil { // at once
		t.Fatal(err)
	}
	p.logs(`"setting":"WSR_SNAPSHOT_RULES"`, "(70 bytes, sha256", `"reaches":"new sessions"`, `"trigger":"SIGHUP"`)
	say(t, living, "still here")
	if err := proc.Until(t.Context(), processLimit, processLook, func() bool { return app.all() != "" }); err != nil {
		t.Error("the connection of before is gone")
	}
}
