//go:build runbooks

package endtoend

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/wire"
)

// elsewhere are the pages that are not followed here, and where what they lead to is
// shown.
var elsewhere = map[string]string{
	"WSResilienceInjectorDown": "a cluster: kubetest's scenario of the runbooks (make e2e-kube)", "WSResilienceCertificate": "a cluster: kubetest's scenario of the runbooks (make e2e-kube)",
	"WSResiliencePodsRefused": "a cluster: kubetest's scenario of the runbooks (make e2e-kube)", "WSResilienceInjectorErrors": "a cluster: kubetest's scenario of the runbooks (make e2e-kube)",
	"WSResiliencePanic": "a mistake of ours, which nobody can bring about", "WSResilienceObjectiveMissed": "as WSResilienceObjectiveMissedSoon",
}

// TestRunbooks brings about what each alert is about, with real processes, and holds
// that what its page says to look at shows it, and that what it says to do ends it.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/runbooks/WS*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	follow := map[string]func(*testing.T){
		"WSResilienceBusy": followBusy, "WSResilienceJournalAway": followJournalAway, "WSResilienceMemory": followMemory,
		"WSResilienceResets": followResets, "WSResilienceSettings": followSettings, "WSResilienceSidecarCertificate": followCertificate,
		"WSResilienceSlow": followSlow, "WSResilienceTokenReuse": followTokenReuse, "WSResilienceObjectiveMissedSoon": followObjective,
		"WSResilienceNATSUnhealthy": followNATSUnhealthy, "WSResilienceNATSDisk": followNATSDisk, "WSResilienceJournalFull": followJournalFull,
		"WSResilienceNATSSlowConsumer": followSlowConsumer,
	}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if (follow[name] == nil) == (elsewhere[name] == "") {
			t.Errorf("%s: is it followed here, or elsewhere?", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(follow)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			follow[name](t)
		})
	}
}

// series waits until a series of the sidecar's metrics is as it has to be.
func series(t *testing.T, s *lab.Sidecar, name string, is func(float64) bool) {
	t.Helper()
	last := ""
	err := proc.Until(t.Context(), processLimit, processLook, func() bool {
		text, err := s.Get(t.Context(), "/metrics")
		if err != nil {
			return false
		}
		last = string(regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` \S+$`).Find(text))
		_, number, _ := strings.Cut(last, "} ")
		if number == "" {
			_, number, _ = strings.Cut(last, " ")
		}
		v, err := strconv.ParseFloat(number, 64)
		return err == nil && is(v)
	})
	if err != nil {
		t.Fatalf("%s is %q", name, last)
	}
}

func positive(v float64) bool { return v > 0 }

// prints runs a command of the sidecar in its pod.
func prints(t *testing.T, p *process, args ...string) string {
	t.Helper()
	program, err := binary.Path(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append([]string{"WSR_UPSTREAM=" + p.Upstream, "WSR_ADMIN_LISTEN=" + p.Admin}, p.Settings...)
	out, _ := cmd.CombinedOutput() // a refusal is an answer too
	return string(out)
}

// page is a runbook's text; followers check that it still says what they follow.
func page(t *testing.T, name string, says ...string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/runbooks/" + name + ".md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range says {
		if !strings.Contains(string(text), s) {
			t.Errorf("%s does not say %q", name, s)
		}
	}
}

func newFollowed(t *testing.T, settings ...string) (*process, *lifeApp, *eventLog) {
	t.Helper()
	app := new(lifeApp)
	app.status.Store(200)
	backend := httptest.NewServer(app)
	t.Cleanup(backend.Close)
	l := &eventLog{t: t}
	return newLogged(t, l, backend.URL, t.TempDir(), append([]string{"WSR_LOG_LEVEL=info", "WSR_LOG_FORMAT=json", "WSR_LOG_CLIENT=address"}, settings...)...), app, l
}

var freshOffer = wire.Offer{App: []string{"wsr"}, Resilient: true}

func offerOf(c *talker, received, next, attempt uint32) wire.Offer {
	return wire.Offer{App: []string{"wsr"}, Resilient: true, Resume: &wire.Resume{Token: c.w.Token, Received: received, Next: next, Attempt: attempt}}
}

func followBusy(t *testing.T) {
	page(t, "WSResilienceBusy", "The label `of`", "`WSR_MAX_SESSIONS`")
	p, _, _ := newFollowed(t, "WSR_MAX_SESSIONS=10")
	for range 10 {
		talk(t, p.Addr, "/chat", freshOffer, nil)
	}
	series(t, p.Sidecar, `wsr_used_ratio{of="sessions"}`, func(v float64) bool { return v > .9 })
	d := websocket.Dialer{Subprotocols: freshOffer.Protocols()}
	if _, answer, err := d.DialContext(t.Context(), "ws://"+p.Addr+"/chat", nil); err == nil || answer == nil || answer.StatusCode != http.StatusServiceUnavailable { //nolint:bodyclose // need not be closed, it says
		t.Errorf("one more client: %v, %v", answer, err)
	}
}

func followJournalAway(t *testing.T) {
	page(t, "WSResilienceJournalAway", "grep journal", "`wsr_journal_available` is 1")
	f := newProcesses(t, "WSR_LOG_LEVEL=info", "WSR_LOG_FORMAT=json")
	l := &eventLog{t: t}
	s := f.start(&binary, func(s *lab.Sidecar) { s.Errors = l })
	c := talk(t, s.Addr, "/chat", freshOffer, nil)
	port := f.nats.Addr().String()
	f.nats.Shutdown()
	f.nats.WaitForShutdown()
	series(t, s, "wsr_journal_available", func(v float64) bool { return v == 0 })
	l.want("journal is away: sessions go on from memory", "audit=true")
	c.say("still there")
	number, err := strconv.Atoi(port[strings.LastIndexByte(port, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	if f.nats, err = server.NewServer(&server.Options{Host: "127.0.0.1", Port: number, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	f.nats.Start()
	series(t, s, "wsr_journal_available", func(v float64) bool { return v == 1 })
	l.want("journal is back: what it missed is written now", "audit=true")
}

func followMemory(t *testing.T) {
	page(t, "WSResilienceMemory", "`wsresilience-sidecar sessions -sort held`", "`wsr_window_full_total`")
	p, _, _ := newFollowed(t, "WSR_WINDOW_BYTES=64KiB")
	talk(t, p.Addr, "/quiet", freshOffer, nil)
	c := talk(t, p.Addr, "/greedy", freshOffer, nil)
	for range 40 {
		if err := c.conn.WriteMessage(websocket.BinaryMessage, make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
	}
	series(t, p.Sidecar, "wsr_window_full_total", positive)
	series(t, p.Sidecar, "wsr_window_bytes", func(v float64) bool { return v > 32<<10 })
	lines := strings.Split(prints(t, p, "sessions", "-sort", "held"), "\n")
	if len(lines) < 3 || !strings.Contains(lines[1], "/greedy") {
		t.Errorf("the first is not the one that keeps the most:\n%s", strings.Join(lines, "\n"))
	}
}

func followResets(t *testing.T) {
	page(t, "WSResilienceResets", "`wsresilience-sidecar sessions -ended`", "wsr_key_place", `wsr_resumes_total{outcome="reset"}`)
	p, app, l := newFollowed(t, "WSR_RESUME_AUTH=/may", "WSR_SESSION_TTL=1s", "WSR_SESSION_TTL_GOING_AWAY=1s")
	other, _, _ := newFollowed(t)
	foreign := talk(t, other.Addr, "/chat", freshOffer, nil)
	talk(t, p.Addr, "/chat", offerOf(foreign, 0, 1, 1), nil)
	series(t, p.Sidecar, `wsr_resumes_total{outcome="reset",reason="token"}`, positive)
	l.want("resume refused: RESET", "reason=token", "fact=no key of this sidecar opens the token")
	keys := regexp.MustCompile(`wsr_key_place\{[^}]*key="([^"]+)"`)
	mine, _ := p.Get(t.Context(), "/metrics")
	theirs, _ := other.Get(t.Context(), "/metrics")
	if a, b := keys.FindSubmatch(mine), keys.FindSubmatch(theirs); a == nil || b == nil || string(a[1]) == string(b[1]) {
		t.Errorf("wsr_key_place tells no two keys apart: %q, %q", a, b)
	}
	c := talk(t, p.Addr, "/chat", freshOffer, nil)
	app.status.Store(403)
	talk(t, p.Addr, "/chat", offerOf(c, 0, 1, 1), nil)
	series(t, p.Sidecar, `wsr_resumes_total{outcome="reset",reason="unauthorised"}`, positive)
	app.status.Store(200)
	c.cut()
	l.want("session ended", "session="+c.w.Session.String(), "reason=expired")
	if out := prints(t, p, "sessions", "-ended"); !strings.Contains(out, c.w.Session.String()[:8]) || !strings.Contains(out, "did not come back") {
		t.Errorf("-ended does not say why:\n%s", out)
	}
	talk(t, p.Addr, "/chat", offerOf(c, 0, 1, 2), nil)
	series(t, p.Sidecar, `wsr_resumes_total{outcome="reset",reason="unknown"}`, positive)
}

func followSettings(t *testing.T) {
	page(t, "WSResilienceSettings", "what was given, and what is allowed", "/wsresilience-sidecar config")
	m := mount(t, "WSR_RATE_RESUMES=100")
	p, _, l := newFollowed(t, "WSR_CONFIG_FILE="+m.path)
	m.swap("..2", "WSR_RATE_RESUMES=many")
	series(t, p.Sidecar, "wsr_settings_invalid", positive)
	if err := proc.Until(t.Context(), processLimit, processLook, func() bool {
		return strings.Contains(l.all(), "WSR_RATE_RESUMES") && strings.Contains(l.all(), "many")
	}); err != nil {
		t.Errorf("the log does not say what was given:\n%s", l.end())
	}
	if out := prints(t, p, "config"); !strings.Contains(out, "WSR_RATE_RESUMES") || !strings.Contains(out, "many") {
		t.Errorf("config says\n%s", out)
	}
	m.swap("..3", "WSR_RATE_RESUMES=200")
	series(t, p.Sidecar, "wsr_settings_invalid", func(v float64) bool { return v == 0 })
}

func followCertificate(t *testing.T) {
	page(t, "WSResilienceSidecarCertificate", "`listener`", "The files are read again when they change")
	dir := t.TempDir()
	write := func() {
		pair := certs.SelfSigned("127.0.0.1")
		for name, text := range map[string][]byte{"cert": pair.Cert, "key": pair.Key} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write()
	p, _, _ := newFollowed(t, "WSR_TLS_CERT="+dir+"/cert", "WSR_TLS_KEY="+dir+"/key")
	first := 0.0
	series(t, p.Sidecar, `wsr_certificate_not_after_seconds{of="listener"}`, func(v float64) bool { first = v; return v > float64(time.Now().Unix()) })
	time.Sleep(1100 * time.Millisecond) // a certificate's end is told in seconds
	write()
	series(t, p.Sidecar, `wsr_certificate_not_after_seconds{of="listener"}`, func(v float64) bool { return v > first })
}

func followSlow(t *testing.T) {
	page(t, "WSResilienceSlow", `wsr_used_ratio{of="loops"}`, "`wsr_messages_total` and `wsr_message_bytes_total`", "does not get the processor")
	p, _, _ := newFollowed(t)
	for range 4 {
		talk(t, p.Addr, "/chat", freshOffer, nil).say("one")
	}
	late := func() bool {
		text, err := p.Get(t.Context(), "/metrics")
		all := regexp.MustCompile(`wsr_timer_late_seconds_count (\d+)`).FindSubmatch(text)
		below := regexp.MustCompile(`wsr_timer_late_seconds_bucket\{le="0.5"\} (\d+)`).FindSubmatch(text)
		return err == nil && all != nil && below != nil && string(all[1]) != string(below[1])
	}
	if err := proc.Until(t.Context(), processLimit, processLook, func() bool {
		if err := p.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond) // for as long it does not get the processor
		if err := p.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		return late()
	}); err != nil {
		t.Fatal("no timer was late")
	}
	series(t, p.Sidecar, `wsr_used_ratio{of="loops"}`, func(v float64) bool { return v < .9 })
	series(t, p.Sidecar, `wsr_messages_total{direction="inbound",kind="resilient"}`, positive)
}

func followTokenReuse(t *testing.T) {
	page(t, "WSResilienceTokenReuse", "`audit=true`: path and address", "`WSR_TOKEN_REUSE=end` ends the session")
	p, _, l := newFollowed(t)
	c := talk(t, p.Addr, "/chat", freshOffer, nil)
	next := talk(t, p.Addr, "/chat", offerOf(c, 0, 1, 1), nil)
	next.say("one")
	next = talk(t, p.Addr, "/chat", offerOf(next, 1, 2, 2), nil)
	next.say("two")
	talk(t, p.Addr, "/chat", offerOf(c, 0, 1, 0), nil)
	l.want("a resume token came that was used up, or that two clients use: there may be a copy of it", "audit=true", "path=/chat", "client=127.0.0.1")
	series(t, p.Sidecar, "wsr_token_reuse_total", positive)
}

func followObjective(t *testing.T) {
	names := []string{"wsr_build_info", "wsr_requests_refused_total", "wsr_resume_seconds", "wsr_tunnel_answer_seconds", "wsr_upstream_dial_seconds", "wsr_sessions_lost_total"}
	page(t, "WSResilienceObjectiveMissedSoon", names...)
	p, _, _ := newFollowed(t)
	text, err := p.Get(t.Context(), "/metrics")
	for _, name := range names {
		if err != nil || !strings.Contains(string(text), "\n"+name) {
			t.Errorf("no %s, %v", name, err)
		}
	}
}
