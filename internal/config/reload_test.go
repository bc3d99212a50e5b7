package config

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// settingsFile writes a file of settings, and returns its path.
func settingsFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.env")
	rewrite(t, path, lines...)
	return path
}

func rewrite(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConfigFile(t *testing.T) {
	path := settingsFile(t, "# heartbeats", "", "WSR_HEARTBEAT_BASE=2s", "export WSR_HEARTBEAT_MISSES = 5",
		`WSR_SNAPSHOT_RULES='{"version": 1}'`, `WSR_RESILIENT_PATHS="/ws,/chat/"`, "WSR_LOG_LEVEL=debug\r")
	c := mustLoad(t, "WSR_CONFIG_FILE="+path, "WSR_LOG_LEVEL=warn")
	if c.HeartbeatBase != 2*time.Second || c.HeartbeatMisses != 5 || c.ResilientPaths.String() != "/ws,/chat/" || c.SnapshotRules != `{"version":1}` {
		t.Errorf("base %v, misses %d, paths %v, rules %s", c.HeartbeatBase, c.HeartbeatMisses, c.ResilientPaths, c.SnapshotRules)
	}
	if c.LogLevel.String() != "WARN" || len(c.Warnings()) != 1 || !strings.Contains(c.Warnings()[0], "WSR_LOG_LEVEL is in the environment and in line 7") {
		t.Errorf("level %v, warnings %q; want that of the environment, and a warning", c.LogLevel, c.Warnings())
	}
	sources := map[string]string{}
	for _, s := range c.Effective() {
		sources[s.Name] = s.Source
	}
	if sources["WSR_HEARTBEAT_BASE"] != SourceFile || sources["WSR_LOG_LEVEL"] != SourceEnv || sources["WSR_HEARTBEAT_MAX"] != SourceDefault {
		t.Errorf("sources %v", sources)
	}
}

func TestConfigFileFaults(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"WSR_HEARTBEAT_BASE=5", `WSR_HEARTBEAT_BASE="5" (line 2 of %s): a number without a unit`},
		{"WSR_HARTBEAT_BASE=5s", `WSR_HARTBEAT_BASE (line 2 of %s): there is no such setting, did you mean WSR_HEARTBEAT_BASE?`},
		{"just words", `WSR_CONFIG_FILE="%s": line 2 is not NAME=value`},
		{"PATH=/bin", `line 2: only settings that begin with WSR_`},
		{"WSR_CONFIG_FILE=/etc/other", "line 2: a file of settings cannot name another"},
		{"WSR_UPSTREAM=http://127.0.0.1:1\nWSR_UPSTREAM=http://127.0.0.1:2", "line 3 sets WSR_UPSTREAM again, after line 2"},
		{`WSR_SNAPSHOT_RULES='{}`, "line 2: the quote before the value has none behind it"},
		{"WSR_TOKEN_KEYS=hunter2", "WSR_TOKEN_KEYS=*** (7 bytes) (line 2 of %s)"},
	} {
		path := settingsFile(t, "# one", tt.line)
		_, err := Load([]string{upstream, "WSR_CONFIG_FILE=" + path})
		if want := strings.ReplaceAll(tt.want, "%s", path); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v\nwant %s", tt.line, err, want)
		}
	}
	for _, path := range []string{"/nowhere/at/all", t.TempDir()} {
		if _, err := Load([]string{upstream, "WSR_CONFIG_FILE=" + path}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A value that the environment overrides is judged too, by a warning: it would be in
// force when the environment has none any more. No secret is in it.
func TestConfigFileOverridden(t *testing.T) {
	path := settingsFile(t, "WSR_SESSION_TTL=5", "WSR_LOG_LEVEL=debug", "WSR_TOKEN_KEYS=hunter2", "WSR_WINDOW_BYTES=1KiB")
	keys := "WSR_TOKEN_KEYS=" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdefghijklmnopqrstuv"))
	c := mustLoad(t, "WSR_CONFIG_FILE="+path, "WSR_SESSION_TTL=1m", "WSR_LOG_LEVEL=warn", keys, "WSR_WINDOW_BYTES=2MiB")
	if c.SessionTTL != time.Minute {
		t.Errorf("session TTL %v", c.SessionTTL)
	}
	said := strings.Join(c.Warnings(), "\n")
	for _, want := range []string{
		`WSR_SESSION_TTL="5" (line 1 of ` + path + `): a number without a unit`,
		`WSR_TOKEN_KEYS=*** (7 bytes) (line 3 of ` + path + `): `,
		`WSR_WINDOW_BYTES="1KiB" (line 4 of ` + path + `): `,
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no warning %s in\n%s", want, said)
		}
	}
	if strings.Contains(said, "WSR_LOG_LEVEL=") || strings.Contains(said, "hunter2") {
		t.Errorf("warnings:\n%s", said)
	}
}

// In a pod's own file nothing is set that the injector decides.
func TestInjectedFile(t *testing.T) {
	l := newLoader()
	for line, wrong := range map[string]bool{"WSR_HEARTBEAT_BASE": false, "WSR_NATS_MAX_BYTES": true, "WSR_UPSTREAM": true, "WSR_NO_SUCH": false} {
		if err := l.refuseInjectors([]entry{{line, "x", 3}}); (err != nil) != wrong || err != nil && !strings.Contains(err.Error(), "line 3 sets "+line) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// reload changes the file and says what became of it: name from → to, reach.
func reload(t *testing.T, c *Config, path string, lines ...string) (*Config, []string, error) {
	t.Helper()
	rewrite(t, path, lines...)
	next, changes, err := c.Reload([]string{upstream, "WSR_CONFIG_FILE=" + path})
	var said []string
	for _, ch := range changes {
		said = append(said, fmt.Sprintf("%s %s → %s %s", ch.Name, ch.From, ch.To, ch.Reach))
	}
	return next, said, err
}

func TestReload(t *testing.T) {
	path := settingsFile(t, "WSR_SESSION_TTL=1m")
	c := mustLoad(t, "WSR_CONFIG_FILE="+path)
	step := func(want []string, lines ...string) {
		t.Helper()
		next, said, err := reload(t, c, path, lines...)
		if err != nil || !slices.Equal(said, want) {
			t.Fatalf("%q: %q, %v\nwant %q", lines, said, err, want)
		}
		c = next
	}
	step(nil, "WSR_SESSION_TTL=60s", "WSR_HEARTBEAT_BASE=5s") // the same in other words
	step([]string{"WSR_WINDOW_BYTES 1MiB → 2MiB new sessions", "WSR_HEARTBEAT_BASE 5s → 2s at once"},
		"WSR_SESSION_TTL=1m", "WSR_HEARTBEAT_BASE=2s", "WSR_WINDOW_BYTES=2MiB")
	if c.HeartbeatBase != 2*time.Second || c.WindowBytes != 2<<20 {
		t.Errorf("base %v, window %v in force", c.HeartbeatBase, c.WindowBytes)
	}
	step([]string{"WSR_SESSION_TTL 1m → 2m -", "WSR_WINDOW_BYTES 2MiB → 1MiB new sessions"}, "WSR_SESSION_TTL=2m", "WSR_HEARTBEAT_BASE=2s")
	if c.SessionTTL != time.Minute {
		t.Errorf("TTL %v, want that which runs", c.SessionTTL)
	}
	step(nil, "WSR_SESSION_TTL=2m", "WSR_HEARTBEAT_BASE=2s") // it is said once
	step([]string{"WSR_SESSION_TTL 2m → 1m -"}, "WSR_SESSION_TTL=1m", "WSR_HEARTBEAT_BASE=2s")
	step([]string{"WSR_HEARTBEAT_BASE 2s → 5s at once", "WSR_SNAPSHOT_RULES not set → {} new sessions"}, "WSR_SESSION_TTL=1m", "WSR_SNAPSHOT_RULES={}")
}

func TestReloadIsRefusedAsAWhole(t *testing.T) {
	path := settingsFile(t, "WSR_SESSION_TTL=20s")
	c := mustLoad(t, "WSR_CONFIG_FILE="+path)
	for _, tt := range []struct {
		want  string
		lines []string
	}{
		{"WSR_HEARTBEAT_BASE=\"5\"", []string{"WSR_HEARTBEAT_BASE=5", "WSR_HEARTBEAT_MISSES=9"}},
		{"the usual time between heartbeats is above the most", []string{"WSR_HEARTBEAT_BASE=30s", "WSR_SESSION_TTL=20s"}},
		// Each is right by itself, and the TTL of 2m would allow for it; but 20s runs.
		{"what needs a restart counts as it runs", []string{"WSR_HEARTBEAT_MAX=1m", "WSR_SESSION_TTL=2m"}},
	} {
		next, _, err := reload(t, c, path, tt.lines...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || next != nil {
			t.Errorf("%q: %v, want %s", tt.lines, err, tt.want)
		}
	}
	if c.HeartbeatMisses != 3 {
		t.Error("a refused file has changed something")
	}
}

// The content of a file of rules is part of the settings, and a secret is shown in
// no change.
func TestReloadFilesAndSecrets(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(rules, []byte(`{"a":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	path := settingsFile(t, "WSR_SNAPSHOT_RULES="+rules, "WSR_TOKEN_KEYS="+testKey('a'))
	c := mustLoad(t, "WSR_CONFIG_FILE="+path)
	if got := c.WatchedFiles(); !slices.Equal(got, []File{File(path), File(rules)}) {
		t.Errorf("watched are %v", got)
	}
	if err := os.WriteFile(rules, []byte(`{"b":22}`), 0o600); err != nil {
		t.Fatal(err)
	}
	next, said, err := reload(t, c, path, "WSR_SNAPSHOT_RULES="+rules, "WSR_TOKEN_KEYS="+testKey('b')+","+testKey('a'))
	if err != nil || len(said) != 2 || said[0] != "WSR_TOKEN_KEYS *** → *** at once" ||
		!strings.HasPrefix(said[1], "WSR_SNAPSHOT_RULES "+rules+" (7 bytes, sha256 ") || !strings.Contains(said[1], rules+" (8 bytes, sha256 ") {
		t.Errorf("%q, %v", said, err)
	}
	if string(next.Rules()) != `{"b":22}` || len(next.TokenKeys) != 2 {
		t.Errorf("rules %s and %d keys in force", next.Rules(), len(next.TokenKeys))
	}
	if _, said, err = reload(t, next, path, "WSR_SNAPSHOT_RULES="+rules); err != nil || !slices.Equal(said, []string{"WSR_TOKEN_KEYS *** → not set -"}) {
		t.Errorf("without keys: %q, %v; want that to need a restart", said, err)
	}
}

// TestReachesAreKnown: each setting says whom a change reaches, in a word that the
// documentation explains.
func TestReachesAreKnown(t *testing.T) {
	seen := map[Reach]int{}
	for _, f := range fields() {
		seen[f.reach]++
		if f.reach != ReachNone && f.reach.String() == ReachNone.String() {
			t.Errorf("%s: reload:%q is no reach", f.variable, string(f.reach))
		}
	}
	if len(seen) != 4 {
		t.Errorf("%v, want settings of each kind", seen)
	}
}
