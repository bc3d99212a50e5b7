package charts

import (
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// TestPodSecurity: all pods pass the standard "restricted", and go further. Those in
// the network of the node do but for that.
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
				if asked := pod.Spec.HostNetwork && result.ForbiddenReason == "host namespaces"; !result.Allowed && !asked {
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

// TestPlatformUser: nothing asks for a user or a group where the platform gives
// them, and the sidecars' settings say so.
func TestPlatformUser(t *testing.T) {
	r := decode(t, rendered(t, "platformUser: true"))
	if !configOf(t, r).Sidecar.PlatformUser || len(r.pods()) < 2 {
		t.Errorf("%d kinds of pods, or the sidecars have a user", len(r.pods()))
	}
	for owner, pod := range r.pods() {
		s := pod.Spec.SecurityContext
		if s.RunAsUser != nil || s.RunAsGroup != nil || s.FSGroup != nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot {
			t.Errorf("%s: %+v", owner, s)
		}
		for _, c := range pod.Spec.Containers {
			if c.SecurityContext.RunAsUser != nil || c.SecurityContext.RunAsGroup != nil {
				t.Errorf("%s: %+v", owner, c.SecurityContext)
			}
		}
	}
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
		keys   = "create secrets;get secrets wsresilience;update secrets wsresilience;list namespaces"
		signer = "get secrets " + fullname + "-nats-operator"
	)
	tests := []struct{ values, cluster, namespace string }{
		{"", look + ";" + bundle + ";" + keys, cert + ";" + signer},
		{shared, look + ";" + bundle + ";" + keys, cert + ";" + nats},
		{"nats: {accounts: {existingSecret: mine}}", look + ";" + bundle + ";" + keys, cert + ";get secrets mine"},
		{"nats: {bundled: {enabled: false}, url: 'nats://n', accounts: {existingSecret: mine}}", look + ";" + bundle + ";" + keys, cert + ";" + nats + ";get secrets mine"},
		{"nats: {bundled: {enabled: false}}", look + ";" + bundle + ";" + keys, cert},
		{"secrets: {managed: false}", look + ";" + bundle, cert},
		{"injector: {certManager: {enabled: true}}", look + ";" + keys, signer + ";create secrets"},
		{"{injector: {certManager: {enabled: true}}, " + shared + "}", look + ";" + keys, nats},
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
	if got := len(one[*corev1.Secret](t, decode(t, rendered(t, "")), fullname+"-nats").Data); got != 1 {
		t.Errorf("with accounts %d keys, want that of the routes", got)
	}
	bundled := decode(t, rendered(t, shared))
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

// TestNoWayToMore: no role holds what its owner could turn into more: wildcards,
// rights over roles and other identities, Secrets that are read by list, pods,
// service accounts and their tokens, or webhooks of any name.
func TestNoWayToMore(t *testing.T) {
	verbs := []string{"*", "escalate", "bind", "impersonate", "approve", "sign", "delete", "deletecollection", "watch"}
	resources := []string{"*", "pods", "serviceaccounts", "nodes", "roles", "rolebindings", "clusterroles", "clusterrolebindings", "validatingwebhookconfigurations", "certificatesigningrequests"}
	eachSet(t, func(t *testing.T, r *release) {
		var rules []rbacv1.PolicyRule
		for _, role := range of[*rbacv1.ClusterRole](r) {
			rules = append(rules, role.Rules...)
			if role.AggregationRule != nil {
				t.Errorf("%s takes in what others write", role.Name)
			}
		}
		for _, role := range of[*rbacv1.Role](r) {
			rules = append(rules, role.Rules...)
		}
		if len(rules) < 3 {
			t.Fatalf("only %d rules", len(rules))
		}
		for _, rule := range rules {
			text := strings.Join(allowed([]rbacv1.PolicyRule{rule}), "; ")
			if slices.Contains(rule.APIGroups, "*") || slices.Contains(rule.ResourceNames, "*") || len(rule.NonResourceURLs) > 0 || slices.Contains(rule.APIGroups, "rbac.authorization.k8s.io") {
				t.Errorf("%v: %s", rule.APIGroups, text)
			}
			for _, verb := range rule.Verbs {
				if slices.Contains(verbs, verb) {
					t.Errorf("%s", text)
				}
				for _, resource := range rule.Resources {
					kind, subresource, _ := strings.Cut(resource, "/")
					if slices.Contains(resources, kind) || subresource != "" {
						t.Errorf("%s", text)
					}
					// Of what is created Kubernetes does not know the name: see the policy.
					guarded := kind == "secrets" && verb != "create" || kind == "mutatingwebhookconfigurations"
					if guarded && (len(rule.ResourceNames) == 0 || verb == "list") {
						t.Errorf("%s", text)
					}
				}
			}
		}
		for _, b := range of[*rbacv1.ClusterRoleBinding](r) {
			if len(b.Subjects) != 1 || b.Subjects[0].Kind != "ServiceAccount" || b.Subjects[0].Namespace != namespace || b.RoleRef.Name != fullname+"-injector" {
				t.Errorf("%s binds %v to %s", b.Name, b.Subjects, b.RoleRef.Name)
			}
		}
	})
}

// TestSecretsAreChecked: the right to create Secrets, which has no names, comes
// with a policy of the API server for the injector's account.
func TestSecretsAreChecked(t *testing.T) {
	for _, test := range []struct {
		values      string
		validations int // 0: no policy
	}{
		{"", 3}, {"webhook: {clientCA: '-----BEGIN CERTIFICATE-----'}", 2}, {"secrets: {managed: false}", 0}, {"injector: {admissionPolicy: false}", 0},
	} {
		r := decode(t, rendered(t, test.values))
		policies := of[*admissionregistrationv1.ValidatingAdmissionPolicy](r)
		bindings := of[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](r)
		if test.validations == 0 {
			if len(policies)+len(bindings) > 0 {
				t.Errorf("%q: %d policies", test.values, len(policies))
			}
			continue
		}
		if len(policies) != 1 || len(bindings) != 1 || bindings[0].Spec.PolicyName != policies[0].Name ||
			!slices.Equal(bindings[0].Spec.ValidationActions, []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}) {
			t.Fatalf("%q: %d policies, bindings %+v", test.values, len(policies), bindings)
		}
		spec := policies[0].Spec
		account := "system:serviceaccount:" + namespace + ":" + fullname + "-injector"
		if *spec.FailurePolicy != admissionregistrationv1.Fail || len(spec.Validations) != test.validations ||
			len(spec.MatchConditions) != 1 || spec.MatchConditions[0].Expression != "request.userInfo.username == '"+account+"'" {
			t.Errorf("%q: %+v", test.values, spec)
		}
	}
	out, errs, err := helm(t, "", "template", name, chart, "--namespace", namespace, "--kube-version", "1.29.0")
	if err != nil || strings.Contains(out, "ValidatingAdmissionPolicy") {
		t.Errorf("a policy on Kubernetes 1.29, which has none: %v %s", err, errs)
	}
}
