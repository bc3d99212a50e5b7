package config

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// upstream is the one setting that has to be there.
const upstream = "WSR_UPSTREAM=http://127.0.0.1:8080"

// testKey returns a valid key made from one letter.
func testKey(letter byte) string {
	key := bytes.Repeat([]byte{letter}, 32)
	key[0] = 'x'
	return base64.StdEncoding.EncodeToString(key)
}

func mustLoad(t *testing.T, environ ...string) *Config {
	t.Helper()
	c, err := Load(append([]string{upstream}, environ...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsAreThoseOfTheIssue(t *testing.T) {
	c := mustLoad(t, "POD_IP=10.1.2.3", "HOME=/root")
	got := []any{
		c.Listen, c.AdminListen, c.Advertise, c.DataDir, c.SessionTTL, c.SessionTTLGoingAway,
		c.WindowBytes, c.WindowMessages, c.MaxMessage, c.MemoryBudget, c.PersistAfter, c.PersistAway,
		c.HeartbeatBase, c.HeartbeatMin, c.HeartbeatMax, c.HeartbeatMisses,
		c.ResilientPaths.String(), c.Adopt, c.LogLevel, c.LogFormat, c.DrainTime(),
		c.Embedded(), c.NATSReplicas, c.TLSCert != "", c.KeysGenerated(), len(c.TokenKeys),
		c.LeaseTTL, c.StorePolicy, len(c.TokenBind), c.ResumeAuth, c.ReauthEvery, c.PlainResume,
		c.SnapshotRules, len(c.Rules()), c.AppProtocol, c.UpstreamRetry, c.PeerListen, c.PeerTLS(),
	}
	want := []any{
		Address(":15801"), Address(":15802"), Address("10.1.2.3:15801"), "/var/lib/wsresilience", 5 * time.Minute, 10 * time.Second,
		Bytes(1 << 20), 4096, Bytes(1 << 20), Bytes(512 << 20), 50 * time.Millisecond, 2 * time.Second,
		5 * time.Second, time.Second, 15 * time.Second, 3,
		"*", AdoptAuto, slog.LevelInfo, LogFormat(""), 8 * time.Second,
		true, 1, false, true, 1,
		20 * time.Second, StoreAvailable, 0, Path(""), time.Duration(0), PlainResume(""),
		Rules(""), 0, "auto", 30 * time.Second, Address(":15803"), false,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("defaults\n got %v\nwant %v", got, want)
	}
	if len(c.Warnings()) != 0 {
		t.Errorf("the defaults cause warnings: %q", c.Warnings())
	}
	if other := mustLoad(t); bytes.Equal(other.TokenKeys[0], c.TokenKeys[0]) {
		t.Error("two loads made the same random key")
	}
}

// TestDefaultsAreAllowed holds each default against its own bounds: Load
// trusts them.
func TestDefaultsAreAllowed(t *testing.T) {
	for _, f := range fields() {
		if f.doc == "" || f.standard() == "" {
			t.Errorf("%s: no text for the documentation", f.variable)
		}
		if f.def != "" {
			mustLoad(t, f.variable+"="+f.def)
		}
		if f.min != "" {
			for _, edge := range []string{f.min, f.max} {
				_, err := Load([]string{upstream, "WSR_NATS_URL=nats://n:4222", f.variable + "=" + edge})
				if err != nil && strings.Contains(err.Error(), "too ") {
					t.Errorf("%s=%s: the bound itself is refused: %v", f.variable, edge, err)
				}
			}
		}
	}
}

func TestExternalServer(t *testing.T) {
	c := mustLoad(t, "WSR_NATS_URL=nats://user:hunter2@n1:4222,tls://n2")
	if c.Embedded() || c.NATSReplicas != 3 {
		t.Errorf("embedded %v, replicas %d, want an external cluster with 3", c.Embedded(), c.NATSReplicas)
	}
	if got := string(c.NATSURL); got != "nats://user:hunter2@n1:4222,tls://n2" {
		t.Errorf("NATSURL is %q", got)
	}
	if got := c.NATSURL.String(); got != "nats://***@n1:4222,tls://n2" {
		t.Errorf("String() = %q", got)
	}
}

func TestKeysFromFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	text := testKey('a') + "\n\n" + testKey('b') + "," + testKey('c') + ",\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := mustLoad(t, "WSR_TOKEN_KEYS_FILE="+path)
	inline := mustLoad(t, "WSR_TOKEN_KEYS="+testKey('a')+","+testKey('b')+","+testKey('c'))
	if len(c.TokenKeys) != 3 || !reflect.DeepEqual(c.TokenKeys, inline.TokenKeys) || len(c.Warnings()) != 0 {
		t.Errorf("%d keys and warnings %q, want the three keys and no warning", len(c.TokenKeys), c.Warnings())
	}

	// A Kubernetes secret is mounted with 0644: that is said, not refused.
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	c = mustLoad(t, "WSR_TOKEN_KEYS_FILE="+path)
	if len(c.Warnings()) != 1 || !strings.Contains(c.Warnings()[0], "WSR_TOKEN_KEYS_FILE") {
		t.Errorf("warnings %q, want one about the mode", c.Warnings())
	}
}

// TestProblemsAreCollected: one start tells everything that is wrong.
func TestProblemsAreCollected(t *testing.T) {
	_, err := Load([]string{"WSR_SESSION_TTL=30", "WSR_ADOPT=maybe", "WSR_LISTN=:1", "WSR_WINDOW_MESSAGES=0"})
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error %v, want Problems", err)
	}
	var names []string
	for _, p := range problems {
		names = append(names, p.Names...)
	}
	slices.Sort(names)
	want := []string{"WSR_ADOPT", "WSR_LISTN", "WSR_SESSION_TTL", "WSR_UPSTREAM", "WSR_WINDOW_MESSAGES"}
	if !slices.Equal(names, want) {
		t.Errorf("problems with %v, want %v", names, want)
	}
	for _, line := range []string{
		`config: 5 settings are wrong:`,
		`WSR_SESSION_TTL="30": a number without a unit: write 30s or 30ms; allowed: a duration with its unit, such as 500ms, 30s, 5m, from 1s to 24h`,
		`WSR_ADOPT="maybe": unknown value; allowed: auto, always, never`,
		`WSR_LISTN: there is no such setting, did you mean WSR_LISTEN?`,
		`WSR_UPSTREAM: is required and not set; allowed: http://host:port, or unix:/path`,
		`WSR_WINDOW_MESSAGES="0": too small; allowed: a whole number, from 1 to 1048576`,
	} {
		if !strings.Contains(err.Error(), line) {
			t.Errorf("the error lacks %q:\n%v", line, err)
		}
	}
}

// TestServiceLinks: Kubernetes sets variables for a Service named wsr-relay.
func TestServiceLinks(t *testing.T) {
	mustLoad(t, "WSR_RELAY_SERVICE_HOST=10.0.0.1", "WSR_RELAY_SERVICE_PORT=80", "WSR_SERVICE_PORT_HTTP=80",
		"WSR_RELAY_PORT=tcp://10.0.0.1:80", "WSR_PORT_80_TCP=tcp://10.0.0.1:80", "WSR_RELAY_PORT_80_TCP_ADDR=10.0.0.1")
}

func TestNothingPrintsSecrets(t *testing.T) {
	key := testKey('k')
	raw := fmt.Sprint(bytes.Repeat([]byte{'k'}, 8))
	c := mustLoad(t, "WSR_TOKEN_KEYS="+key, "WSR_NATS_URL=nats://user:hunter2@n1:4222")
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		fmt.Fprintf(&out, verb+"\n", *c)
		fmt.Fprintf(&out, verb+verb+"\n", c.TokenKeys, c.NATSURL)
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	slog.New(slog.NewTextHandler(&out, nil)).Info("config", "config", *c, "keys", c.TokenKeys, "url", c.NATSURL)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("config", "config", *c, "keys", c.TokenKeys, "url", c.NATSURL)
	for _, s := range c.Effective() {
		fmt.Fprintln(&out, s)
	}
	for _, secret := range []string{"hunter2", key, key[4:20], raw[1 : len(raw)-1], "6b6b6b6b", "68756e746572"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the output shows %q:\n%s", secret, out.String())
		}
	}
}

func TestEffective(t *testing.T) {
	c := mustLoad(t, "WSR_SESSION_TTL=90m", "WSR_WINDOW_BYTES=65536", "WSR_LOG_LEVEL=debug", "WSR_TOKEN_KEYS="+testKey('k'))
	got := map[string]Setting{}
	for _, s := range c.Effective() {
		got[s.Name] = s
	}
	for _, want := range []Setting{
		{"WSR_SESSION_TTL", "1h30m", "5m", SourceEnv},
		{"WSR_WINDOW_BYTES", "64KiB", "1MiB", SourceEnv},
		{"WSR_LOG_LEVEL", "debug", "info", SourceEnv},
		{"WSR_TOKEN_KEYS", "***", "random, with a warning", SourceEnv},
		{"WSR_LISTEN", ":15801", ":15801", SourceDefault},
		{"WSR_NATS_REPLICAS", "1", "3, embedded 1", SourceDefault},
	} {
		if got[want.Name] != want {
			t.Errorf("%s: %+v, want %+v", want.Name, got[want.Name], want)
		}
	}
	if len(got) != len(fields()) {
		t.Errorf("%d settings, want %d", len(got), len(fields()))
	}
}

func TestCheckPayload(t *testing.T) {
	c := mustLoad(t)
	if err := c.CheckPayload(1 << 20); err != nil {
		t.Errorf("the defaults do not go with a NATS server's own: %v", err)
	}
	err := c.CheckPayload(1<<20 - 1)
	var problems Problems
	if !errors.As(err, &problems) || problems[0].Names[0] != "WSR_MAX_MESSAGE" {
		t.Errorf("error %v, want a problem with WSR_MAX_MESSAGE", err)
	}
}

func TestHelpNamesEverything(t *testing.T) {
	for _, f := range fields() {
		for _, text := range []string{Help(), Markdown()} {
			if !strings.Contains(text, f.variable) || !strings.Contains(text, f.allowed()) {
				t.Errorf("%s is missing in\n%s", f.variable, text)
			}
		}
	}
}
