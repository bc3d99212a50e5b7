package diagnosis

import (
	"slices"
	"strings"
)

// A Symptom is what a setting of a proxy cures.
type Symptom string

// Symptoms.
const (
	NoSymptom    Symptom = ""
	Upgrade      Symptom = "the upgrade does not pass"
	HostChanged  Symptom = "Host or Origin is changed or refused"
	IdleCut      Symptom = "a quiet connection is cut"
	AgeCut       Symptom = "every connection is cut at the same age"
	SmallHeads   Symptom = "long headers are refused"
	Holding      Symptom = "bytes are held back"
	NoProtocols  Symptom = "subprotocols or extensions are dropped"
	NoBackend    Symptom = "the proxy does not reach anything"
	HTTP1Missing Symptom = "HTTP/1.1 is not offered to clients, or HTTP/2 is spoken to the app"
	Redirects    Symptom = "a redirect instead of a WebSocket"
	ShortChain   Symptom = "the certificate's chain is not complete"
	FrameAware   Symptom = "frames are answered, changed or limited on the way"
)

// A Remedy is the line to change at one proxy.
type Remedy struct {
	Proxy string `json:"proxy"`
	Set   string `json:"set"`
	Note  string `json:"note,omitempty"`
}

// table is the one source of what doctor says to set, and of the table in
// docs/PROXIES.md.
var table = []struct {
	symptom  Symptom
	remedies []Remedy
}{
	{Upgrade, []Remedy{
		{Nginx, "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;", "with the map of $http_upgrade above; in the location that the path meets"},
		{Ingress, "leave proxy_http_version and Upgrade to it: no snippet that sets Connection or proxy-http-version: \"1.0\"", "it passes upgrades by itself"},
		{HAProxy, "mode http", "no http-request del-header Upgrade, no option httpclose, no option forceclose"},
		{Envoy, "upgrade_configs: [{upgrade_type: websocket}]", "in the HTTP connection manager or the route"},
		{Traefik, "a router whose rule matches; no headers middleware that sets Connection or Upgrade", "its \"404 page not found\": none does; upgrades pass by themselves"},
		{Apache, "ProxyPass \"/ws\" \"http://my-app:80/ws\" upgrade=websocket", "2.4.47 or later; before it mod_proxy_wstunnel and ws://my-app:80"},
		{Caddy, "reverse_proxy my-app:80", "upgrades pass by themselves, unless another handler of the path comes first"},
		{ALB, "a listener of HTTP or HTTPS, target group protocol version HTTP1", "upgrades pass by themselves"},
		{NLB, "nothing: it does not look at HTTP", ""},
		{Google, "an external Application Load Balancer with a backend protocol of HTTP or HTTPS, not HTTP/2", "upgrades pass by themselves"},
		{Azure, "nothing at an Application Gateway; Front Door: Standard or Premium", "upgrades pass by themselves"},
		{Cloudflare, "WebSockets: on", "under Network"},
	}},
	{HostChanged, []Remedy{
		{Nginx, "proxy_set_header Host $http_host;", "and none for Origin"},
		{Ingress, "no annotation upstream-vhost", "Host passes by itself"},
		{HAProxy, "no http-request set-header Host, no http-request del-header Origin", "both pass by themselves"},
		{Envoy, "no host_rewrite_literal, no auto_host_rewrite", "in the route"},
		{Traefik, "passHostHeader: true", "of the load balancer's service; the default"},
		{Apache, "ProxyPreserveHost On", ""},
		{Caddy, "no header_up Host, no header_up Origin", "both pass by themselves"},
		{ALB, "routing.http.preserve_host_header.enabled=true", "Origin passes"},
		{Google, "no hostRewrite in the URL map", ""},
		{Azure, "pickHostNameFromBackendAddress: false", "and no host name override, in the backend settings of an Application Gateway"},
		{Cloudflare, "no Origin Rule that overrides the Host header", ""},
	}},
	{IdleCut, []Remedy{
		{Nginx, "proxy_read_timeout 75s; proxy_send_timeout 75s;", ""},
		{Ingress, "nginx.ingress.kubernetes.io/proxy-read-timeout: \"75\", proxy-send-timeout: \"75\"", ""},
		{HAProxy, "timeout tunnel 75s", "without it timeout client and timeout server count"},
		{Envoy, "stream_idle_timeout: 300s", "and idle_timeout of a route, and of tcp_proxy where there is one"},
		{Traefik, "nothing limits silence", "respondingTimeouts of the entry point do not concern what is upgraded"},
		{Apache, "ProxyTimeout 75", "or timeout=75 at ProxyPass; the larger of it and Timeout counts"},
		{Caddy, "nothing limits silence", "a stream_timeout limits age"},
		{ALB, "idle_timeout.timeout_seconds=75", "default 60, at most 4000"},
		{NLB, "tcp.idle_timeout.seconds=350", "the default; over TLS it is fixed"},
		{Google, "timeoutSec: 86400", "of the backend service; BackendConfig or GCPBackendPolicy on GKE"},
		{Azure, "idleTimeoutInMinutes: 4 or more, enableTcpReset: true", "of a Load Balancer's rule; of an Application Gateway the idle timeout of its public address, 4 min or more"},
		{Cloudflare, "nothing: 100 s, fixed", "send something more often"},
	}},
	{AgeCut, []Remedy{
		{Nginx, "worker_shutdown_timeout 60s;", "only counts after a reload; nothing else limits age"},
		{Ingress, "worker-shutdown-timeout: 240s", "in the ConfigMap; and fewer reloads"},
		{HAProxy, "timeout tunnel 75s", "and no hard-stop-after below the drain"},
		{Envoy, "timeout: 0s", "of the route, and no max_stream_duration, no max_connection_duration; Istio: timeout: 0s in the VirtualService; Gateway API: timeouts.request: 0s"},
		{Traefik, "nothing limits age", "respondingTimeouts and keepAliveMaxTime do not concern what is upgraded; lifeCycle.graceTimeOut 10 s at its own end"},
		{Apache, "GracefulShutdownTimeout 60", "and graceful restarts: nothing else limits age"},
		{Caddy, "no stream_timeout in reverse_proxy; stream_close_delay 60s", "without the delay a reload cuts all at once"},
		{ALB, "nothing limits age", "targets that are deregistered: deregistration_delay.timeout_seconds=300"},
		{Google, "timeoutSec: 86400", "of the backend service; default 30"},
		{Azure, "requestTimeout: 86400", "of the backend settings of an Application Gateway, if connections end at its 20 s"},
		{Cloudflare, "nothing: its servers restart now and then", "resilient clients lose nothing"},
	}},
	{SmallHeads, []Remedy{
		{Nginx, "large_client_header_buffers 4 8k;", "and not below client_header_buffer_size 1k"},
		{Ingress, "large-client-header-buffers: 4 8k", "in the ConfigMap"},
		{HAProxy, "tune.bufsize 16384", "the default"},
		{Envoy, "max_request_headers_kb: 60", "the default"},
		{Traefik, "http.maxHeaderBytes: 1048576", "of the entry point; the default"},
		{Apache, "LimitRequestFieldSize 8190", "the default"},
		{Caddy, "max_header_size 1MB", "of servers; the default"},
		{ALB, "nothing: 16 K a header, 64 K together, fixed", ""},
		{Google, "nothing: 64 KiB together, fixed", ""},
		{Azure, "nothing: 32 KiB together, fixed", ""},
		{Cloudflare, "nothing: 16 KB a header, fixed", ""},
	}},
	{Holding, []Remedy{
		{Nginx, "proxy_buffering off;", "of no effect once upgraded; so look for another one behind it, and at tcp_nodelay on;"},
		{Ingress, "nginx.ingress.kubernetes.io/proxy-buffering: \"off\"", "as for nginx"},
		{HAProxy, "no option http-buffer-request, option http-no-delay", ""},
		{Envoy, "no buffer filter on the route", "envoy.filters.http.buffer waits for whole requests"},
		{Traefik, "no buffering middleware on the router", ""},
		{Apache, "ProxyPass … flushpackets=on", "no mod_buffer, no mod_ext_filter"},
		{Caddy, "no request_buffers, no response_buffers", ""},
	}},
	{NoProtocols, []Remedy{
		{Nginx, "no proxy_set_header Sec-WebSocket-Protocol or Sec-WebSocket-Extensions, no proxy_hide_header of them", "they pass by themselves; a proxy_set_header with \"\" drops one"},
		{Ingress, "no snippet, no proxy-set-headers, no hide-headers that names Sec-WebSocket-*", "in annotations and the ConfigMap"},
		{HAProxy, "no http-request del-header or http-response del-header that matches Sec-WebSocket-*", ""},
		{Envoy, "no request_headers_to_remove, no response_headers_to_remove with Sec-WebSocket-*", ""},
		{Traefik, "no headers middleware with an empty Sec-WebSocket-*", ""},
		{Apache, "no RequestHeader unset of Sec-WebSocket-*", "Header unset does not concern a 101"},
		{Caddy, "no header_up that drops Sec-WebSocket-*", "header_down does not concern a 101"},
	}},
	{NoBackend, []Remedy{
		{Nginx, "proxy_pass http://my-app;", "its error_log says what failed: name, port or a refused connection"},
		{Ingress, "service.port of the rule, and endpoints of that Service", "kubectl get endpointslices"},
		{HAProxy, "server … check", "its health check has to be answered: option httpchk GET /readyz, port 15802"},
		{Envoy, "health_checks of the cluster, endpoints", "response flags UH: none is healthy, UF: no connection, UPE: not HTTP/1.1"},
		{Traefik, "loadBalancer.servers, port of the Service", "its log at DEBUG says what failed"},
		{Apache, "ProxyPass address; retry=0", "it avoids a backend for 60 s after a failure"},
		{Caddy, "reverse_proxy address and port", "its log says what failed"},
		{ALB, "target group port and health check path", "502: a target closed or reset; 503: none; 504: no answer"},
		{Google, "health check of the backend service, firewall of 130.211.0.0/22 and 35.191.0.0/16", ""},
		{Azure, "health probe of the backend pool", "it wants 200 to 399"},
		{Cloudflare, "origin address and firewall", "521: refused, 522: silent, 523: no route, 525, 526: TLS"},
	}},
	{HTTP1Missing, []Remedy{
		{Nginx, "listen 443 ssl;", "with http2 as well HTTP/1.1 stays: ALPN decides; no grpc_pass"},
		{HAProxy, "bind :443 ssl crt … alpn h2,http/1.1; server without proto h2", ""},
		{Envoy, "alpn_protocols: [h2, http/1.1], codec_type: AUTO, cluster without http2_protocol_options", "or allow_connect: true and an upgrade of RFC 8441 on both sides"},
		{Traefik, "tls.options alpnProtocols: [h2, http/1.1]", "no h2c:// towards the app"},
		{Apache, "Protocols h2 http/1.1", "no h2:// in ProxyPass"},
		{Caddy, "protocols h1 h2", "of servers; no versions h2c in the transport"},
		{ALB, "target group protocol version HTTP1", ""},
		{NLB, "TLS listener: ALPN policy HTTP2Preferred or HTTP1Only, not HTTP2Only", ""},
		{Google, "backend protocol HTTP or HTTPS", "not HTTP2, not H2C"},
	}},
	{Redirects, []Remedy{
		{Nginx, "return 301 https://$host$request_uri; only where no WebSocket is", "location /ws and location /ws/ differ: name the path that clients ask for"},
		{Ingress, "nginx.ingress.kubernetes.io/ssl-redirect: \"false\"", "or let clients dial wss"},
		{HAProxy, "redirect scheme https if !{ ssl_fc } !{ path_beg /ws }", ""},
		{Envoy, "no https_redirect, no path_redirect on the route", "require_tls: NONE of the virtual host"},
		{Traefik, "no redirectScheme, redirectRegex on the router", ""},
		{Apache, "no Redirect, no RewriteRule [R] for the path; DirectorySlash Off", ""},
		{Caddy, "http:// before the site's address, or auto_https disable_redirects", "and no redir for the path"},
		{ALB, "no redirect action in the listener rule of the path", ""},
		{Google, "no httpsRedirect, urlRedirect in the URL map for the path", ""},
		{Azure, "no redirectConfiguration in the rule of the path", ""},
		{Cloudflare, "no Always Use HTTPS, no Redirect Rule for the path", "or let clients dial wss"},
	}},
	{ShortChain, []Remedy{
		{Nginx, "ssl_certificate fullchain.pem;", "the leaf first, then what is above it"},
		{Ingress, "tls.crt of the Secret with the whole chain", ""},
		{HAProxy, "bind … ssl crt with leaf, chain and key in one file", ""},
		{Envoy, "certificate_chain with the whole chain", ""},
		{Traefik, "certFile with the whole chain", ""},
		{Apache, "SSLCertificateFile with the whole chain", "2.4.8 or later"},
		{Caddy, "tls with the whole chain in its file", "its own certificates have it"},
		{NLB, "import the certificate with its chain (ACM)", ""},
		{ALB, "import the certificate with its chain (ACM)", ""},
	}},
	{FrameAware, []Remedy{
		{Nginx, "nothing: it does not look into frames", "so it is something else on the way"},
		{HAProxy, "nothing: it does not look into frames", "so it is something else on the way"},
		{Envoy, "no WebSocket filter of a third party", "Envoy itself does not look into frames"},
		{Traefik, "nothing: it does not look into frames", "so it is something else on the way"},
		{ALB, "nothing: it does not look into frames", "AWS API Gateway does: 128 KB a message, 32 KB a frame, 10 min idle, 2 h of age, all fixed"},
		{Google, "nothing: it does not look into frames", "Cloud Run limits age: --timeout 3600"},
		{Azure, "nothing: it does not look into frames", "API Management and Web PubSub do"},
		{Cloudflare, "nothing, but in Workers, which limit messages", "otherwise it does not look into frames"},
	}},
}

// remedies are those for a symptom: of the proxies that showed themselves and
// what runs on them, or of all.
func remedies(symptom Symptom, behind []string) []Remedy {
	var all, known []Remedy
	for _, row := range table {
		if row.symptom != symptom {
			continue
		}
		all = row.remedies
		for _, r := range all {
			if slices.Contains(behind, r.Proxy) || r.Proxy == Ingress && slices.Contains(behind, Nginx) {
				known = append(known, r)
			}
		}
	}
	if len(known) > 0 {
		return known
	}
	return all
}

// setting marks a directive as code, and leaves a sentence as it is.
func setting(s string) string {
	for _, prose := range []string{"nothing", "no ", "leave ", "a ", "an ", "its ", "of "} {
		if strings.HasPrefix(s, prose) {
			return s
		}
	}
	return "`" + s + "`"
}

// Markdown is the table for docs/PROXIES.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| what `doctor` found | at | set | |\n|---|---|---|---|\n")
	for _, row := range table {
		for i, r := range row.remedies {
			symptom := ""
			if i == 0 {
				symptom = "**" + string(row.symptom) + "**"
			}
			b.WriteString("| " + symptom + " | " + r.Proxy + " | " + setting(r.Set) + " | " + strings.ReplaceAll(r.Note, "|", "\\|") + " |\n")
		}
	}
	return b.String()
}
