package charts

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// What the operator labels is labelled, and what pods are selected by stays.
func TestLabels(t *testing.T) {
	r := decode(t, rendered(t, everything))
	d := one[*appsv1.Deployment](t, r, fullname+"-injector")
	s := one[*appsv1.StatefulSet](t, r, fullname+"-nats")
	for name, labels := range map[string]map[string]string{
		"deployment": d.Labels, "its pods": d.Spec.Template.Labels, "statefulset": s.Labels, "its pods too": s.Spec.Template.Labels,
	} {
		if labels["cost"] != "42" || labels["app.kubernetes.io/name"] != chart {
			t.Errorf("%s: %v", name, labels)
		}
		if pods := strings.HasPrefix(name, "its"); pods != (labels["c"] == "3") {
			t.Errorf("%s: podLabels: %v", name, labels)
		}
	}
	for _, selector := range []map[string]string{d.Spec.Selector.MatchLabels, s.Spec.Selector.MatchLabels} {
		if len(selector) != 3 || selector["cost"] != "" {
			t.Errorf("selected by %v", slices.Sorted(maps.Keys(selector)))
		}
	}
}

// Sidecars' pods get the Secrets for the registry by name.
func TestPullSecretsAreHandedOn(t *testing.T) {
	if got := configOf(t, decode(t, rendered(t, everything))).Sidecar.PullSecrets; !reflect.DeepEqual(got, []string{"registry", "other"}) {
		t.Errorf("%q", got)
	}
}

// In the network of the node the injector has the ports that were chosen, and a
// rollout does not wait for them.
func TestHostNetwork(t *testing.T) {
	d := one[*appsv1.Deployment](t, decode(t, rendered(t, "injector: {hostNetwork: true, port: 10260, adminPort: 10261}")), fullname+"-injector")
	pod, c := d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
	if !pod.HostNetwork || pod.DNSPolicy != "ClusterFirstWithHostNet" || c.Ports[0].ContainerPort != 10260 || c.Ports[1].ContainerPort != 10261 {
		t.Errorf("%v %s %v", pod.HostNetwork, pod.DNSPolicy, c.Ports)
	}
	if command := strings.Join(c.Command, " "); !strings.Contains(command, "-listen :10260 -admin :10261") {
		t.Error(command)
	}
	if rolling := d.Spec.Strategy.RollingUpdate; rolling.MaxSurge.IntValue() != 0 || rolling.MaxUnavailable.IntValue() != 1 {
		t.Errorf("%+v", rolling)
	}
}

// An operator changes a bound, a time or a severity, or goes without an alert. A
// name that is none, and a bound where there is none, are refused.
func TestAlertsAreChanged(t *testing.T) {
	const with = "monitoring: {prometheusRule: {enabled: true, alerts: {%}}}"
	of := func(alerts string) map[string]rule {
		found := map[string]rule{}
		for _, r := range the[*ruleSpec](t, decode(t, rendered(t, strings.Replace(with, "%", alerts, 1))), "PrometheusRule").alerts() {
			found[r.Alert] = r
		}
		return found
	}
	before := of("")
	after := of("WSResilienceResets: {threshold: 0.1, for: 20m, severity: info}, WSResilienceCertificate: {threshold: 86400}, WSResiliencePanic: {enabled: false}")
	if got := after["WSResilienceResets"]; !strings.HasSuffix(strings.TrimSpace(got.Expr), "> 0.1") || got.For != "20m" || got.Labels["severity"] != "info" {
		t.Errorf("%+v", got)
	}
	if got := after["WSResilienceCertificate"].Expr; got != "min(wsr_injector_certificate_expiry_seconds) - time() < 86400" {
		t.Error(got)
	}
	if _, there := after["WSResiliencePanic"]; there || len(after) != len(before)-1 {
		t.Errorf("%d alerts of %d", len(after), len(before))
	}
	for _, name := range []string{"WSResilienceResets", "WSResilienceCertificate", "WSResiliencePanic"} {
		delete(before, name)
		delete(after, name)
	}
	if !reflect.DeepEqual(before, after) {
		t.Error("others changed too")
	}
	for alerts, want := range map[string]string{
		"WSResilienceReset: {for: 1m}":             "no such alert, only WSResilienceInjectorDown",
		"WSResilienceSettings: {threshold: 1}":     "has no threshold",
		"WSResilienceInjectorDown: {threshold: 1}": "has no threshold",
		"WSResilienceResets: {threshold: much}":    "threshold",
		"WSResilienceResets: {above: 1}":           "above",
		"WSResilienceResets: {for: a while}":       "for",
	} {
		_, errs, err := helm(t, strings.Replace(with, "%", alerts, 1), "template", name, chart)
		if err == nil || !strings.Contains(errs, want) {
			t.Errorf("%s: %v %s", alerts, err, errs)
		}
	}
}
