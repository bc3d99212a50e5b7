package diagnosis

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// refusal is an answer that is no 101.
func refusal(status int, body string, header ...string) *Handshake {
	h := &Handshake{Stage: Answered, Status: status, Proto: "HTTP/1.1", Body: body, Header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		h.Header.Set(header[i], header[i+1])
	}
	return h
}

func opened() *Handshake { return &Handshake{Stage: Open, Status: 101, Header: http.Header{}} }

// TestDiagnose: what follows from facts that no test can arrange in a moment.
func TestDiagnose(t *testing.T) {
	for _, c := range []struct {
		name  string
		facts Facts
		want  string
		blame Party
	}{
		{"no such name", Facts{LookupErr: "no such host"}, "name-unknown", DNS},
		{"firewall that drops", Facts{Addresses: []Handshake{{Address: "192.0.2.1:443", Cause: TimedOut}}}, "dial-timeout", Path},
		{"cut by server name", Facts{Secure: true, Addresses: []Handshake{{Stage: Securing, Cause: Reset}}}, "tls-cut", Path},
		{"client certificate", Facts{Secure: true, Addresses: []Handshake{{Stage: Securing, Cause: TLSAlert}}}, "tls-refused", Path},
		{"intercepted", Facts{Secure: true, Addresses: []Handshake{{Stage: Securing, Cause: BadCert, TLS: &TLS{Wrong: WrongAuthority, Issuers: []string{"CN=Zscaler Root CA"}}}}}, "intercepted", Path},
		{"not valid yet", Facts{Secure: true, Addresses: []Handshake{{Stage: Securing, Cause: BadCert, TLS: &TLS{Wrong: WrongNotYet}}}}, "certificate-early", Client},
		{"missing intermediate", Facts{Secure: true, Addresses: []Handshake{{Stage: Securing, Cause: BadCert, TLS: &TLS{Wrong: WrongAuthority, Sent: 1}}}}, "certificate-authority", Path},
		{"426", Facts{Plain: refusal(426, "")}, "upgrade-dropped", Path},
		{"400 of an app that wants 1.1", Facts{Plain: refusal(400, "handshake request must be at least HTTP/1.1")}, "http-version", Path},
		{"no route at the ingress", Facts{Plain: refusal(404, "default backend - 404")}, "no-route", Path},
		{"Envoy without upgrades", Facts{Plain: refusal(403, "", "Server", "envoy")}, "forbidden", Path},
		{"429", Facts{Plain: refusal(429, "")}, "rate-limited", Path},
		{"504", Facts{Plain: refusal(504, "")}, "gateway-timeout", Path},
		{"522", Facts{Plain: refusal(522, "", "Server", "cloudflare")}, "gateway-timeout", Path},
		{"500", Facts{Plain: refusal(500, "")}, "app-error", App},
		{"431", Facts{Plain: refusal(431, "")}, "headers-too-large", Path},
		{"login elsewhere", Facts{URL: "wss://a.example/ws", Secure: true, Plain: refusal(302, "", "Location", "https://login.example/auth")}, "redirect", Client},
		{"plain HTTP to TLS", Facts{Plain: refusal(400, "The plain HTTP request was sent to HTTPS port")}, "needs-tls", Client},
		{"Host not known", Facts{Plain: refusal(400, "Invalid Host header")}, "host", Path},
		{"Django's hosts", Facts{Plain: refusal(400, "DisallowedHost at /")}, "host", Path},
		{"draining", Facts{Plain: refusal(503, "", "Wsr-Refused", "draining")}, "sidecar-refused", Sidecar},
		{"a PROXY line", Facts{Plain: refusal(400, "the version of HTTP is malformed", "Wsr-Refused", "body")}, "request-changed", Path},
		{"only with wsr.v1", Facts{Plain: opened(), Resilient: refusal(400, ""), Beats: &Beats{Got: 1, Beacon: true}}, "resilient-refused", Path},
		{"strict without a journal", Facts{Plain: opened(), Resilient: refusal(503, "", "Wsr-Refused", "journal")}, "resilient-refused", Sidecar},
		{"Firefox", Facts{Plain: opened(), List: refusal(400, "")}, "connection-list", Path},
		{"a limit that the third handshake meets", Facts{Plain: opened(), Resilient: opened(), List: refusal(429, "")}, "fails-at-times", Path},
		{"a limit of nginx", Facts{Plain: opened(), Resilient: opened(), List: refusal(503, "")}, "fails-at-times", Path},
		{"a limit that the second meets", Facts{Plain: opened(), Resilient: refusal(429, "")}, "rate-limited", Path},
		{"compression refused", Facts{Plain: refusal(400, ""), NoExtension: opened()}, "extensions-refused", Path},
		{"RFC 8441 promised and refused", Facts{Plain: opened(), HTTP2: &HTTP2{Chosen: true, Connect: true, Status: 400}}, "http2-connect", Path},
		{"jitter", Facts{Plain: opened(), Beats: &Beats{Got: 4, Sent: 4, Rounds: []Round{{Sent: 4, RTTs: []time.Duration{time.Millisecond, 2 * time.Millisecond, 150 * time.Millisecond, time.Millisecond}}}}}, "jitter", Path},
		{"gathered", Facts{Plain: opened(), Beats: &Beats{Got: 4, Sent: 4, Rounds: []Round{{Sent: 4, Bursts: 3, RTTs: []time.Duration{90 * time.Millisecond, 60 * time.Millisecond, 30 * time.Millisecond, time.Millisecond}}}}}, "frames-gathered", Path},
		{"frames broken on the way up", Facts{Plain: opened(), Beats: &Beats{Sent: 1, End: &End{Code: 1002}}}, "frames-changed", Path},
		{"NAT of 240 s", Facts{Plain: opened(), Silences: []Silence{{For: 181 * time.Second, Alive: true}, {For: 241 * time.Second, Mute: true}}, Busy: &Busy{Lasted: 250 * time.Second}}, "idle-dropped", Path},
		{"age of 30 s", Facts{Plain: opened(), Silences: []Silence{{For: 31 * time.Second, End: &End{After: 30 * time.Second, Cause: Ended}}}, Busy: &Busy{Lasted: 30 * time.Second, End: &End{After: 30 * time.Second, Cause: Ended}}}, "age-limit", Path},
		{"other keys", Facts{Plain: opened(), Session: &Session{Welcome: &wire.WelcomeMessage{}}, Resumes: []Resume{{Handshake: *opened(), Reset: wire.ResetToken}}}, "resume-token", Sidecar},
		{"peers cut off", Facts{Plain: opened(), Session: &Session{Welcome: &wire.WelcomeMessage{}}, Resumes: []Resume{{Handshake: *opened(), Reset: wire.ResetTryAgain}}}, "resume-later", Sidecar},
		{"adopted at once", Facts{Plain: opened(), Session: &Session{Welcome: &wire.WelcomeMessage{}}, Resumes: []Resume{{Handshake: *opened(), Welcomed: true, Status: wire.StatusAdopted, Adopted: wire.AdoptOwnerLost}}}, "resume-adopted", Sidecar},
		{"clock behind", Facts{Plain: opened(), Clocks: []Clock{{Of: "it", Low: -5 * time.Second, High: -4 * time.Second}}}, "clock", Client},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Diagnose(&c.facts)
			i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == c.want })
			if i < 0 || !slices.Contains(r.Findings[i].Blame, c.blame) || r.Findings[i].Severity == Note {
				t.Errorf("%+v, want %s and %s", r.Findings, c.want, c.blame)
			}
		})
	}
}

// TestNoFinding: facts that look odd, and are as they should be.
func TestNoFinding(t *testing.T) {
	second := []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}
	for name, f := range map[string]Facts{
		"this machine is late":      {Beats: &Beats{Got: 3, Sent: 3, Rounds: []Round{{Late: time.Second, Sent: 3, RTTs: []time.Duration{0, time.Second, 0}}}}},
		"one good round":            {Beats: &Beats{Got: 6, Sent: 6, Rounds: []Round{{Sent: 3, RTTs: []time.Duration{0, time.Second, 0}}, {Sent: 3, RTTs: second}}}},
		"Date to the second":        {Clocks: []Clock{{Of: "it", Low: -1900 * time.Millisecond, High: -900 * time.Millisecond}}},
		"app closes without a word": {Silences: []Silence{{For: 5 * time.Second, End: &End{After: 3 * time.Second, Code: 4408}}}},
		"IPv6 without a route": {Addresses: []Handshake{
			{Address: "[2001:db8::1]:443", Cause: Unreachable}, {Address: "192.0.2.1:443", Stage: Open, Status: 101, Header: http.Header{}},
		}},
		"an app that refuses all subprotocols": {Resilient: refusal(400, "")},
		"moved while it drains":                {Session: &Session{Welcome: &wire.WelcomeMessage{}}, Resumes: []Resume{{Handshake: *opened(), Welcomed: true, Status: wire.StatusAdopted, Adopted: wire.AdoptDrained}}},
	} {
		f.Plain = opened()
		if r := Diagnose(&f); len(r.Bad()) > 0 {
			t.Errorf("%s: %+v", name, r.Findings)
		}
	}
}

// TestRemediesOfWhoIsThere: a proxy that shows itself gets its own lines.
func TestRemediesOfWhoIsThere(t *testing.T) {
	r := Diagnose(&Facts{Plain: refusal(426, "", "Server", "nginx/1.25.3")})
	set := r.Findings[0].Set
	if len(set) != 2 || set[0].Proxy != Nginx || !strings.Contains(set[0].Set, "proxy_http_version 1.1;") || set[1].Proxy != Ingress {
		t.Errorf("%+v", set)
	}
	if all := Diagnose(&Facts{Plain: refusal(426, "")}).Findings[0].Set; len(all) < 10 {
		t.Errorf("%d proxies where none is known", len(all))
	}
}
