//go:build nginx

package doctor

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/proxy"
)

// patience bounds how long a proxy may take to start and to stop.
const patience = 30 * time.Second

// nginxFrame is around the part that docs/PROXIES.md shows.
const nginxFrame = `daemon off;
worker_processes 1;
pid DIR/nginx.pid;
error_log DIR/log info;
events { worker_connections 512; }
MAIN
http {
	access_log off;
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
HTTP
}
`

var nginxBlock = regexp.MustCompile("(?ms)^```nginx\n(.*?)^```$")

// nginx runs the documented configuration, with lines replaced, before upstream.
func nginx(t *testing.T, upstream string, edits ...string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/PROXIES.md")
	if err != nil {
		t.Fatal(err)
	}
	addr, dir := freeAddr(t), t.TempDir()
	conf := nginxBlock.FindStringSubmatch(string(page))[1]
	for i, e := range append([]string{"listen 80;", "listen " + addr + ";", "server my-app:80;", "server " + upstream + ";"}, edits...) {
		if i%2 == 0 && !strings.Contains(conf, e) {
			t.Fatalf("no %q in the documented configuration", e)
		}
	}
	conf = strings.NewReplacer(append([]string{"listen 80;", "listen " + addr + ";", "server my-app:80;", "server " + upstream + ";"}, edits...)...).Replace(conf)
	inMain, inHTTP, _ := strings.Cut(conf, "\n\n")
	file := filepath.Join(dir, "nginx.conf")
	text := strings.NewReplacer("DIR", dir, "MAIN", inMain, "HTTP", strings.ReplaceAll(inHTTP, "DIR", dir)).Replace(nginxFrame)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, addr, "nginx", "-p", dir, "-e", filepath.Join(dir, "log"), "-c", file)
	return addr
}

// haproxyFrame has the lines that docs/PROXIES.md names.
const haproxyFrame = `global
	maxconn 512
	MORE
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
	timeout tunnel 75s
	option forwardfor
frontend f
	bind ADDR
	default_backend b
backend b
	server s UPSTREAM OPTIONS
`

// haproxy runs it, with lines replaced.
func haproxy(t *testing.T, upstream string, edits ...string) string {
	t.Helper()
	addr, dir := freeAddr(t), t.TempDir()
	file := filepath.Join(dir, "haproxy.cfg")
	text := strings.NewReplacer(append(edits, "ADDR", addr, "UPSTREAM", upstream, "MORE", "", "OPTIONS", "")...).Replace(haproxyFrame)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, addr, "haproxy", "-db", "-f", file)
	return addr
}

func run(t *testing.T, addr, name string, args ...string) {
	t.Helper()
	bin, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: install it (apt-get install %s; make doctor-cases builds caddy and traefik)", name, name)
	}
	var starter proc.Starter
	cmd := exec.Command(bin, args...)
	cmd.Dir = t.TempDir() // what a proxy leaves behind goes there
	p, err := starter.Start(name, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Log(p.Log())
		}
	})
	err = proc.Until(t.Context(), patience, 5*time.Millisecond, func() bool { return p.Ended() || proc.Listens(addr) })
	if err != nil || p.Ended() {
		t.Fatalf("%s does not listen: %v\n%s", name, err, p.Log())
	}
}

// hosts counts the addresses of loopback that proxies have.
var hosts atomic.Uint32

// freeAddr is an address that no other test's server gets meanwhile: a proxy takes a
// while to start.
func freeAddr(t *testing.T) string {
	t.Helper()
	n, pid := hosts.Add(1), os.Getpid()
	if n > 250 {
		t.Fatal("more proxies than addresses")
	}
	return fmt.Sprintf("127.%d.%d.%d:8080", 1+pid>>8%250, pid%256, n)
}

// usual are the sidecar's own heartbeats.
func usual(c *proxy.Config) { c.Heartbeat = heartbeat.Config{} }

func viaNginx(backend func(*testing.T) string, edits ...string) func(*testing.T) Options {
	return func(t *testing.T) Options { return full(nginx(t, backend(t), edits...)) }
}

func viaHAProxy(backend func(*testing.T) string, edits ...string) func(*testing.T) Options {
	return func(t *testing.T) Options { return full(haproxy(t, backend(t), edits...)) }
}

// full is what users have with -quick.
func full(addr string) Options {
	return Options{URL: "ws://" + addr + "/ws", Quick: true, UserAgent: "test"}
}

func usualSidecar(t *testing.T) string { return startSidecar(t, plainApp(t), usual) }

// A plantedFront is a proxy that is set wrongly.
type plantedFront struct {
	name  string
	stage func(*testing.T) Options
	want  string // the finding; "": any
	set   string // part of a line that is to be set
}

var plantedFronts = []plantedFront{
	{"nginx: HTTP/1.0, app", viaNginx(plainApp, "proxy_http_version 1.1;", "proxy_http_version 1.0;"), "http-version", "proxy_http_version 1.1;"},
	{"nginx: HTTP/1.0, sidecar", viaNginx(usualSidecar, "proxy_http_version 1.1;", "proxy_http_version 1.0;"), "http-version", "proxy_http_version 1.1;"},
	{"nginx: no Upgrade", viaNginx(plainApp, "proxy_set_header Upgrade $http_upgrade;", ""), "upgrade-dropped", "proxy_set_header Upgrade $http_upgrade;"},
	{"nginx: no Connection", viaNginx(usualSidecar, "proxy_set_header Connection $connection_upgrade;", ""), "upgrade-dropped", "proxy_set_header Connection"},
	{"nginx: its own Host", viaNginx(plainApp, "proxy_set_header Host $http_host;", ""), "origin", "proxy_set_header Host $http_host;"},
	{"nginx: read timeout 5s, app", viaNginx(plainApp, "proxy_read_timeout 75s;", "proxy_read_timeout 5s;"), "idle-cut", "proxy_read_timeout 75s;"},
	{"nginx: read timeout 3s, sidecar", viaNginx(usualSidecar, "proxy_read_timeout 75s;", "proxy_read_timeout 3s;"), "idle-cut", "proxy_read_timeout 75s;"},
	{"nginx: buffers of 1k", viaNginx(usualSidecar, "large_client_header_buffers 4 8k;", "large_client_header_buffers 4 1k;"), "resume-headers", "large_client_header_buffers 4 8k;"},
	{"nginx: buffers of 2k", viaNginx(plainApp, "large_client_header_buffers 4 8k;", "large_client_header_buffers 4 2k;"), "headers-short", "large_client_header_buffers 4 8k;"},
	{"nginx: offers dropped", viaNginx(usualSidecar, "proxy_send_timeout 75s;", "proxy_set_header Sec-WebSocket-Protocol '';"), "offer-stripped", "proxy_set_header Sec-WebSocket-Protocol"},
	{"nginx: redirect to https", viaNginx(plainApp, "location / {", "return 301 https://$host$request_uri; location / {"), "redirect", "return 301"},
	{"nginx: Basic authentication", viaNginx(plainApp, "location / {", "location / { auth_basic x; auth_basic_user_file DIR/none;"), "authentication", ""},
	{"nginx: deny", viaNginx(plainApp, "location / {", "location / { deny all;"), "forbidden", ""},
	{"nginx: app away", viaNginx(func(*testing.T) string { return "127.0.0.1:1" }), "bad-gateway", "proxy_pass"},
	{"nginx: another location", viaNginx(plainApp, "location / {", "location = /ws { return 200 'home'; } location / {"), "upgrade-dropped", "proxy_set_header Upgrade"},
	{"nginx: TLS on this port", func(t *testing.T) Options {
		pair, dir := certs.SelfSigned("127.0.0.1"), t.TempDir()
		for name, p := range map[string][]byte{"cert": pair.Cert, "key": pair.Key} {
			if err := os.WriteFile(filepath.Join(dir, name), p, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return full(nginx(t, plainApp(t), "location / {", "ssl_certificate "+dir+"/cert; ssl_certificate_key "+dir+"/key; location / {", "large_client_header_buffers 4 8k;", "ssl on;"))
	}, "needs-tls", ""},
	{"nginx: four connections a client", viaNginx(plainApp, "upstream my-app {", "limit_conn_zone $binary_remote_addr zone=c:1m; upstream my-app {", "location / {", "limit_conn c 4; location / {"), "fails-at-times", ""},
	{"nginx: two handshakes a second", viaNginx(usualSidecar, "upstream my-app {", "limit_req_zone $binary_remote_addr zone=r:1m rate=2r/s; upstream my-app {", "location / {", "limit_req zone=r burst=6 nodelay; location / {"), "", ""},
	{"nginx: one and one more a minute, 429, sidecar", viaNginx(usualSidecar, "upstream my-app {", "limit_req_zone $binary_remote_addr zone=r:1m rate=1r/m; limit_req_status 429; upstream my-app {", "location / {", "limit_req zone=r burst=1 nodelay; location / {"), "fails-at-times", ""},
	{"HAProxy: three requests in ten seconds, sidecar", viaHAProxy(usualSidecar, "default_backend b", "stick-table type ip size 1k expire 10s store http_req_rate(10s)\n\thttp-request track-sc0 src\n\thttp-request deny deny_status 429 if { sc_http_req_rate(0) gt 3 }\n\tdefault_backend b"), "fails-at-times", ""},
	{"HAProxy: three requests in ten seconds, app", viaHAProxy(plainApp, "default_backend b", "stick-table type ip size 1k expire 10s store http_req_rate(10s)\n\thttp-request track-sc0 src\n\thttp-request deny deny_status 429 if { sc_http_req_rate(0) gt 3 }\n\tdefault_backend b"), "fails-at-times", ""},
	{"HAProxy: one connection to the server, app", viaHAProxy(plainApp, "OPTIONS", "maxconn 1", "timeout connect 5s", "timeout connect 5s\n\ttimeout queue 1s"), "fails-at-times", ""},
	{"HAProxy: timeout tunnel 3s", viaHAProxy(plainApp, "timeout tunnel 75s", "timeout tunnel 3s"), "idle-cut", "timeout tunnel 75s"},
	{"HAProxy: no tunnel, timeout client 2s", viaHAProxy(plainApp, "timeout tunnel 75s", "", "timeout client 30s", "timeout client 2s", "timeout server 30s", "timeout server 2s"), "idle-cut", "timeout tunnel"},
	{"HAProxy: small buffers", viaHAProxy(usualSidecar, "MORE", "tune.bufsize 2048\n\ttune.maxrewrite 512"), "", ""},
	{"HAProxy: Upgrade dropped", viaHAProxy(plainApp, "server s", "http-request del-header Upgrade\n\tserver s"), "upgrade-dropped", ""},
	{"HAProxy: redirect to https", viaHAProxy(plainApp, "default_backend", "redirect scheme https\n\tdefault_backend"), "redirect", ""},
	{"HAProxy: app away", viaHAProxy(func(*testing.T) string { return "127.0.0.1:1" }), "bad-gateway", "server"},
	{"HAProxy: a PROXY line", viaHAProxy(usualSidecar, "OPTIONS", "send-proxy"), "", ""},
	{"HAProxy: HTTP/2 to the app", viaHAProxy(usualSidecar, "OPTIONS", "proto h2"), "", ""},
	{"HAProxy: answers without a subprotocol", viaHAProxy(usualSidecar, "server s", "http-response del-header Sec-WebSocket-Protocol\n\tserver s"), "answer-stripped", "del-header"},
	{"HAProxy: no extensions", func(t *testing.T) Options {
		o := full(haproxy(t, plainApp(t), "server s", "http-request del-header Sec-WebSocket-Extensions\n\tserver s"))
		o.Compression = true
		return o
	}, "compression-lost", ""},
}

// TestPlantedFronts: doctor names the fault in a real proxy, and the line.
func TestPlantedFronts(t *testing.T) {
	t.Parallel()
	for _, c := range slices.Concat(plantedFronts, plantedOthers, plantedTraefik) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := examine(t, c.stage(t))
			bad := r.Bad()
			if len(bad) == 0 || (c.want != "" || c.set != "") && !slices.ContainsFunc(bad, func(f diagnosis.Finding) bool {
				return (c.want == "" || f.ID == c.want) && (c.set == "" || slices.ContainsFunc(f.Set, func(r diagnosis.Remedy) bool { return strings.Contains(r.Set, c.set) }))
			}) {
				t.Errorf("want %s:\n%s", c.want, said(r))
			}
			if c.want == "" {
				t.Log(said(r))
			}
		})
	}
}

// TestSoundFronts: none of a proxy that is set as docs/PROXIES.md says.
func TestSoundFronts(t *testing.T) {
	t.Parallel()
	stages := map[string]func(*testing.T) Options{
		"nginx, app":              viaNginx(plainApp),
		"nginx, sidecar":          viaNginx(usualSidecar),
		"HAProxy, app":            viaHAProxy(plainApp),
		"HAProxy, sidecar":        viaHAProxy(usualSidecar),
		"HAProxy, nginx, sidecar": viaHAProxy(func(t *testing.T) string { return nginx(t, usualSidecar(t)) }),
		"nginx, HAProxy, app":     viaNginx(func(t *testing.T) string { return haproxy(t, plainApp(t)) }),
	}
	maps.Copy(stages, soundOthers)
	maps.Copy(stages, soundTraefik)
	for name, stage := range stages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := stage(t)
			o.Echo = strings.HasSuffix(name, "app")
			if r := examine(t, o); len(r.Bad()) > 0 {
				t.Errorf("a false alarm:\n%s", said(r))
			}
		})
	}
}
