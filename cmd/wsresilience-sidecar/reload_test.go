package main

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/observe"
	"github.com/wsresilience/wsresilience/proxy"
)

// reloading is a reloader without a sidecar.
type reloading struct {
	*reloader
	t        *testing.T
	path     string
	out      bytes.Buffer
	applied  []proxy.Config
	reissued int
}

func newReloading(t *testing.T, lines ...string) *reloading {
	t.Helper()
	r := &reloading{t: t, path: filepath.Join(t.TempDir(), "settings.env")}
	r.write(lines...)
	environ := []string{"WSR_UPSTREAM=http://127.0.0.1:1", "WSR_CONFIG_FILE=" + r.path}
	cfg, err := config.Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.New(cfg.TokenKeys)
	if err != nil {
		t.Fatal(err)
	}
	level := new(slog.LevelVar)
	used := contents(cfg.WatchedFiles())
	r.reloader = &reloader{
		environ: environ, level: level, metrics: observe.New(), ring: ring, cfg: cfg, used: used, seen: used,
		log:     observe.NewLogger(&r.out, level, "text", false),
		check:   func(c *config.Config) error { return c.CheckPayload(8 << 20) },
		apply:   func(c proxy.Config) { r.applied = append(r.applied, c) },
		reissue: func(string) { r.reissued++ },
		pprof:   new(atomic.Bool),
	}
	return r
}

func (r *reloading) write(lines ...string) {
	r.t.Helper()
	if err := os.WriteFile(r.path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// said is what was logged since the last time.
func (r *reloading) said() string {
	defer r.out.Reset()
	return r.out.String()
}

// A file that changes is taken when it was the same twice: it may have been seen
// half written.
func TestReloadWaitsForAWriter(t *testing.T) {
	r := newReloading(t, "WSR_HEARTBEAT_BASE=2s")
	r.look()
	r.write("WSR_HEARTBEAT_BASE=3")
	r.look()
	r.write("WSR_HEARTBEAT_BASE=3s", "WSR_LOG_LEVEL=debug", "WSR_PPROF=on")
	r.look()
	if len(r.applied) > 0 || r.out.Len() > 0 {
		t.Fatalf("while it is written: %d times, %s", len(r.applied), r.said())
	}
	r.look()
	if len(r.applied) != 1 || r.applied[0].Heartbeat.Base != 3*time.Second || r.level.Level() != slog.LevelDebug || !r.pprof.Load() {
		t.Fatalf("applied %d times, level %v, profiles %v", len(r.applied), r.level.Level(), r.pprof.Load())
	}
	if said := r.said(); strings.Count(said, "audit=true") != 3 || !strings.Contains(said, "setting=WSR_HEARTBEAT_BASE from=2s to=3s") {
		t.Errorf("logged: %s", said)
	}
	r.look()
	r.look()
	if len(r.applied) != 1 {
		t.Error("it is applied again without a change")
	}
}

// Whoever finds the fault refuses all of it, once; the next good file is taken.
func TestReloadRefuses(t *testing.T) {
	r := newReloading(t)
	for _, bad := range []struct{ line, said string }{
		{"WSR_HEARTBEAT_BASE=3", "a number without a unit"},
		{`WSR_SNAPSHOT_RULES={"rules":"none"}`, "WSR_SNAPSHOT_RULES"},
		{"WSR_APP_PROTOCOL=morse", "WSR_APP_PROTOCOL"},
		{"WSR_MAX_MESSAGE=9MiB", "above max_payload of the NATS server"},
	} {
		r.write("WSR_LOG_LEVEL=debug", bad.line)
		for range 4 {
			r.look()
		}
		if said := r.said(); len(r.applied) > 0 || r.level.Level() != slog.LevelInfo || strings.Count(said, "level=ERROR") != 1 || !strings.Contains(said, bad.said) {
			t.Errorf("%s: applied %d times, level %v; logged: %s", bad.line, len(r.applied), r.level.Level(), said)
		}
	}
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	r.look()
	r.look()
	if said := r.said(); !strings.Contains(said, "there is no such file") || len(r.applied) > 0 {
		t.Errorf("without the file: %s", said)
	}
	r.write("WSR_LOG_LEVEL=debug")
	r.look()
	r.look()
	if len(r.applied) != 1 || r.level.Level() != slog.LevelDebug {
		t.Error("the next good file is not taken")
	}
}

// The fault is in a file that only the refused settings name: when it is mended, they
// are taken.
func TestReloadTriesAgain(t *testing.T) {
	r := newReloading(t)
	rules := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(rules, []byte(`{"rules":`), 0o600); err != nil {
		t.Fatal(err)
	}
	r.write("WSR_SNAPSHOT_RULES="+rules, "WSR_LOG_LEVEL=debug")
	for range 3 * retryEvery {
		r.look()
	}
	if said := r.said(); len(r.applied) > 0 || strings.Count(said, "level=ERROR") != 1 {
		t.Errorf("applied %d times; logged: %s", len(r.applied), said)
	}
	if err := os.WriteFile(rules, []byte(`{"rules":[{"path":"*","select":{"pointer":"/type","equals":"login"}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for range retryEvery {
		r.look()
	}
	if len(r.applied) != 1 || r.level.Level() != slog.LevelDebug {
		t.Errorf("applied %d times, level %v", len(r.applied), r.level.Level())
	}
}

// A line that the environment overrides is told of whenever the file is read.
func TestReloadTellsOfTheEnvironment(t *testing.T) {
	r := newReloading(t)
	r.environ = append(r.environ, "WSR_HEARTBEAT_MISSES=4")
	r.write("WSR_HEARTBEAT_MISSES=5")
	r.reload(bySignal)
	if said := r.said(); !strings.Contains(said, "WSR_HEARTBEAT_MISSES is in the environment and in line 1") {
		t.Errorf("logged: %s", said)
	}
}

// Keys in the file rotate; they are in no line of the log.
func TestReloadKeys(t *testing.T) {
	a, b := base64.StdEncoding.EncodeToString(keyring.Generate()), base64.StdEncoding.EncodeToString(keyring.Generate())
	r := newReloading(t, "WSR_TOKEN_KEYS="+a)
	sealed := r.ring.Derive("x").Seal(nil, []byte("old"), nil)
	r.write("WSR_TOKEN_KEYS=" + a + "," + b)
	r.reload(bySignal)
	if r.reissued != 0 {
		t.Error("tokens are issued anew though the same key seals")
	}
	r.write("WSR_TOKEN_KEYS=" + b + "," + a)
	r.reload(bySignal)
	if _, err := r.ring.Derive("x").Open(nil, sealed, nil); err != nil || r.reissued != 1 {
		t.Errorf("what the old key sealed: %v; issued anew %d times, want once", err, r.reissued)
	}
	if said := r.said(); strings.Contains(said, a) || strings.Contains(said, b) || !strings.Contains(said, "another_seals=true") {
		t.Errorf("logged: %s", said)
	}
}
