package diagnosis

import (
	"net/http"
	"slices"
	"strings"
)

// Names of proxies, as Remedy.Proxy has them where there are remedies.
const (
	Nginx      = "nginx"
	Ingress    = "ingress-nginx"
	HAProxy    = "HAProxy"
	Envoy      = "Envoy"
	Traefik    = "Traefik"
	Apache     = "Apache"
	Caddy      = "Caddy"
	ALB        = "AWS ALB"
	NLB        = "AWS NLB"
	Google     = "Google Cloud"
	Azure      = "Azure"
	Cloudflare = "Cloudflare"
)

// A sign is how a proxy shows itself in an answer.
type sign struct {
	proxy  string
	header string // "": in the body
	text   string // lower case
}

var signs = []sign{
	{Cloudflare, "Server", "cloudflare"}, {Cloudflare, "Cf-Ray", ""},
	{ALB, "Server", "awselb"},
	{"AWS CloudFront", "Via", "cloudfront"}, {"AWS CloudFront", "X-Amz-Cf-Id", ""},
	{"AWS API Gateway", "X-Amz-Apigw-Id", ""},
	{Google, "Via", "google"}, {Google, "Server", "google frontend"},
	{Azure, "Server", "microsoft-azure-application-gateway"}, {Azure, "X-Azure-Ref", ""},
	{Envoy, "Server", "envoy"}, {Envoy, "X-Envoy-Upstream-Service-Time", ""},
	{Envoy, "", "upstream connect error or disconnect/reset before headers"}, {Envoy, "", "no healthy upstream"}, {Envoy, "", "upstream request timeout"},
	{Nginx, "Server", "nginx"}, {Nginx, "Server", "openresty"}, {Nginx, "", "<hr><center>nginx"}, {Nginx, "", "<hr><center>openresty"},
	{Ingress, "", "default backend - 404"},
	{HAProxy, "Server", "haproxy"}, {HAProxy, "Via", "haproxy"},
	{HAProxy, "", "no server is available to handle this request"}, {HAProxy, "", "your browser sent an invalid request"},
	{HAProxy, "", "request forbidden by administrative rules"}, {HAProxy, "", "the server didn't respond in time"},
	{HAProxy, "", "the server returned an invalid or incomplete response"}, {HAProxy, "", "your browser didn't send a complete request in time"},
	{Apache, "Server", "apache"}, {Apache, "", "<address>apache"},
	{Traefik, "Server", "traefik"}, {Traefik, "X-Traefik-Router", ""},
	{Caddy, "Server", "caddy"}, {Caddy, "Via", "caddy"},
	{"Kong", "Server", "kong"}, {"Kong", "Via", "kong"}, {"IIS", "Server", "microsoft-iis"},
	{"Varnish", "X-Varnish", ""}, {"Varnish", "Via", "varnish"}, {"Fastly", "X-Served-By", "cache-"},
	{"Squid", "Via", "squid"}, {"Squid", "X-Squid-Error", ""}, {"Squid", "Server", "squid"},
	{"Akamai", "Server", "akamaighost"}, {"Zscaler", "", "zscaler"}, {"FortiGate", "", "fortigate"},
}

// who lists the proxies that an answer names.
func who(h *Handshake) []string {
	if h == nil || h.Stage < Answered {
		return nil
	}
	var list []string
	body := strings.ToLower(h.Body)
	for _, s := range signs {
		found := s.header == "" && strings.Contains(body, s.text)
		if s.header != "" {
			for _, v := range h.Header[http.CanonicalHeaderKey(s.header)] {
				found = found || strings.Contains(strings.ToLower(v), s.text)
			}
		}
		if found && !slices.Contains(list, s.proxy) {
			list = append(list, s.proxy)
		}
	}
	return list
}

// Behind lists the proxies that showed themselves in any answer.
func Behind(f *Facts) []string {
	list := []string{}
	seen := []*Handshake{f.Plain, f.Resilient, f.NoOrigin, f.NoExtension, f.NoProtocol, f.Marker, f.LongResume}
	if f.Heads != nil {
		seen = append(seen, f.Heads.Handshake)
	}
	for i := range f.Addresses {
		seen = append(seen, &f.Addresses[i])
	}
	for _, h := range seen {
		for _, p := range who(h) {
			if !slices.Contains(list, p) {
				list = append(list, p)
			}
		}
	}
	return list
}

// answered says who answered, in words.
func answered(h *Handshake) string {
	if list := who(h); len(list) > 0 {
		return "the answer is one of " + strings.Join(list, ", ")
	}
	if reason := h.Header.Get("Wsr-Refused"); reason != "" {
		return "the answer is the sidecar's own (Wsr-Refused: " + reason + ")"
	}
	if s := h.Header.Get("Server"); s != "" {
		return "the answer names Server: " + s
	}
	return "the answer does not say whose it is"
}
