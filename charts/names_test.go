package charts

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestNames: everything is in the release's namespace, or in none, under one
// name of its kind, and labelled.
func TestNames(t *testing.T) {
	eachSet(t, func(t *testing.T, r *release) {
		seen := map[string]bool{}
		for _, o := range r.objects {
			a := access(o)
			kind := o.GetObjectKind().GroupVersionKind().Kind
			clusterWide := strings.HasPrefix(kind, "Cluster") || kind == "MutatingWebhookConfiguration" || strings.HasPrefix(kind, "ValidatingAdmissionPolicy")
			want := map[bool]string{true: "", false: namespace}[clusterWide]
			if strings.Contains(a.GetName(), "-sidecars-") {
				want = "shop" // where its pods are
			}
			if a.GetNamespace() != want {
				t.Errorf("%s %s is in %q, want %q", kind, a.GetName(), a.GetNamespace(), want)
			}
			if id := kind + " " + a.GetName(); seen[id] {
				t.Errorf("%s is there twice", id)
			} else {
				seen[id] = true
			}
			if !strings.HasPrefix(a.GetName(), fullname) {
				t.Errorf("%s %s does not begin with the release's name", kind, a.GetName())
			}
			if l := a.GetLabels(); l["app.kubernetes.io/instance"] != name || l["helm.sh/chart"] == "" {
				t.Errorf("%s %s has labels %v", kind, a.GetName(), l)
			}
		}
	})
}

// TestSelectors: what selects pods selects those of one workload, and names
// ports that they have.
func TestSelectors(t *testing.T) {
	eachSet(t, func(t *testing.T, r *release) {
		for _, d := range of[*appsv1.Deployment](r) {
			selects(t, r, "Deployment "+d.Name, *d.Spec.Selector, d.Name)
		}
		for _, s := range of[*appsv1.StatefulSet](r) {
			selects(t, r, "StatefulSet "+s.Name, *s.Spec.Selector, s.Name)
			if one[*corev1.Service](t, r, s.Spec.ServiceName).Spec.ClusterIP != corev1.ClusterIPNone {
				t.Errorf("%s is not headless", s.Spec.ServiceName)
			}
		}
		for _, s := range of[*corev1.Service](r) {
			owner := strings.TrimSuffix(s.Name, "-routes")
			selects(t, r, "Service "+s.Name, metav1.LabelSelector{MatchLabels: s.Spec.Selector}, owner)
			for _, p := range s.Spec.Ports {
				hasPort(t, r, owner, p.TargetPort)
			}
		}
		for _, p := range of[*policyv1.PodDisruptionBudget](r) {
			selects(t, r, "PodDisruptionBudget "+p.Name, *p.Spec.Selector, p.Name)
		}
		for _, p := range of[*networkingv1.NetworkPolicy](r) {
			if p.Namespace != namespace {
				continue // for pods that are not the chart's
			}
			selects(t, r, "NetworkPolicy "+p.Name, p.Spec.PodSelector, p.Name)
			for _, rule := range p.Spec.Ingress {
				for _, port := range rule.Ports {
					hasPort(t, r, p.Name, *port.Port)
				}
			}
		}
		for owner, pod := range r.pods() {
			for _, c := range pod.Spec.TopologySpreadConstraints {
				selects(t, r, owner+"'s spread", *c.LabelSelector, owner)
			}
			for _, c := range pod.Spec.Containers {
				for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
					if probe != nil {
						hasPort(t, r, owner, probe.HTTPGet.Port)
					}
				}
			}
		}
	})
}

// selects wants that a selector matches the pods of owner and no others.
func selects(t *testing.T, r *release, what string, selector metav1.LabelSelector, owner string) {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.pods()[owner]; !ok {
		t.Errorf("%s: there is no %s", what, owner)
	}
	for name, pod := range r.pods() {
		if got := s.Matches(labels.Set(pod.Labels)); got != (name == owner) {
			t.Errorf("%s selects %s: %v", what, name, got)
		}
	}
}

func hasPort(t *testing.T, r *release, owner string, port intstr.IntOrString) {
	t.Helper()
	for _, c := range r.pods()[owner].Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == port.StrVal {
				return
			}
		}
	}
	t.Errorf("%s has no port %s", owner, port.String())
}

// TestReferences: every ConfigMap, Secret and account that is named is there,
// or somebody is known to make it.
func TestReferences(t *testing.T) {
	given := map[string]bool{"my-nats": true, "passwords": true, "registry": true, "keys": true}
	eachSet(t, func(t *testing.T, r *release) {
		// The injector or cert-manager makes this one.
		made := map[string]bool{fullname + "-certificate": true}
		if a := configOf(t, r).Secrets.Accounts; a != nil && a.Make {
			made[a.Secret] = true
		}
		for _, s := range of[*corev1.Secret](r) {
			made[s.Name] = true
		}
		secret := func(what, name string) {
			if !made[name] && !given[name] {
				t.Errorf("%s names the Secret %s, which nobody makes", what, name)
			}
		}
		for owner, pod := range r.pods() {
			for _, v := range pod.Spec.Volumes {
				if v.ConfigMap != nil {
					one[*corev1.ConfigMap](t, r, v.ConfigMap.Name)
				}
				if v.Secret != nil {
					secret(owner, v.Secret.SecretName)
				}
			}
			for _, s := range pod.Spec.ImagePullSecrets {
				secret(owner, s.Name)
			}
			if a := pod.Spec.ServiceAccountName; a != "" {
				one[*corev1.ServiceAccount](t, r, a)
			} else if m := pod.Spec.AutomountServiceAccountToken; m == nil || *m {
				t.Errorf("%s has a token of the API that it does not use", owner)
			}
			for _, c := range pod.Spec.Containers {
				for _, e := range c.Env {
					if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
						ref := e.ValueFrom.SecretKeyRef
						secret(owner, ref.Name)
						if s := of[*corev1.Secret](r); !given[ref.Name] && s[0].Data[ref.Key] == nil {
							t.Errorf("%s: the Secret %s has no %s", owner, ref.Name, ref.Key)
						}
					}
				}
			}
		}
		for _, b := range of[*rbacv1.RoleBinding](r) {
			one[*rbacv1.Role](t, r, b.RoleRef.Name)
			one[*corev1.ServiceAccount](t, r, b.Subjects[0].Name)
		}
		for _, b := range of[*rbacv1.ClusterRoleBinding](r) {
			one[*rbacv1.ClusterRole](t, r, b.RoleRef.Name)
			one[*corev1.ServiceAccount](t, r, b.Subjects[0].Name)
		}
	})
}
