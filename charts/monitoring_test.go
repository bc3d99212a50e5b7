package charts

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/admission"
)

// A metric is what there is to ask for: its labels, with their values as far
// as those come from a list.
type metric struct {
	histogram bool
	labels    map[string][]string
}

// metrics are those of the sidecars in docs/METRICS.md, and the injector's.
func metrics(t *testing.T) map[string]metric {
	t.Helper()
	text, err := os.ReadFile("../docs/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]metric{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(wsr_[a-z_]+)` \\| ([a-z]+) \\| (.*?) \\|").FindAllStringSubmatch(string(text), -1) {
		m := metric{row[2] == "histogram", map[string][]string{}}
		for _, label := range strings.Split(row[3], ";") {
			name, values, _ := strings.Cut(strings.TrimSpace(label), ":")
			m.labels[strings.Trim(name, "`")] = strings.Split(strings.ReplaceAll(values, " ", ""), ",")
		}
		known[row[1]] = m
	}
	if len(known) < 30 {
		t.Fatalf("only %d metrics in docs/METRICS.md", len(known))
	}
	maps.Copy(known, injectorMetrics(t))
	for _, name := range natsMetrics {
		known[name] = metric{}
	}
	return known
}

// injectorMetrics are those that the injector registers.
func injectorMetrics(t *testing.T) map[string]metric {
	t.Helper()
	registry := prometheus.NewRegistry()
	admission.NewMetrics(registry, func() time.Time { return time.Time{} })
	descriptions := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descriptions)
		close(descriptions)
	}()
	known := map[string]metric{}
	for d := range descriptions {
		name := regexp.MustCompile(`fqName: "([^"]*)"`).FindStringSubmatch(d.String())
		known[name[1]] = metric{}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		known[f.GetName()] = metric{histogram: f.GetType().String() == "HISTOGRAM"}
	}
	outcomes := []string{string(k8s.Injected), string(k8s.Skipped), string(k8s.Refused), "denied"}
	known["wsr_injector_pods_total"] = metric{labels: map[string][]string{"outcome": outcomes}}
	return known
}

// natsMetrics are those of prometheus-nats-exporter that are used, as version
// 0.20.1 with the chart's arguments gave them in front of a nats-server.
var natsMetrics = []string{
	"gnatsd_healthz_status_value", "gnatsd_varz_slow_consumers", "gnatsd_varz_mem", "gnatsd_varz_connections",
	"jetstream_server_total_message_bytes", "jetstream_server_max_storage",
	"jetstream_stream_total_bytes", "jetstream_stream_limit_bytes",
}

var (
	metricName = regexp.MustCompile(`\b((?:wsr|gnatsd|jetstream)_[a-z_]+|wsr:[a-z0-9_:]+)(\{[^}]*\})?`)
	matcher    = regexp.MustCompile(`([a-z]+)(=~|!~|!=|=)"([^"]*)"`)
)

// asks wants that what a query asks for is there.
func asks(t *testing.T, known map[string]metric, where, query string) {
	t.Helper()
	found := metricName.FindAllStringSubmatch(query, -1)
	if len(found) == 0 {
		t.Errorf("%s asks for nothing of ours: %s", where, query)
	}
	for _, use := range found {
		if strings.HasPrefix(use[1], "wsr:objective:") {
			continue // TestObjectives
		}
		m, ok := known[use[1]]
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if name, is := strings.CutSuffix(use[1], suffix); is && !ok {
				m, ok = known[name], known[name].histogram
			}
		}
		if !ok || m.histogram && known[use[1]].histogram {
			t.Errorf("%s: there is no metric %s", where, use[1])
		}
		for _, match := range matcher.FindAllStringSubmatch(use[2], -1) {
			if slices.Contains([]string{"namespace", "workload", "pod", "le"}, match[1]) {
				continue // Prometheus' own
			}
			for _, value := range strings.Split(match[3], "|") {
				if !slices.Contains(m.labels[match[1]], value) {
					t.Errorf("%s: %s has no %s %q", where, name, match[1], value)
				}
			}
		}
	}
	if strings.Count(query, "(") != strings.Count(query, ")") {
		t.Errorf("%s: brackets: %s", where, query)
	}
}

// withAlerts makes all rules that there are.
const withAlerts = "{monitoring: {prometheusRule: {enabled: true}}, nats: {bundled: {exporter: {enabled: true}}}}"

// TestAlerts: they ask for metrics that are there, say what to do, and lead to
// a page that says more.
func TestAlerts(t *testing.T) {
	known := metrics(t)
	spec := the[*ruleSpec](t, decode(t, rendered(t, withAlerts)), "PrometheusRule")
	if len(spec.alerts()) < 10 {
		t.Fatalf("groups %+v", spec.Groups)
	}
	seen := map[string]bool{}
	for _, r := range spec.alerts() {
		asks(t, known, r.Alert, r.Expr)
		if seen[r.Alert] || !strings.HasPrefix(r.Alert, "WSResilience") {
			t.Errorf("%q is there twice, or not ours", r.Alert)
		}
		seen[r.Alert] = true
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		if len(r.Annotations["summary"]) < 20 || len(r.Annotations["description"]) < 80 {
			t.Errorf("%s says too little", r.Alert)
		}
		page, ok := strings.CutPrefix(r.Annotations["runbook_url"], "https://github.com/wsresilience/wsresilience/blob/main/")
		if text, err := os.ReadFile("../" + page); !ok || err != nil || !strings.HasPrefix(string(text), "# "+r.Alert+"\n") {
			t.Errorf("%s: %q is no page of its own: %v", r.Alert, r.Annotations["runbook_url"], err)
		}
	}
	pages, err := os.ReadDir("../docs/runbooks")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if name := strings.TrimSuffix(page.Name(), ".md"); name != "README" && !seen[name] {
			t.Errorf("docs/runbooks/%s: there is no such alert", page.Name())
		}
	}
}

// TestObjectives: what is promised is recorded over each time, with the share
// that may go wrong, and a number that is given replaces the one of the file.
func TestObjectives(t *testing.T) {
	known := metrics(t)
	budgets := func(values string) map[string]string {
		spec := the[*ruleSpec](t, decode(t, rendered(t, values)), "PrometheusRule")
		found := map[string]string{}
		for _, r := range spec.Groups[len(spec.Groups)-1].Rules {
			name := r.Labels["objective"]
			if name == "" || r.Record == "" {
				t.Fatalf("%+v", r)
			}
			if r.Record == "wsr:objective:budget" {
				found[name] = r.Expr
				continue
			}
			asks(t, known, name, r.Expr)
			if window := strings.TrimPrefix(r.Record, "wsr:objective:wrong_"); !strings.Contains(r.Expr, "["+window+"]") {
				t.Errorf("%s is not over %s: %s", r.Record, window, r.Expr)
			}
		}
		return found
	}
	before := budgets(withAlerts)
	after := budgets("monitoring: {prometheusRule: {enabled: true}, objectives: {resume: 95.5}}")
	if before["resume"] != "vector(0.010000)" || after["resume"] != "vector(0.045000)" || after["journal"] != before["journal"] {
		t.Errorf("budgets %v, then %v", before, after)
	}
	_, problem, err := helm(t, "monitoring: {prometheusRule: {enabled: true}, objectives: {speed: 99}}", "template", name, chart)
	if err == nil || !strings.Contains(problem, "monitoring.objectives.speed: there is no such objective, only ") {
		t.Errorf("%v: %s", err, problem)
	}
}

func TestDashboard(t *testing.T) {
	known := metrics(t)
	r := decode(t, rendered(t, "monitoring: {dashboard: {enabled: true}}"))
	m := one[*corev1.ConfigMap](t, r, fullname+"-dashboard")
	if m.Labels["grafana_dashboard"] != "1" {
		t.Errorf("labels %v", m.Labels)
	}
	var dashboard struct {
		Title      string
		Templating struct{ List []struct{ Name string } }
		Panels     []struct {
			ID      int
			Title   string
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal([]byte(m.Data["wsresilience.json"]), &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) < 20 {
		t.Errorf("%d panels", len(dashboard.Panels))
	}
	var variables []string
	for _, v := range dashboard.Templating.List {
		variables = append(variables, v.Name)
	}
	if want := []string{"datasource", "namespace", "workload", "pod"}; !slices.Equal(variables, want) {
		t.Errorf("variables %v, want %v", variables, want)
	}
	seen := map[any]bool{}
	for _, p := range dashboard.Panels {
		if seen[p.ID] || seen[p.Type+p.Title] || seen[p.GridPos] || len(p.Targets) == 0 != (p.Type == "row") {
			t.Errorf("panel %d %q is empty, or not the only one in its place", p.ID, p.Title)
		}
		seen[p.ID], seen[p.Type+p.Title], seen[p.GridPos] = true, true, true
		for _, target := range p.Targets {
			asks(t, known, p.Title, target.Expr)
			for _, use := range metricName.FindAllStringSubmatch(target.Expr, -1) {
				ofSidecar := strings.HasPrefix(use[1], "wsr_") && !strings.HasPrefix(use[1], "wsr_injector_")
				if ofSidecar && !strings.Contains(use[2], `namespace=~"$namespace",workload=~"$workload",pod=~"$pod"`) {
					t.Errorf("%s: %s is not of the pods that are chosen", p.Title, use[0])
				}
			}
		}
	}
}

// TestMonitors: they find the injector's Service, and the sidecars by the name
// of their port, and nothing is made unless asked for.
func TestMonitors(t *testing.T) {
	if r := decode(t, rendered(t, "")); len(r.custom) != 0 {
		t.Errorf("%d objects of operators that may not be there", len(r.custom))
	}
	r := decode(t, rendered(t, everything))
	service := one[*corev1.Service](t, r, fullname+"-injector")
	monitor := the[*monitorSpec](t, r, "ServiceMonitor")
	if !matches(t, &monitor.Selector, service.Labels) || matches(t, &monitor.Selector, one[*corev1.Service](t, r, fullname+"-nats").Labels) {
		t.Errorf("selector %v", monitor.Selector)
	}
	if port := monitor.Endpoints[0].Port; !slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == port }) {
		t.Errorf("the Service has no port %s", port)
	}
	sidecars := the[*monitorSpec](t, r, "PodMonitor")
	if sidecars.PodMetricsEndpoints[0].Port != k8s.AdminPortName || !sidecars.NamespaceSelector.Any || len(sidecars.PodMetricsEndpoints[0].Relabelings) == 0 {
		t.Errorf("%+v", sidecars)
	}
	for _, c := range r.custom {
		if c.GroupVersionKind().Group == "monitoring.coreos.com" && c.Labels["release"] != "prom" {
			t.Errorf("%s has labels %v", c.Kind, c.Labels)
		}
	}
}

// TestNATSMonitor: the bundled servers are watched when that is asked for.
func TestNATSMonitor(t *testing.T) {
	r := decode(t, rendered(t, "{monitoring: {podMonitor: {enabled: true}}, nats: {bundled: {exporter: {enabled: true}}}}"))
	pod := r.pods()[fullname+"-nats"]
	var found int
	for _, c := range r.custom {
		m, ok := c.spec.(*monitorSpec)
		if !ok || c.Name != fullname+"-nats" {
			continue
		}
		found++
		if !matches(t, &m.Selector, pod.Labels) || matches(t, &m.Selector, r.pods()[fullname+"-injector"].Labels) {
			t.Errorf("selector %v", m.Selector)
		}
		has := func(c corev1.Container) bool {
			return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == m.PodMetricsEndpoints[0].Port })
		}
		if !slices.ContainsFunc(pod.Spec.Containers, has) {
			t.Errorf("no container has the port %s", m.PodMetricsEndpoints[0].Port)
		}
	}
	if found != 1 {
		t.Errorf("%d monitors of NATS", found)
	}
}
