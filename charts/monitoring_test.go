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

var (
	metricName = regexp.MustCompile(`\b(wsr_[a-z_]+)(\{[^}]*\})?`)
	matcher    = regexp.MustCompile(`([a-z]+)(=~|=)"([^"]*)"`)
)

// asks wants that what a query asks for is there.
func asks(t *testing.T, known map[string]metric, where, query string) {
	t.Helper()
	found := metricName.FindAllStringSubmatch(query, -1)
	if len(found) == 0 {
		t.Errorf("%s asks for nothing of ours: %s", where, query)
	}
	for _, use := range found {
		name, isBucket := strings.CutSuffix(use[1], "_bucket")
		m, ok := known[name]
		if !ok || isBucket != m.histogram {
			t.Errorf("%s: there is no metric %s", where, use[1])
		}
		for _, match := range matcher.FindAllStringSubmatch(use[2], -1) {
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

// TestAlerts: they ask for metrics that are there, and say what to do.
func TestAlerts(t *testing.T) {
	known := metrics(t)
	spec := the[*ruleSpec](t, decode(t, rendered(t, "monitoring: {prometheusRule: {enabled: true}}")), "PrometheusRule")
	if len(spec.Groups) != 1 || len(spec.Groups[0].Rules) < 6 {
		t.Fatalf("groups %+v", spec.Groups)
	}
	seen := map[string]bool{}
	for _, r := range spec.Groups[0].Rules {
		asks(t, known, r.Alert, r.Expr)
		if seen[r.Alert] || !strings.HasPrefix(r.Alert, "WSResilience") {
			t.Errorf("%q is there twice, or not ours", r.Alert)
		}
		seen[r.Alert] = true
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		if len(r.Annotations.Summary) < 20 || len(r.Annotations.Description) < 80 {
			t.Errorf("%s says too little", r.Alert)
		}
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
		Title  string
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal([]byte(m.Data["wsresilience.json"]), &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) < 10 {
		t.Errorf("%d panels", len(dashboard.Panels))
	}
	seen := map[any]bool{}
	for _, p := range dashboard.Panels {
		if seen[p.ID] || seen[p.Title] || seen[p.GridPos] || len(p.Targets) == 0 {
			t.Errorf("panel %d %q is empty, or not the only one in its place", p.ID, p.Title)
		}
		seen[p.ID], seen[p.Title], seen[p.GridPos] = true, true, true
		for _, target := range p.Targets {
			asks(t, known, p.Title, target.Expr)
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
	if sidecars.PodMetricsEndpoints[0].Port != k8s.AdminPortName || !sidecars.NamespaceSelector.Any {
		t.Errorf("%+v", sidecars)
	}
	for _, c := range r.custom {
		if c.GroupVersionKind().Group == "monitoring.coreos.com" && c.Labels["release"] != "prom" {
			t.Errorf("%s has labels %v", c.Kind, c.Labels)
		}
	}
}
