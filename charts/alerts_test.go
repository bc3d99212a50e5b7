//go:build promtool

package charts

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// An alertCase is what Prometheus has scraped each minute, and an alert that
// fires at a time because of it, and not yet at another. Without labels it
// does not fire.
type alertCase struct {
	name   string
	alert  string
	series map[string]string // the values as promtool writes them: 0+1x60 is 0, 1, … 60
	at     string
	before string // when it is silent yet; empty: not asked
	labels []map[string]string
}

func labelled(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

const shop = `namespace="shop", pod="chat-1"`

// alertCases have one that fires for each alert, and for most one that is
// just within bounds.
var alertCases = []alertCase{
	{"no injector", "WSResilienceInjectorDown", map[string]string{`wsr_injector_certificate_expiry_seconds{pod="i"}`: `9e9x10 stale`}, "30m", "12m", []map[string]string{{}}},
	{"an injector", "WSResilienceInjectorDown", map[string]string{`wsr_injector_certificate_expiry_seconds{pod="i"}`: `9e9x60`}, "30m", "", nil},
	{"six days", "WSResilienceCertificate", map[string]string{`wsr_injector_certificate_expiry_seconds{pod="i"}`: `518400x60`}, "30m", "10m", []map[string]string{{}}},
	{"eight days", "WSResilienceCertificate", map[string]string{`wsr_injector_certificate_expiry_seconds{pod="i"}`: `694800x60`}, "30m", "", nil},
	{"a pod is refused", "WSResiliencePodsRefused", map[string]string{`wsr_injector_pods_total{outcome="refused", reason="port"}`: `0x10 1x50`}, "12m", "9m", []map[string]string{labelled("reason", "port")}},
	{"pods are injected", "WSResiliencePodsRefused", map[string]string{`wsr_injector_pods_total{outcome="injected", reason=""}`: `0+1x60`}, "30m", "", nil},
	{"a call a minute fails", "WSResilienceInjectorErrors", map[string]string{`wsr_injector_cluster_errors_total{call="nats"}`: `0+1x60`}, "40m", "15m", []map[string]string{labelled("call", "nats")}},
	{"a call in five minutes fails", "WSResilienceInjectorErrors", map[string]string{`wsr_injector_cluster_errors_total{call="nats"}`: `0+0.2x60`}, "50m", "", nil},
	{"the journal is away", "WSResilienceJournalAway", map[string]string{`wsr_journal_available{` + shop + `}`: `1x10 0x50`}, "14m", "12m", []map[string]string{labelled("namespace", "shop", "pod", "chat-1")}},
	{"the journal was away for a minute", "WSResilienceJournalAway", map[string]string{`wsr_journal_available{` + shop + `}`: `1x10 0x1 1x50`}, "14m", "", nil},
	{"six of a hundred resumes", "WSResilienceResets", map[string]string{
		`wsr_resumes_total{` + shop + `, outcome="reset", reason="lost"}`: `0+6x60`,
		`wsr_resumes_total{` + shop + `, outcome="resumed"}`:              `0+94x60`,
	}, "30m", "9m", []map[string]string{labelled("namespace", "shop")}},
	{"four of a hundred resumes", "WSResilienceResets", map[string]string{
		`wsr_resumes_total{` + shop + `, outcome="reset", reason="lost"}`: `0+4x60`,
		`wsr_resumes_total{` + shop + `, outcome="resumed"}`:              `0+96x60`,
	}, "30m", "", nil},
	{"a token each five minutes", "WSResilienceTokenReuse", map[string]string{`wsr_token_reuse_total{` + shop + `}`: `0+0.2x120`}, "60m", "20m", []map[string]string{labelled("namespace", "shop")}},
	{"a token", "WSResilienceTokenReuse", map[string]string{`wsr_token_reuse_total{` + shop + `}`: `0x10 1x110`}, "60m", "", nil},
	{"95 % of the budget", "WSResilienceMemory", map[string]string{`wsr_window_bytes{` + shop + `}`: `255e6x60`, `wsr_memory_budget_bytes{` + shop + `}`: `268435456x60`}, "10m", "4m", []map[string]string{labelled("namespace", "shop", "pod", "chat-1")}},
	{"half of the budget", "WSResilienceMemory", map[string]string{`wsr_window_bytes{` + shop + `}`: `134e6x60`, `wsr_memory_budget_bytes{` + shop + `}`: `268435456x60`}, "10m", "", nil},
	{"a panic", "WSResiliencePanic", map[string]string{`wsr_panics_total{` + shop + `}`: `0x10 1x110`}, "12m", "9m", []map[string]string{labelled("namespace", "shop", "pod", "chat-1")}},

	{"one resume in five takes more than a second", "WSResilienceObjectiveMissedSoon", map[string]string{
		`wsr_resume_seconds_bucket{` + shop + `, le="1"}`: `0+80x90`,
		`wsr_resume_seconds_count{` + shop + `}`:          `0+100x90`,
	}, "80m", "1m", []map[string]string{labelled("namespace", "shop", "objective", "resume")}},
	{"one resume in two hundred takes more than a second", "WSResilienceObjectiveMissedSoon", map[string]string{
		`wsr_resume_seconds_bucket{` + shop + `, le="1"}`: `0+199x90`,
		`wsr_resume_seconds_count{` + shop + `}`:          `0+200x90`,
	}, "80m", "", nil},
	{"three requests in a hundred are refused", "WSResilienceObjectiveMissedSoon", map[string]string{
		`wsr_requests_refused_total{` + shop + `, reason="memory"}`: `0+3x90`,
		`wsr_connections_accepted_total{` + shop + `}`:              `0+97x90`,
	}, "80m", "1m", []map[string]string{labelled("namespace", "shop", "objective", "accept")}},
	{"what a client asked wrongly counts as nothing", "WSResilienceObjectiveMissedSoon", map[string]string{
		`wsr_requests_refused_total{` + shop + `, reason="version"}`: `0+50x90`,
		`wsr_connections_accepted_total{` + shop + `}`:               `0+50x90`,
	}, "80m", "", nil},
	{"the journal is away for a tenth of the time", "WSResilienceObjectiveMissed", map[string]string{
		`wsr_journal_available{` + shop + `}`: strings.Repeat("1x8 0x0 ", 60),
	}, "9h", "10m", []map[string]string{labelled("namespace", "shop", "objective", "journal")}},

	{"one connection in a hundred takes its session with it", "WSResilienceObjectiveMissed", map[string]string{
		`wsr_sessions_lost_total{` + shop + `, reason="gone"}`:            `0+1x600`,
		`wsr_connections_detached_total{` + shop + `, cause="heartbeat"}`: `0+99x600`,
	}, "9h", "10m", []map[string]string{labelled("namespace", "shop", "objective", "retention")}},
	{"one in two thousand", "WSResilienceObjectiveMissed", map[string]string{
		`wsr_sessions_lost_total{` + shop + `, reason="gone"}`:            `0+1x600`,
		`wsr_connections_detached_total{` + shop + `, cause="heartbeat"}`: `0+2000x600`,
	}, "9h", "", nil},
	{"a quarter of all turns is late", "WSResilienceObjectiveMissedSoon", map[string]string{
		`wsr_timer_late_seconds_bucket{` + shop + `, le="0.05"}`: `0+75x90`,
		`wsr_timer_late_seconds_count{` + shop + `}`:             `0+100x90`,
	}, "80m", "1m", []map[string]string{labelled("namespace", "shop", "objective", "forward")}},
	{"two turns in a hundred take a second", "WSResilienceSlow", map[string]string{
		`wsr_timer_late_seconds_bucket{` + shop + `, le="0.5"}`:  `0+98x60`,
		`wsr_timer_late_seconds_bucket{` + shop + `, le="1"}`:    `0+98x60`,
		`wsr_timer_late_seconds_bucket{` + shop + `, le="+Inf"}`: `0+100x60`,
	}, "10m", "1m", []map[string]string{labelled("namespace", "shop", "pod", "chat-1")}},
	{"one turn in two hundred takes a second", "WSResilienceSlow", map[string]string{
		`wsr_timer_late_seconds_bucket{` + shop + `, le="0.5"}`:  `0+199x60`,
		`wsr_timer_late_seconds_bucket{` + shop + `, le="1"}`:    `0+200x60`,
		`wsr_timer_late_seconds_bucket{` + shop + `, le="+Inf"}`: `0+200x60`,
	}, "10m", "", nil},
	{"loops that are busy", "WSResilienceBusy", map[string]string{`wsr_used_ratio{` + shop + `, of="loops"}`: `0.95x60`, `wsr_used_ratio{` + shop + `, of="memory"}`: `1x60`},
		"20m", "5m", []map[string]string{labelled("namespace", "shop", "pod", "chat-1", "of", "loops")}},
	{"settings that cannot be used", "WSResilienceSettings", map[string]string{`wsr_settings_invalid{` + shop + `}`: `0x10 1x50`, `wsr_keys_file_invalid{` + shop + `}`: `0x60`},
		"20m", "12m", []map[string]string{labelled("namespace", "shop", "pod", "chat-1")}},
	{"keys that cannot be used", "WSResilienceSettings", map[string]string{`wsr_settings_invalid{` + shop + `}`: `0x60`, `wsr_keys_file_invalid{` + shop + `}`: `1x60`},
		"20m", "2m", []map[string]string{labelled("namespace", "shop", "pod", "chat-1")}},
	{"a certificate for two days", "WSResilienceSidecarCertificate", map[string]string{`wsr_certificate_not_after_seconds{` + shop + `, of="peers"}`: `172800x60`},
		"30m", "10m", []map[string]string{labelled("namespace", "shop", "pod", "chat-1", "of", "peers")}},
	{"a certificate for four days", "WSResilienceSidecarCertificate", map[string]string{`wsr_certificate_not_after_seconds{` + shop + `, of="peers"}`: `345600x60`}, "30m", "", nil},

	{"a NATS server is not healthy", "WSResilienceNATSUnhealthy", map[string]string{`gnatsd_healthz_status_value{namespace="transport", pod="live-wsresilience-nats-1", value="unavailable"}`: `0x60`}, "10m", "2m", []map[string]string{labelled("namespace", "transport", "pod", "live-wsresilience-nats-1")}},
	{"a NATS server of others", "WSResilienceNATSUnhealthy", map[string]string{`gnatsd_healthz_status_value{namespace="other", pod="nats-1", value="unavailable"}`: `0x60`}, "10m", "", nil},
	{"nine tenths of the volume", "WSResilienceNATSDisk", map[string]string{
		`jetstream_server_total_message_bytes{namespace="transport", pod="live-wsresilience-nats-1"}`: `5.9e9x60`,
		`jetstream_server_max_storage{namespace="transport", pod="live-wsresilience-nats-1"}`:         `6.5e9x60`,
	}, "30m", "5m", []map[string]string{labelled("namespace", "transport", "pod", "live-wsresilience-nats-1")}},
	{"a stream is nearly full", "WSResilienceJournalFull", map[string]string{
		`jetstream_stream_total_bytes{pod="live-wsresilience-nats-1", account_name="shop", stream_name="WSR_0"}`: `120e6x60`,
		`jetstream_stream_limit_bytes{pod="live-wsresilience-nats-1", account_name="shop", stream_name="WSR_0"}`: `128e6x60`,
	}, "30m", "5m", []map[string]string{labelled("account_name", "shop", "stream_name", "WSR_0")}},
	{"a stream without a limit", "WSResilienceJournalFull", map[string]string{
		`jetstream_stream_total_bytes{pod="live-wsresilience-nats-1", account_name="shop", stream_name="WSR_0"}`: `120e6x60`,
		`jetstream_stream_limit_bytes{pod="live-wsresilience-nats-1", account_name="shop", stream_name="WSR_0"}`: `-1x60`,
	}, "30m", "", nil},
	{"a connection was cut off", "WSResilienceNATSSlowConsumer", map[string]string{`gnatsd_varz_slow_consumers{namespace="transport", pod="live-wsresilience-nats-1"}`: `0x10 1x110`}, "12m", "9m", []map[string]string{labelled("namespace", "transport", "pod", "live-wsresilience-nats-1")}},
}

// promtool's file of tests, as far as it is used.
type (
	promtoolTests struct {
		RuleFiles []string        `json:"rule_files"`
		Interval  string          `json:"evaluation_interval"`
		Tests     []promtoolGroup `json:"tests"`
	}
	promtoolGroup struct {
		Name     string           `json:"name"`
		Interval string           `json:"interval"`
		Series   []promtoolSeries `json:"input_series"`
		Alerts   []promtoolAlert  `json:"alert_rule_test"`
	}
	promtoolSeries struct {
		Series string `json:"series"`
		Values string `json:"values"`
	}
	promtoolAlert struct {
		At     string             `json:"eval_time"`
		Alert  string             `json:"alertname"`
		Firing []promtoolInstance `json:"exp_alerts"`
	}
	promtoolInstance struct {
		Labels      map[string]string `json:"exp_labels"`
		Annotations map[string]string `json:"exp_annotations"`
	}
)

// TestAlertsFire: Prometheus' own tool evaluates the rules over made-up
// scrapes. Each alert fires in a case, and says what it is about.
func TestAlertsFire(t *testing.T) {
	spec := the[*ruleSpec](t, decode(t, rendered(t, withAlerts)), "PrometheusRule")
	tests := promtoolTests{RuleFiles: []string{"rules.yaml"}, Interval: "1m"}
	fired := map[string]bool{}
	for _, c := range alertCases {
		rule := ruleOf(t, spec, c.alert)
		g := promtoolGroup{Name: c.name, Interval: "1m"}
		for series, values := range c.series {
			g.Series = append(g.Series, promtoolSeries{series, values})
		}
		if c.before != "" {
			g.Alerts = append(g.Alerts, promtoolAlert{At: c.before, Alert: c.alert})
		}
		due := promtoolAlert{At: c.at, Alert: c.alert}
		for _, l := range c.labels {
			i := promtoolInstance{Labels: l, Annotations: rule.annotations(l)}
			i.Labels["severity"] = rule.Labels["severity"]
			due.Firing = append(due.Firing, i)
			fired[c.alert] = true
		}
		g.Alerts = append(g.Alerts, due)
		tests.Tests = append(tests.Tests, g)
	}
	promtool(t, map[string]any{"rules.yaml": spec}, "check", "rules", "rules.yaml")
	promtool(t, map[string]any{"rules.yaml": spec, "tests.yaml": tests}, "test", "rules", "tests.yaml")
	for _, r := range spec.alerts() {
		if !fired[r.Alert] {
			t.Errorf("%s fires in no case", r.Alert)
		}
	}
}

// TestDashboardQueries: Prometheus' parser takes each of them.
func TestDashboardQueries(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chart, "files/dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1d", "$namespace", "shop", "$workload", ".*", "$pod", ".*")
	var queries []rule
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			queries = append(queries, rule{Record: "panel:query", Labels: labelled("title", p.Title, "n", strconv.Itoa(len(queries))), Expr: variables.Replace(q.Expr)})
		}
	}
	if len(queries) < 20 {
		t.Fatalf("%d queries", len(queries))
	}
	promtool(t, map[string]any{"queries.yaml": map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": queries}}}},
		"check", "rules", "queries.yaml")
}

// promtool runs Prometheus' own tool in a directory with files.
func promtool(t *testing.T, files map[string]any, args ...string) {
	t.Helper()
	bin, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: install it (apt-get install prometheus)")
	}
	dir := t.TempDir()
	for name, content := range files {
		text, err := yaml.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func ruleOf(t *testing.T, spec *ruleSpec, alert string) rule {
	t.Helper()
	all := spec.alerts()
	i := slices.IndexFunc(all, func(r rule) bool { return r.Alert == alert })
	if i < 0 {
		t.Fatalf("there is no alert %s", alert)
	}
	return all[i]
}

// annotations are what the alert says about one thing.
func (r rule) annotations(labels map[string]string) map[string]string {
	said := map[string]string{}
	for key, text := range r.Annotations {
		for name, value := range labels {
			text = strings.ReplaceAll(text, "{{ $labels."+name+" }}", value)
		}
		said[key] = text
	}
	return said
}
