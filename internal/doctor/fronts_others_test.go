//go:build nginx

package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// apacheFrame has the lines that docs/PROXIES.md names.
const apacheFrame = `ServerRoot DIR
PidFile DIR/pid
ErrorLog DIR/log
Listen ADDR
ServerName localhost
User nobody
Group nogroup
LoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authz_core_module MODULES/mod_authz_core.so
LoadModule proxy_module MODULES/mod_proxy.so
LoadModule proxy_http_module MODULES/mod_proxy_http.so
LoadModule headers_module MODULES/mod_headers.so
LoadModule alias_module MODULES/mod_alias.so
ProxyTimeout 75
ProxyPreserveHost On
MORE
ProxyPass "/ws" "http://UPSTREAM/ws" upgrade=websocket
ProxyPass "/" "http://UPSTREAM/"
`

// apacheModules is where Debian has them.
const apacheModules = "/usr/lib/apache2/modules"

// apache runs it, with lines replaced.
func apache(t *testing.T, upstream string, edits ...string) string {
	t.Helper()
	addr, dir := freeAddr(t), t.TempDir()
	file := filepath.Join(dir, "apache.conf")
	conf := edited(t, apacheFrame, edits)
	conf = strings.NewReplacer("ADDR", addr, "UPSTREAM", upstream, "MODULES", apacheModules, "MORE", "", "DIR", dir).Replace(conf)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, addr, "apache2", "-D", "FOREGROUND", "-f", file)
	return addr
}

const caddyFrame = `{
	admin off
	auto_https off
	persist_config off
	storage file_system DIR
	SERVERS
}
http://NAME:8080 {
	bind HOST
	SITE
	reverse_proxy UPSTREAM {
		PROXY
	}
}
`

// caddy runs it, with lines replaced.
func caddy(t *testing.T, upstream string, edits ...string) string {
	t.Helper()
	addr, dir := freeAddr(t), t.TempDir()
	host, _, _ := strings.Cut(addr, ":")
	file := filepath.Join(dir, "Caddyfile")
	conf := edited(t, caddyFrame, edits)
	conf = strings.NewReplacer("ADDR", addr, "HOST", host, "UPSTREAM", upstream, "NAME", "", "DIR", dir, "SERVERS", "", "SITE", "", "PROXY", "").Replace(conf)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, addr, "caddy", "run", "--config", file, "--adapter", "caddyfile")
	return addr
}

// edited replaces pieces of a configuration, each of which is there.
func edited(t *testing.T, conf string, edits []string) string {
	t.Helper()
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(conf, edits[i]) {
			t.Fatalf("no %q in the configuration", edits[i])
		}
	}
	return strings.NewReplacer(edits...).Replace(conf)
}

func viaApache(backend func(*testing.T) string, edits ...string) func(*testing.T) Options {
	return func(t *testing.T) Options { return full(apache(t, backend(t), edits...)) }
}

func viaCaddy(backend func(*testing.T) string, edits ...string) func(*testing.T) Options {
	return func(t *testing.T) Options { return full(caddy(t, backend(t), edits...)) }
}

// away is an app that nobody is.
func away(*testing.T) string { return "127.0.0.1:1" }

var plantedOthers = []plantedFront{
	{"Apache: no upgrade, app", viaApache(plainApp, " upgrade=websocket", ""), "upgrade-dropped", "upgrade=websocket"},
	{"Apache: no upgrade, sidecar", viaApache(usualSidecar, " upgrade=websocket", ""), "upgrade-dropped", "upgrade=websocket"},
	{"Apache: its own Host", viaApache(plainApp, "ProxyPreserveHost On", ""), "origin", "ProxyPreserveHost On"},
	{"Apache: Timeout and ProxyTimeout 3, app", viaApache(plainApp, "ProxyTimeout 75", "Timeout 3\nProxyTimeout 3"), "idle-cut", "ProxyTimeout 75"},
	{"Apache: Timeout 3, timeout=3 at ProxyPass, sidecar", viaApache(usualSidecar, "MORE", "Timeout 3", " upgrade=websocket", " upgrade=websocket timeout=3"), "idle-cut", "ProxyTimeout 75"},
	{"Apache: fields of 1000 bytes", viaApache(usualSidecar, "MORE", "LimitRequestFieldSize 1000"), "resume-headers", "LimitRequestFieldSize 8190"},
	{"Apache: fields of 2000 bytes", viaApache(plainApp, "MORE", "LimitRequestFieldSize 2000"), "headers-short", "LimitRequestFieldSize 8190"},
	{"Apache: offers dropped", viaApache(usualSidecar, "MORE", "RequestHeader unset Sec-WebSocket-Protocol"), "offer-stripped", "Sec-WebSocket"},
	{"Apache: redirect to https", viaApache(plainApp, "MORE", "LoadModule rewrite_module MODULES/mod_rewrite.so\nRewriteEngine On\nRewriteRule ^/ws https://localhost/ws [R=301,L]"), "redirect", "Redirect"},
	{"Apache: denied", viaApache(plainApp, "MORE", "<Location /ws>\nRequire all denied\n</Location>"), "forbidden", ""},
	{"Apache: app away", viaApache(away), "", ""},

	{"Caddy: a site of another name", viaCaddy(plainApp, "NAME", "example.com"), "upgrade-dropped", ""},
	{"Caddy: its own Host", viaCaddy(plainApp, "PROXY", "header_up Host {upstream_hostport}"), "origin", "header_up Host"},
	{"Caddy: every connection ends after 4 s, app", viaCaddy(plainApp, "PROXY", "stream_timeout 4s"), "", "stream_timeout"},
	{"Caddy: every connection ends after 4 s, sidecar", viaCaddy(usualSidecar, "PROXY", "stream_timeout 4s"), "", "stream_timeout"},
	{"Caddy: offers dropped", viaCaddy(usualSidecar, "PROXY", "header_up -Sec-WebSocket-Protocol"), "offer-stripped", "header_up"},
	{"Caddy: no extensions", func(t *testing.T) Options {
		o := full(caddy(t, plainApp(t), "PROXY", "header_up -Sec-WebSocket-Extensions"))
		o.Compression = true
		return o
	}, "compression-lost", ""},
	{"Caddy: redirect to https", viaCaddy(plainApp, "SITE", "redir https://{host}{uri} permanent"), "redirect", "http://"},
	{"Caddy: forbidden", viaCaddy(plainApp, "SITE", "respond /ws 403"), "forbidden", ""},
	{"Caddy: another handler", viaCaddy(plainApp, "SITE", "respond /ws home 200"), "upgrade-dropped", ""},
	{"Caddy: HTTP/2 to the app", viaCaddy(usualSidecar, "PROXY", "transport http {\n versions h2c 2\n}"), "", ""},
	{"Caddy: app away", viaCaddy(away), "bad-gateway", "reverse_proxy"},
}

var soundOthers = map[string]func(*testing.T) Options{
	"Apache, app":            viaApache(plainApp),
	"Apache, sidecar":        viaApache(usualSidecar),
	"Apache, nginx, sidecar": viaApache(func(t *testing.T) string { return nginx(t, usualSidecar(t)) }),
	"Apache, mod_proxy_wstunnel, app": viaApache(plainApp,
		"MORE", "LoadModule proxy_wstunnel_module MODULES/mod_proxy_wstunnel.so", `"http://UPSTREAM/ws" upgrade=websocket`, `"ws://UPSTREAM/ws"`),
	"Apache, ProxyTimeout 3 and the usual Timeout, app": viaApache(plainApp, "ProxyTimeout 75", "ProxyTimeout 3"),
	"Apache, Header unset, which 101 is not, sidecar":   viaApache(usualSidecar, "MORE", "Header unset Sec-WebSocket-Protocol"),
	"Caddy, header_down, which 101 is not, sidecar":     viaCaddy(usualSidecar, "PROXY", "header_down -Sec-WebSocket-Protocol"),

	"Caddy, app":              viaCaddy(plainApp),
	"Caddy, sidecar":          viaCaddy(usualSidecar),
	"Caddy, HAProxy, sidecar": viaCaddy(func(t *testing.T) string { return haproxy(t, usualSidecar(t)) }),
	"HAProxy, Caddy, app":     viaHAProxy(func(t *testing.T) string { return caddy(t, plainApp(t)) }),
}
