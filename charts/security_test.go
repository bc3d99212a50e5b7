package charts

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// TestPodSecurity: all pods pass the standard "restricted", and go further.
func TestPodSecurity(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	eachSet(t, func(t *testing.T, r *release) {
		if len(r.pods()) < 2 {
			t.Errorf("only %d kinds of pods", len(r.pods()))
		}
		for owner, pod := range r.pods() {
			for _, result := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
				if !result.Allowed {
					t.Errorf("%s: %s: %s", owner, result.ForbiddenReason, result.ForbiddenDetail)
				}
			}
			for _, c := range pod.Spec.Containers {
				if ro := c.SecurityContext.ReadOnlyRootFilesystem; ro == nil || !*ro {
					t.Errorf("%s may write to its image", owner)
				}
				if c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
					t.Errorf("%s has resources %+v", owner, c.Resources)
				}
			}
		}
	})
}

// allowed lists what a role allows: verb resource, and the names if limited.
func allowed(rules []rbacv1.PolicyRule) (list []string) {
	for _, rule := range rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				list = append(list, strings.TrimSpace(verb+" "+resource+" "+strings.Join(rule.ResourceNames, ",")))
			}
		}
	}
	slices.Sort(list)
	return list
}

// TestPermissions: the injector may do this and nothing else.
func TestPermissions(t *testing.T) {
	const (
		own    = fullname + "-injector"
		bundle = "get mutatingwebhookconfigurations " + own + ";patch mutatingwebhookconfigurations " + own
		cert   = "create secrets;get secrets " + fullname + "-certificate;update secrets " + fullname + "-certificate"
		nats   = "get secrets " + fullname + "-nats"
		look   = "create events;get namespaces;list services"
		keys   = "create secrets;get secrets wsresilience;update secrets wsresilience"
	)
	tests := []struct{ values, cluster, namespace string }{
		{"", look + ";" + bundle + ";" + keys, cert + ";" + nats},
		{"nats: {bundled: {enabled: false}}", look + ";" + bundle + ";" + keys, cert},
		{"secrets: {managed: false}", look + ";" + bundle, cert},
		{"injector: {certManager: {enabled: true}}", look + ";" + keys, nats},
		{"{secrets: {managed: false}, injector: {certManager: {enabled: true}}}", look, ""},
	}
	sorted := func(list string) string {
		parts := strings.Split(list, ";")
		slices.Sort(parts)
		return strings.Join(parts, "\n")
	}
	for _, test := range tests {
		r := decode(t, rendered(t, test.values))
		var got string
		for _, role := range of[*rbacv1.Role](r) {
			got += strings.Join(allowed(role.Rules), "\n")
		}
		if got != sorted(test.namespace) {
			t.Errorf("%q: in its namespace\n%s\nwant\n%s", test.values, got, sorted(test.namespace))
		}
		got = strings.Join(allowed(one[*rbacv1.ClusterRole](t, r, own).Rules), "\n")
		if got != sorted(test.cluster) {
			t.Errorf("%q: everywhere\n%s\nwant\n%s", test.values, got, sorted(test.cluster))
		}
	}
}

// TestNoPasswordOutsideOfSecrets: what is secret is in Secrets only.
func TestNoPasswordOutsideOfSecrets(t *testing.T) {
	const url = "nats://me:hunter2@nats.example:4222"
	r := decode(t, rendered(t, "nats: {bundled: {enabled: false}, url: '"+url+"'}"))
	if got := one[*corev1.Secret](t, r, fullname+"-nats").Data["nats-url"]; string(got) != url {
		t.Errorf("the Secret has %q", got)
	}
	for _, m := range of[*corev1.ConfigMap](r) {
		for key, text := range m.Data {
			if strings.Contains(text, "hunter2") {
				t.Errorf("%s in %s has the password", key, m.Name)
			}
		}
	}
	bundled := decode(t, rendered(t, ""))
	secret := one[*corev1.Secret](t, bundled, fullname+"-nats")
	if len(secret.Data) != 3 || secret.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Errorf("%d keys, annotations %v", len(secret.Data), secret.Annotations)
	}
	for _, s := range of[*appsv1.StatefulSet](bundled) {
		if strings.Contains(s.String(), string(secret.Data["password"])) {
			t.Errorf("%s has the password", s.Name)
		}
	}
}
