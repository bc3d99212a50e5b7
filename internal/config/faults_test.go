package config

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFaults are the rows E of docs/ATTACKS.md: what is given, and what the
// error must say. E12 is proxy's TestCertificateReload.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	k1, k2 := testKey('a'), testKey('b')
	peer := "WSR_PEER_CERT=" + file("pc", "x", 0o644) + " WSR_PEER_KEY=" + file("pk", "x", 0o600) + " WSR_PEER_CA=" + file("pa", "x", 0o644)
	zero := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

	for _, tt := range []struct {
		row  string
		give string   // one variable, or several separated by a space
		want []string // what the error names and says
	}{
		{"E01 empty", "WSR_UPSTREAM=", []string{"WSR_UPSTREAM", "is set but empty"}},
		{"E01 empty with a default", "WSR_SESSION_TTL=", []string{"WSR_SESSION_TTL", "is set but empty", "(5m)"}},
		{"E01 empty secret", "WSR_TOKEN_KEYS=", []string{"WSR_TOKEN_KEYS", "is set but empty"}},
		{"E01 white space", "WSR_UPSTREAM=\t", []string{"WSR_UPSTREAM", "only white space"}},
		{"E01 line break", "WSR_UPSTREAM=http://a:1\n", []string{"WSR_UPSTREAM", "ends with a line break"}},

		{"E02 no unit", "WSR_SESSION_TTL=30", []string{"WSR_SESSION_TTL", "write 30s or 30ms"}},
		{"E02 space", "WSR_SESSION_TTL=30s\u00a0", []string{"WSR_SESSION_TTL", "white space around it"}},
		{"E02 negative", "WSR_SESSION_TTL=-1s", []string{"WSR_SESSION_TTL", "too small", "from 1s"}},
		{"E02 zero", "WSR_PERSIST_AFTER=0s", []string{"WSR_PERSIST_AFTER", "too small"}},
		{"E02 huge", "WSR_SESSION_TTL=1e9h", []string{"WSR_SESSION_TTL", "not a duration"}},
		{"E02 overflow", "WSR_SESSION_TTL=9999999999h", []string{"WSR_SESSION_TTL", "not a duration"}},
		{"E02 NaN", "WSR_SESSION_TTL=NaN", []string{"WSR_SESSION_TTL", "without a unit"}},
		{"E02 bytes overflow", "WSR_MEMORY_BUDGET=99999999TiB", []string{"WSR_MEMORY_BUDGET", "too large"}},
		{"E02 ambiguous bytes", "WSR_MEMORY_BUDGET=1MB", []string{"WSR_MEMORY_BUDGET", "not an amount", "MiB"}},

		{"E04 port 0", "WSR_LISTEN=:0", []string{"WSR_LISTEN", "1 to 65535"}},
		{"E04 port 65536", "WSR_LISTEN=:65536", []string{"WSR_LISTEN", "1 to 65535"}},
		{"E04 two colons", "WSR_LISTEN=:8080:", []string{"WSR_LISTEN", "not host:port"}},
		{"E04 bare IPv6", "WSR_LISTEN=::1:8080", []string{"WSR_LISTEN", "not host:port"}},
		{"E04 no port", "WSR_ADMIN_LISTEN=localhost", []string{"WSR_ADMIN_LISTEN", "not host:port"}},
		{"E04 both ports", "WSR_LISTEN=:9000 WSR_ADMIN_LISTEN=127.0.0.1:9000", []string{"WSR_LISTEN", "WSR_ADMIN_LISTEN", "same port"}},
		{"E04 nowhere", "WSR_ADVERTISE=0.0.0.0:15801", []string{"WSR_ADVERTISE", "one host"}},
		{"E04 long", "WSR_ADVERTISE=" + strings.Repeat("a", 125) + ":15801", []string{"WSR_ADVERTISE", "128 bytes"}},

		{"E05 own port", "WSR_UPSTREAM=http://localhost:15801", []string{"WSR_UPSTREAM", "WSR_LISTEN", "call itself"}},
		{"E05 own port, IPv6", "WSR_UPSTREAM=http://[::1]:15801", []string{"WSR_UPSTREAM", "call itself"}},
		{"E05 all addresses", "WSR_UPSTREAM=http://0.0.0.0:15801", []string{"WSR_UPSTREAM", "call itself"}},
		{"E05 own address", "WSR_LISTEN=10.0.0.5:80 WSR_UPSTREAM=http://10.0.0.5", []string{"WSR_UPSTREAM", "call itself"}},
		{"E05 pod address", "POD_IP=10.9.9.9 WSR_UPSTREAM=http://10.9.9.9:15801", []string{"WSR_UPSTREAM", "call itself"}},
		{"E05 advertised", "WSR_ADVERTISE=app:80 WSR_UPSTREAM=http://app", []string{"WSR_UPSTREAM", "WSR_ADVERTISE", "call itself"}},
		{"E05 admin", "WSR_UPSTREAM=http://127.0.0.1:15802", []string{"WSR_UPSTREAM", "WSR_ADMIN_LISTEN", "call itself"}},
		{"E05 credentials", "WSR_UPSTREAM=http://bob:hunter2@a:1", []string{"WSR_UPSTREAM", `"***@a:1"`, "credentials"}},
		{"E05 relative socket", "WSR_UPSTREAM=unix:app.sock", []string{"WSR_UPSTREAM", "not absolute"}},
		{"E05 scheme", "WSR_UPSTREAM=https://a:1", []string{"WSR_UPSTREAM", "not http"}},
		{"E05 path", "WSR_UPSTREAM=http://a:1/base", []string{"WSR_UPSTREAM", "path or query"}},
		{"E05 port", "WSR_UPSTREAM=http://a:99999", []string{"WSR_UPSTREAM", "1 to 65535"}},
		{"E05 no scheme", "WSR_UPSTREAM=127.0.0.1:8080", []string{"WSR_UPSTREAM", "allowed: http://host:port"}},

		{"E06 typing error", "WSR_HEARTBEAT_MISES=3", []string{"WSR_HEARTBEAT_MISES", "did you mean WSR_HEARTBEAT_MISSES?"}},
		{"E06 nothing near", "WSR_FLUX_CAPACITOR=1", []string{"WSR_FLUX_CAPACITOR: there is no such setting"}},

		{"E07 window", "WSR_WINDOW_BYTES=2MiB WSR_MEMORY_BUDGET=1MiB WSR_MAX_MESSAGE=1MiB", []string{"WSR_WINDOW_BYTES is 2MiB", "WSR_MEMORY_BUDGET is 1MiB"}},
		{"E07 message", "WSR_MAX_MESSAGE=1GiB", []string{"WSR_MAX_MESSAGE", "WSR_MEMORY_BUDGET is 512MiB by default"}},
		{"E07 TTL", "WSR_SESSION_TTL=10s", []string{"WSR_SESSION_TTL is 10s", "WSR_HEARTBEAT_MAX is 15s by default"}},
		{"E07 going away", "WSR_SESSION_TTL_GOING_AWAY=10m", []string{"WSR_SESSION_TTL_GOING_AWAY", "WSR_SESSION_TTL"}},
		{"E07 min above max", "WSR_HEARTBEAT_MIN=20s", []string{"WSR_HEARTBEAT_MIN is 20s", "WSR_HEARTBEAT_MAX"}},
		{"E07 base above max", "WSR_HEARTBEAT_BASE=20s", []string{"WSR_HEARTBEAT_BASE", "WSR_HEARTBEAT_MAX"}},
		{"E07 certificate only", "WSR_TLS_CERT=" + file("cert", "x", 0o644), []string{"WSR_TLS_CERT", "WSR_TLS_KEY"}},
		{"E07 replicas", "WSR_NATS_REPLICAS=3", []string{"WSR_NATS_REPLICAS", "WSR_NATS_URL", "embedded"}},
		{"E07 two logins", "WSR_NATS_URL=nats://n WSR_NATS_CREDS=" + file("c", "x", 0o600) + " WSR_NATS_NKEY=" + file("n", "x", 0o600), []string{"WSR_NATS_CREDS", "WSR_NATS_NKEY"}},
		{"E07 two key lists", "WSR_TOKEN_KEYS=" + k1 + " WSR_TOKEN_KEYS_FILE=" + file("k", k2, 0o600), []string{"WSR_TOKEN_KEYS", "WSR_TOKEN_KEYS_FILE"}},

		{"E08 31 bytes", "WSR_TOKEN_KEYS=" + k1[:41] + "=", []string{"WSR_TOKEN_KEYS=*** (42 bytes)", "key 1"}},
		{"E08 second is bad", "WSR_TOKEN_KEYS=" + k1 + ",hunter2", []string{"WSR_TOKEN_KEYS", "key 2"}},
		{"E08 line break", "WSR_TOKEN_KEYS=" + k1[:20] + "\n" + k1[20:], []string{"WSR_TOKEN_KEYS", "control character"}},
		{"E08 cut line in a file", "WSR_TOKEN_KEYS_FILE=" + file("cut", k1[:20]+"\n"+k1[20:], 0o600), []string{"WSR_TOKEN_KEYS_FILE", "key 1"}},
		{"E08 stray bits", "WSR_TOKEN_KEYS=" + k1[:42] + "h=", []string{"WSR_TOKEN_KEYS", "not base64"}},
		{"E08 all zero", "WSR_TOKEN_KEYS=" + zero, []string{"WSR_TOKEN_KEYS", "over and over"}},
		{"E08 twice", "WSR_TOKEN_KEYS=" + k1 + "," + k2 + "," + k1, []string{"WSR_TOKEN_KEYS", "key 3 is the same as key 1"}},
		{"E08 many", "WSR_TOKEN_KEYS=" + strings.Repeat(",", 16), []string{"WSR_TOKEN_KEYS", "at most 16"}},
		{"E08 file missing", "WSR_TOKEN_KEYS_FILE=" + dir + "/none", []string{"WSR_TOKEN_KEYS_FILE", "no such file"}},
		{"E08 file empty", "WSR_TOKEN_KEYS_FILE=" + file("e", "\n\n", 0o600), []string{"WSR_TOKEN_KEYS_FILE", "holds no key"}},
		{"E08 file of everybody", "WSR_TOKEN_KEYS_FILE=" + file("w", k1, 0o666), []string{"WSR_TOKEN_KEYS_FILE", "0666"}},
		{"E08 folder", "WSR_TOKEN_KEYS_FILE=" + dir, []string{"WSR_TOKEN_KEYS_FILE", "not a regular file"}},
		{"E08 pipe", "WSR_TOKEN_KEYS_FILE=" + fifo, []string{"WSR_TOKEN_KEYS_FILE", "not a regular file"}},

		{"E09 url", "WSR_NATS_URL=nats://bob:hunter2@n:1/x", []string{"WSR_NATS_URL", `"***@n:1/x"`}},
		{"E09 broken url", "WSR_NATS_URL=nats://bob:hun,hunter2/%@n", []string{"WSR_NATS_URL", `"***@n"`}},

		{"E11 1 MiB", "WSR_RESILIENT_PATHS=/" + strings.Repeat("a", 1<<20), []string{"WSR_RESILIENT_PATHS", "longer than 64KiB"}},
		{"E11 UTF-8", "WSR_DATA_DIR=/\xff", []string{"WSR_DATA_DIR", "UTF-8"}},
		{"E11 NUL", "WSR_DATA_DIR=/a\x00b", []string{"WSR_DATA_DIR", "control character"}},
		{"E11 NUL in a file", "WSR_TOKEN_KEYS_FILE=" + file("0", k1+"\x00", 0o600), []string{"WSR_TOKEN_KEYS_FILE", "key 1"}},
		{"E11 large file", "WSR_TOKEN_KEYS_FILE=" + file("l", strings.Repeat("a", 1<<20), 0o600), []string{"WSR_TOKEN_KEYS_FILE", "larger than 64KiB"}},

		{"drain with a unit", "WSR_DRAIN_SECONDS=25s", []string{"WSR_DRAIN_SECONDS", "not a whole number", "from 1 to 3600"}},
		{"lease", "WSR_LEASE_TTL=1s", []string{"WSR_LEASE_TTL", "too small", "from 2s"}},
		{"policy", "WSR_STORE_POLICY=maybe", []string{"WSR_STORE_POLICY", "available, strict"}},
		{"retry", "WSR_UPSTREAM_RETRY=11m", []string{"WSR_UPSTREAM_RETRY", "too large", "to 10m"}},
		{"binding", "WSR_TOKEN_BIND=authorization,sid", []string{"WSR_TOKEN_BIND", "entry 2 is none", "cookie:NAME"}},
		{"binding loosened, app asked", "WSR_TOKEN_BIND=any-path WSR_RESUME_AUTH=/may", []string{"WSR_TOKEN_BIND", "WSR_RESUME_AUTH", "could not be asked"}},
		{"binding without a name", "WSR_TOKEN_BIND=cookie:", []string{"WSR_TOKEN_BIND", "entry 1 does not name a cookie"}},
		{"binding, no header name", "WSR_TOKEN_BIND=header:a/b", []string{"WSR_TOKEN_BIND", "entry 1 does not name a header field"}},
		{"binding twice", "WSR_TOKEN_BIND=authorization,header:AUTHORIZATION", []string{"WSR_TOKEN_BIND", "entry 2 is there twice"}},
		{"binding to all cookies", "WSR_TOKEN_BIND=header:cookie", []string{"WSR_TOKEN_BIND", "changes with any cookie"}},
		{"binding to the handshake", "WSR_TOKEN_BIND=header:sec-websocket-key", []string{"WSR_TOKEN_BIND", "part of the handshake"}},
		{"binding, many", "WSR_TOKEN_BIND=" + strings.Repeat(",", 16), []string{"WSR_TOKEN_BIND", "at most 16"}},
		{"asked again, nobody to ask", "WSR_REAUTH_EVERY=5m", []string{"WSR_REAUTH_EVERY", "WSR_RESUME_AUTH", "nobody could be asked"}},
		{"asked again, all the time", "WSR_REAUTH_EVERY=10ms WSR_RESUME_AUTH=/may", []string{"WSR_REAUTH_EVERY", "more than once a second"}},
		{"auth, relative", "WSR_RESUME_AUTH=me", []string{"WSR_RESUME_AUTH", "does not start with /"}},
		{"auth, URL", "WSR_RESUME_AUTH=http://app/me", []string{"WSR_RESUME_AUTH", "does not start with /"}},
		{"auth, host", "WSR_RESUME_AUTH=//app/me", []string{"WSR_RESUME_AUTH", "host"}},
		{"auth, fragment", "WSR_RESUME_AUTH=/me#x", []string{"WSR_RESUME_AUTH", "fragment"}},
		{"auth, not ASCII", "WSR_RESUME_AUTH=/m\u00e9", []string{"WSR_RESUME_AUTH", "percent-encoded"}},
		{"auth, bad escape", "WSR_RESUME_AUTH=/%zz", []string{"WSR_RESUME_AUTH", "percent-encoded"}},
		{"plain resume", "WSR_PLAIN_RESUME=header:x", []string{"WSR_PLAIN_RESUME", "query:NAME or cookie:NAME"}},
		{"plain resume, cookie", "WSR_PLAIN_RESUME=cookie:a;b", []string{"WSR_PLAIN_RESUME", "cookie"}},
		{"plain resume, query", "WSR_PLAIN_RESUME=query:a=b", []string{"WSR_PLAIN_RESUME", "query parameter"}},
		{"rules, not JSON", "WSR_SNAPSHOT_RULES={rules}", []string{"WSR_SNAPSHOT_RULES", "not JSON", "path of a readable file"}},
		{"rules, no file", "WSR_SNAPSHOT_RULES=" + dir + "/none", []string{"WSR_SNAPSHOT_RULES", "no such file"}},
		{"rules, large file", "WSR_SNAPSHOT_RULES=" + file("r", strings.Repeat("a", 1<<20), 0o644), []string{"WSR_SNAPSHOT_RULES", "larger than 64KiB"}},
		{"peer certificate only", "WSR_PEER_CERT=" + file("pc", "x", 0o644), []string{"WSR_PEER_CERT", "WSR_PEER_KEY is not set", "WSR_PEER_CA"}},
		{"peer without authority", "WSR_PEER_CERT=" + file("pc", "x", 0o644) + " WSR_PEER_KEY=" + file("pk", "x", 0o600), []string{"WSR_PEER_CA is not set"}},
		{"peer without certificate", "WSR_PEER_CA=" + file("pa", "x", 0o644), []string{"WSR_PEER_CERT is not set"}},
		{"peer port", peer + " WSR_PEER_LISTEN=:15801", []string{"WSR_LISTEN", "WSR_PEER_LISTEN", "same port"}},
		{"peer port, app", peer + " WSR_UPSTREAM=http://localhost:15803", []string{"WSR_UPSTREAM", "WSR_PEER_LISTEN", "call itself"}},

		{"pattern", "WSR_RESILIENT_PATHS=/a,chat", []string{"WSR_RESILIENT_PATHS", "pattern 2"}},
		{"wildcard", "WSR_RESILIENT_PATHS=/a/*", []string{"WSR_RESILIENT_PATHS", "/chat/"}},
		{"level", "WSR_LOG_LEVEL=info+1", []string{"WSR_LOG_LEVEL", "debug, info, warn, error"}},
		{"number", "WSR_HEARTBEAT_MISSES=3.5", []string{"WSR_HEARTBEAT_MISSES", "not a whole number"}},
	} {
		t.Run(tt.row, func(t *testing.T) {
			_, err := Load(append([]string{upstream}, strings.Split(tt.give, " ")...))
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), k1[:20]) || strings.Contains(err.Error(), zero) {
				t.Errorf("the error shows a secret: %v", err)
			}
			for _, text := range tt.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error lacks %q: %v", text, err)
				}
			}
			if strings.Count(err.Error(), "\n") != 1 {
				t.Errorf("one fault, and not exactly one problem: %v", err)
			}
		})
	}
}
