//go:build nginx

package doctor

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// traefikFrame has a router, and one that answers when routers are there.
const traefikFrame = `http:
  routers:
    app:
      entryPoints: [web]
      rule: "PathPrefix(` + "`/`" + `)"
      service: app
      middlewares: [plain]
    ready:
      rule: "Path(` + "`/ping`" + `)"
      priority: 9999
      service: ping@internal
  services:
    app:
      loadBalancer:
        passHostHeader: true
        servers:
          - url: "http://UPSTREAM"
  middlewares:
    plain:
      chain: {middlewares: []}
`

// traefik runs it, with lines replaced; those that begin with a point are options of
// the entry point.
func traefik(t *testing.T, upstream string, edits ...string) string {
	t.Helper()
	addr, file := freeAddr(t), filepath.Join(t.TempDir(), "traefik.yaml")
	args := []string{"--entryPoints.web.address=" + addr, "--providers.file.filename=" + file, "--log.level=DEBUG", "--global.checkNewVersion=false", "--global.sendAnonymousUsage=false", "--ping.manualRouting"}
	for len(edits) > 0 && strings.HasPrefix(edits[0], ".") {
		args, edits = append(args, "--entryPoints.web"+edits[0]), edits[1:]
	}
	conf := strings.ReplaceAll(edited(t, traefikFrame, edits), "UPSTREAM", upstream)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, addr, "traefik", args...)
	if err := proc.Until(t.Context(), patience, 5*time.Millisecond, func() bool {
		answer, err := http.Get("http://" + addr + "/ping")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}); err != nil {
		t.Fatal("traefik has no routers")
	}
	return addr
}

func viaTraefik(backend func(*testing.T) string, edits ...string) func(*testing.T) Options {
	return func(t *testing.T) Options { return full(traefik(t, backend(t), edits...)) }
}

// with is a router whose middleware is this.
func with(middleware string) []string { return []string{"chain: {middlewares: []}", middleware} }

var plantedTraefik = []plantedFront{
	{"Traefik: its own Host", viaTraefik(plainApp, "passHostHeader: true", "passHostHeader: false"), "origin", "passHostHeader: true"},
	{"Traefik: Upgrade emptied", viaTraefik(plainApp, with(`headers: {customRequestHeaders: {Upgrade: ""}}`)...), "upgrade-dropped", "no headers middleware that sets Connection or Upgrade"},
	{"Traefik: Upgrade emptied, sidecar", viaTraefik(usualSidecar, with(`headers: {customRequestHeaders: {Upgrade: ""}}`)...), "upgrade-dropped", "no headers middleware"},
	{"Traefik: offers dropped", viaTraefik(usualSidecar, with(`headers: {customRequestHeaders: {Sec-WebSocket-Protocol: ""}}`)...), "offer-stripped", "Sec-WebSocket"},
	{"Traefik: no extensions", func(t *testing.T) Options {
		o := full(traefik(t, plainApp(t), with(`headers: {customRequestHeaders: {Sec-WebSocket-Extensions: ""}}`)...))
		o.Compression = true
		return o
	}, "compression-lost", ""},
	{"Traefik: redirect to https", viaTraefik(plainApp, with("redirectScheme: {scheme: https}")...), "redirect", "redirectScheme"},
	{"Traefik: denied", viaTraefik(plainApp, with("ipAllowList: {sourceRange: [203.0.113.0/24]}")...), "forbidden", ""},
	{"Traefik: Basic authentication", viaTraefik(plainApp, with(`basicAuth: {users: ["a:$apr1$x$x"]}`)...), "authentication", ""},
	{"Traefik: a rule for another name", viaTraefik(plainApp, "PathPrefix(`/`)", "Host(`example.com`)"), "", "a router whose rule matches"},
	{"Traefik: four requests at a time", viaTraefik(usualSidecar, with("inFlightReq: {amount: 2}")...), "fails-at-times", ""},
	{"Traefik: two handshakes a second", viaTraefik(usualSidecar, with("rateLimit: {average: 1, burst: 2}")...), "fails-at-times", ""},
	{"Traefik: heads of at most 4 KiB", viaTraefik(usualSidecar, ".http.maxHeaderBytes=1"), "headers-short", "http.maxHeaderBytes"}, // Go adds 4096 to the limit
	{"Traefik: HTTP/2 to the app", viaTraefik(usualSidecar, "http://UPSTREAM", "h2c://UPSTREAM"), "", ""},
	{"Traefik: app away", viaTraefik(away), "bad-gateway", "loadBalancer.servers"},
}

// hasty are time-outs of an entry point that concern requests.
var hasty = []string{
	".transport.respondingTimeouts.readTimeout=3s", ".transport.respondingTimeouts.writeTimeout=3s", ".transport.respondingTimeouts.idleTimeout=3s",
	".transport.keepAliveMaxTime=3s",
}

var soundTraefik = map[string]func(*testing.T) Options{
	"Traefik, app":                            viaTraefik(plainApp),
	"Traefik, sidecar":                        viaTraefik(usualSidecar),
	"Traefik, nginx, sidecar":                 viaTraefik(func(t *testing.T) string { return nginx(t, usualSidecar(t)) }),
	"HAProxy, Traefik, app":                   viaHAProxy(func(t *testing.T) string { return traefik(t, plainApp(t)) }),
	"Traefik, all time-outs 3 s, app":         viaTraefik(plainApp, hasty...),
	"Traefik, all time-outs 3 s, sidecar":     viaTraefik(usualSidecar, hasty...),
	"Traefik, a buffering middleware, app":    viaTraefik(plainApp, with("buffering: {maxRequestBodyBytes: 1000}")...),
	"Traefik, compress, sidecar":              viaTraefik(usualSidecar, with("compress: {}")...),
	"Traefik, retry, sidecar":                 viaTraefik(usualSidecar, with("retry: {attempts: 3}")...),
	"Traefik, a header added to answers, app": viaTraefik(plainApp, with("headers: {customResponseHeaders: {X-Frame-Options: deny}}")...),
	"Traefik, a circuit breaker, sidecar":     viaTraefik(usualSidecar, with(`circuitBreaker: {expression: "NetworkErrorRatio() > 0.5"}`)...),
}
