package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPatterns(t *testing.T) {
	var ps Patterns
	if err := ps.UnmarshalText([]byte("/ws, /chat/")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"/ws": true, "/ws/": false, "/wss": false, "/chat": false, "/chat/": true, "/chat/a/b": true, "/": false, "": false,
	} {
		if ps.Match(path) != want {
			t.Errorf("Match(%q) = %v, want %v", path, !want, want)
		}
	}
	if !(Patterns{"*"}).Match("/any") {
		t.Error("* does not match")
	}
}

func TestUpstreamDial(t *testing.T) {
	for text, want := range map[string][2]string{
		"http://127.0.0.1:8080": {"tcp", "127.0.0.1:8080"},
		"http://app":            {"tcp", "app:80"},
		"http://[::1]:90/":      {"tcp", "[::1]:90"},
		"unix:/run/app.sock":    {"unix", "/run/app.sock"},
	} {
		var u Upstream
		if err := u.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if network, address := u.Dial(); [2]string{network, address} != want {
			t.Errorf("%s: %s %s, want %v", text, network, address, want)
		}
	}
	// The proxy is given the text, and takes no URL without a port.
	if got := mustLoad(t, "WSR_UPSTREAM=http://app").Upstream; got != "http://app:80" {
		t.Errorf("http://app is %s, want its port in it", got)
	}
}

func TestAddresses(t *testing.T) {
	for _, text := range []string{":1", "localhost:65535", "0.0.0.0:80", "[::]:80", "[fe80::1%eth0]:80", "my_app.ns.svc:80"} {
		var a Address
		if err := a.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"127.0.0.1 ::1":                "127.0.0.1",
		"127.0.0.1 fe80::1 2001:db8::": "2001:db8::",
		"::1 2001:db8::1 10.0.0.2":     "10.0.0.2",
		"169.254.1.1 192.168.0.2":      "192.168.0.2",
	} {
		var list []netip.Addr
		for s := range strings.FieldsSeq(text) {
			list = append(list, netip.MustParseAddr(s))
		}
		if got := firstAddress(list); got != want {
			t.Errorf("first address of %s: %s, want %s", text, got, want)
		}
	}
}

func TestAdvertise(t *testing.T) {
	for _, tt := range []struct{ environ, want string }{
		{"POD_IP=10.1.2.3", "10.1.2.3:15801"},
		{"POD_IP=fd00::7 WSR_LISTEN=[::]:80", "[fd00::7]:80"},
		{"POD_IP=10.1.2.3 WSR_LISTEN=127.0.0.1:80", "127.0.0.1:80"},
		{"POD_IP=10.1.2.3 WSR_ADVERTISE=pod-0.app:80", "pod-0.app:80"},
	} {
		if got := mustLoad(t, strings.Fields(tt.environ)...).Advertise; got != Address(tt.want) {
			t.Errorf("%s: advertises %s, want %s", tt.environ, got, tt.want)
		}
	}
}

func TestAdvertisePeerPort(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"cert", "key", "ca"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	peer := []string{"WSR_PEER_CERT=" + dir + "/cert", "WSR_PEER_KEY=" + dir + "/key", "WSR_PEER_CA=" + dir + "/ca", "POD_IP=10.1.2.3"}
	for _, tt := range []struct{ environ, want string }{
		{"", "10.1.2.3:15803"},
		{"WSR_PEER_LISTEN=10.7.7.7:99", "10.7.7.7:99"},
		{"WSR_LISTEN=10.7.7.7:80", "10.1.2.3:15803"},
		{"WSR_ADVERTISE=pod-0.app:80", "pod-0.app:80"},
	} {
		c := mustLoad(t, append(peer, strings.Fields(tt.environ)...)...)
		if !c.PeerTLS() || c.Advertise != Address(tt.want) || len(c.Warnings()) != 0 {
			t.Errorf("%s: advertises %s, want %s; warnings %q", tt.environ, c.Advertise, tt.want, c.Warnings())
		}
	}
}

func TestWarnings(t *testing.T) {
	nats := "WSR_NATS_URL=nats://n:4222"
	for environ, want := range map[string][]string{
		"WSR_LEASE_TTL=5s":                               nil, // one server elects nobody
		nats + " WSR_LEASE_TTL=12s":                      nil,
		nats + " WSR_LEASE_TTL=11s":                      {"WSR_LEASE_TTL"},
		nats + " WSR_SESSION_TTL=19s":                    {"WSR_SESSION_TTL"},
		"WSR_HEARTBEAT_MAX=30s":                          {"WSR_HEARTBEAT_MAX"},
		"WSR_HEARTBEAT_BASE=500ms":                       {"WSR_HEARTBEAT_BASE"},
		"WSR_PEER_LISTEN=:99":                            {"WSR_PEER_LISTEN"},
		nats + " WSR_LEASE_TTL=2s WSR_HEARTBEAT_MAX=60s": {"WSR_HEARTBEAT_MAX", "WSR_LEASE_TTL"},
	} {
		got := mustLoad(t, strings.Fields(environ)...).Warnings()
		if len(got) != len(want) {
			t.Errorf("%s: warnings %q, want %d", environ, got, len(want))
			continue
		}
		for i, name := range want {
			if !strings.HasPrefix(got[i], name) {
				t.Errorf("%s: warning %q, want one about %s", environ, got[i], name)
			}
		}
	}
}

func TestBinding(t *testing.T) {
	if got := mustLoad(t, "WSR_TOKEN_BIND=any-path,any-host").TokenBind; !slices.Equal(got, Binding{"any-host", "any-path"}) {
		t.Errorf("loosened: %q", got)
	}
	c := mustLoad(t, "WSR_TOKEN_BIND=cookie:sid, origin,header:x-user,Authorization,header:authorization-info")
	if got := c.TokenBind.String(); got != "cookie:sid,authorization,header:Authorization-Info,header:X-User" {
		t.Errorf("String() = %q", got)
	}
	if want := []string{"cookie:sid", "header:Authorization", "header:Authorization-Info", "header:X-User"}; !slices.Equal(c.TokenBind, want) {
		t.Errorf("entries %q, want %q", []string(c.TokenBind), want)
	}
	if got := mustLoad(t, "WSR_TOKEN_BIND=origin").TokenBind; len(got) != 0 {
		t.Errorf("origin, which is always bound to, became %q", got)
	}
}

// TestRules: inline on one line however it was laid out, and a file as it is.
func TestRules(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules")
	text := "{\n  \"version\": 1\n}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{text: `{"version":1}`, path: text, path + "\n": text} {
		c := mustLoad(t, "WSR_SNAPSHOT_RULES="+value)
		if got := string(c.Rules()); got != want || strings.Contains(string(c.SnapshotRules), "\n") {
			t.Errorf("%q: rules %q from %q, want %q", value, got, c.SnapshotRules, want)
		}
	}
	err := mustLoad(t, "WSR_SNAPSHOT_RULES={}").RulesProblem(errors.New("rule 1: no path"))
	var problems Problems
	if !errors.As(err, &problems) || problems[0].Error() != "WSR_SNAPSHOT_RULES: rule 1: no path" {
		t.Errorf("error %v, want a problem with WSR_SNAPSHOT_RULES alone", err)
	}
}

func FuzzBytes(f *testing.F) {
	for _, s := range []string{"0", "1MiB", "512KiB", "8388607TiB", "8388608TiB", "-1", "1MB", "B", "07KiB", "+1", "1_0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var b, again Bytes
		if b.UnmarshalText([]byte(s)) != nil {
			return
		}
		if b < 0 {
			t.Fatalf("%q is %d bytes", s, int64(b))
		}
		if err := again.UnmarshalText([]byte(b.String())); err != nil || again != b {
			t.Fatalf("%q is %d, prints as %s, which is %d (%v)", s, int64(b), b, int64(again), err)
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"5m", "1h30m", "100h", "50ms", "-1s", "0", "30", "1e9h", "NaN", "10m0.5s", "1h0m1s", "20m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseDuration(s)
		if model, modelErr := time.ParseDuration(s); err == nil && (modelErr != nil || model != d) {
			t.Fatalf("%q is %v, the standard library says %v, %v", s, d, model, modelErr)
		}
		if again, err := parseDuration(formatDuration(d)); err != nil || again != d {
			t.Fatalf("%v prints as %s, which is %v (%v)", d, formatDuration(d), again, err)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add(testKey('a'))
	f.Add(testKey('a') + "," + testKey('b'))
	f.Add(testKey('a') + "\n" + testKey('b') + "\n")
	f.Add("AAAA,,====")
	f.Add(strings.Repeat("-_", 22))
	f.Fuzz(func(t *testing.T, s string) {
		var keys, file Keys
		err := keys.UnmarshalText([]byte(s))
		if err != nil && len(s) > 40 && strings.Contains(err.Error(), s) {
			t.Fatalf("the error shows what was given: %v", err)
		}
		if err != nil {
			_ = file.fromFile([]byte(s))
			return
		}
		seen := map[string]bool{}
		for _, key := range keys {
			if len(key) != 32 || seen[string(key)] {
				t.Fatalf("%q gives a short key or one twice", s)
			}
			seen[string(key)] = true
		}
		if err := file.fromFile([]byte(strings.ReplaceAll(s, ",", "\n") + "\n")); err != nil || len(file) != len(keys) {
			t.Fatalf("%q one per line: %d keys, %v", s, len(file), err)
		}
	})
}

// FuzzLoad sets one variable to anything: no panic, an error names the
// variable, and what is accepted prints as something that is accepted again
// and means the same.
func FuzzLoad(f *testing.F) {
	list := fields()
	for i := range list {
		f.Add(uint(i), list[i].def)
		f.Add(uint(i), "\xff")
	}
	f.Add(uint(2), "a/b")
	for i := range list {
		switch list[i].variable {
		case "WSR_TOKEN_BIND":
			f.Add(uint(i), "origin, header:authorization,cookie:a,header:Authorization-X")
		case "WSR_SNAPSHOT_RULES":
			f.Add(uint(i), "{\n\"a\": [1, \"\u0085\"]}\n")
		case "WSR_RESUME_AUTH":
			f.Add(uint(i), "/a?b=%20")
		case "WSR_PLAIN_RESUME":
			f.Add(uint(i), "query:a")
		}
	}
	f.Fuzz(func(t *testing.T, index uint, value string) {
		fd := list[index%uint(len(list))]
		environ := []string{upstream, "POD_IP=10.1.2.3", fd.variable + "=" + value}
		c, err := Load(environ)
		if err != nil {
			if !strings.Contains(err.Error(), fd.variable) {
				t.Fatalf("the error does not name %s: %v", fd.variable, err)
			}
			return
		}
		if fd.secret || strings.Contains(value, "@") || value == "" {
			return
		}
		again, err := Load([]string{upstream, "POD_IP=10.1.2.3", fd.variable + "=" + fd.text(c)})
		if err != nil || fd.text(again) != fd.text(c) {
			t.Fatalf("%s=%q prints as %q, which is refused or another: %v", fd.variable, value, fd.text(c), err)
		}
	})
}

func TestProxies(t *testing.T) {
	for text, want := range map[string]string{
		"private": "private", " Private ": "private", "none": "none", "203.0.113.7": "203.0.113.7/32", "2001:db8::1": "2001:db8::1/128",
		"203.0.113.9/24, private,::1": "203.0.113.0/24,private,::1/128", "::ffff:10.0.0.1": "10.0.0.1/32", "private,private": "private,private",
	} {
		var p, again Proxies
		if err := p.UnmarshalText([]byte(text)); err != nil || p.String() != want {
			t.Errorf("%q: %q, %v; want %q", text, p, err, want)
		}
		if err := again.UnmarshalText([]byte(p.String())); err != nil || !slices.Equal(p, again) {
			t.Errorf("%q is read as %q, %v", p, again, err)
		}
	}
	for _, text := range []string{",", "10.0.0.0/33", "private,none", "none,", "nginx", "::ffff:10.0.0.0/104", strings.Repeat("private,", 9) + "private"} {
		var p Proxies
		if err := p.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken: %v", text, p)
		}
	}
}

func TestURLFolder(t *testing.T) {
	for text, want := range map[string]bool{
		"/.wsr/": true, "/": true, "/a-b/~c_d/.wsr/": true,
		"": false, ".wsr/": false, "/.wsr": false, "//a/": false, "/a b/": false, `/"/`: false, "/<x>/": false, "/a?b/": false, "/%41/": false,
	} {
		var f URLFolder
		if err := f.UnmarshalText([]byte(text)); (err == nil) != want || err == nil && f.String() != text {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestURLHosts(t *testing.T) {
	for text, want := range map[string]string{
		"feed.example.com": "feed.example.com", "Feed.Example.com:8443 , :15674": "feed.example.com:8443,:15674",
		"[::1]:80,10.0.0.1": "[::1]:80,10.0.0.1",
		"":                  "", ",": "", "a,": "", "wss://a": "", "a/b": "", "a b": "", "a:0": "", "a:65536": "", "a:x": "", "::1": "", "*.a": "", `a"`: "", "u@a": "", "a?b": "",
		strings.Repeat("a,", 32) + "a": "",
	} {
		var h URLHosts
		if err := h.UnmarshalText([]byte(text)); (err == nil) != (want != "") || err == nil && h.String() != want {
			t.Errorf("%q: %v, %v", text, h, err)
		}
	}
}
