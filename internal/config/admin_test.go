package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAdminSettingsAlone: a command that asks a running sidecar minds only what it
// needs.
func TestAdminSettingsAlone(t *testing.T) {
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "settings.env")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	token := file("0123456789abcdef\n")
	for _, tt := range []struct {
		name    string
		environ []string
		listen  Address
		drain   time.Duration
		warning string
		problem string
	}{
		{"nothing is set", nil, ":15802", 8 * time.Second, "", ""},
		{"elsewhere", []string{"WSR_ADMIN_LISTEN=127.0.0.1:9", "WSR_DRAIN_SECONDS=7"}, "127.0.0.1:9", 7 * time.Second, "", ""},
		{"what it does not need is wrong", []string{"WSR_UPSTREAM=x", "WSR_WINDOW_BYTES=no", "WSR_SNAPSHOT_RULES=/nowhere", "WSR_TOKEN_KEYS_FILE=/nowhere", "WSR_NOTHING=1", "WSR_TLS_CERT=/nowhere"}, ":15802", 8 * time.Second, "", ""},
		{"from the file", []string{"WSR_CONFIG_FILE=" + file("WSR_ADMIN_LISTEN=:8\nWSR_MAX_SESSIONS=no\n")}, ":8", 8 * time.Second, "", ""},
		{"a file that is none", []string{"WSR_CONFIG_FILE=" + file("hello\n"), "WSR_ADMIN_LISTEN=:8"}, ":8", 8 * time.Second, "line 1", ""},
		{"no file", []string{"WSR_CONFIG_FILE=/nowhere", "WSR_ADMIN_LISTEN=:8"}, ":8", 8 * time.Second, "/nowhere", ""},
		{"what it needs is wrong", []string{"WSR_ADMIN_LISTEN=x"}, "", 0, "", "WSR_ADMIN_LISTEN"},
		{"no token", []string{"WSR_ADMIN_TOKEN_FILE=/nowhere"}, "", 0, "", "WSR_ADMIN_TOKEN_FILE"},
		{"a token", []string{"WSR_ADMIN_TOKEN_FILE=" + token}, ":15802", 8 * time.Second, "", ""},
	} {
		c, err := LoadAdmin(tt.environ)
		if tt.problem != "" {
			if err == nil || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("%s: %v, want what is wrong with %s", tt.name, err, tt.problem)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if c.AdminListen != tt.listen || c.DrainTime() != tt.drain {
			t.Errorf("%s: %s and %v, want %s and %v", tt.name, c.AdminListen, c.DrainTime(), tt.listen, tt.drain)
		}
		if w := strings.Join(c.Warnings(), "\n"); !strings.Contains(w, tt.warning) || tt.warning == "" && w != "" {
			t.Errorf("%s: warnings %q, want %q", tt.name, w, tt.warning)
		}
		if tt.name == "a token" && c.OperatorToken() != "0123456789abcdef" {
			t.Errorf("the token is %q", c.OperatorToken())
		}
	}
}
