package charts

import (
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/wsresilience/wsresilience/k8s"
)

// webhook returns the only configuration of webhooks.
func webhook(t *testing.T, r *release) *admissionv1.MutatingWebhookConfiguration {
	t.Helper()
	return one[*admissionv1.MutatingWebhookConfiguration](t, r, fullname+"-injector")
}

func matches(t *testing.T, selector *metav1.LabelSelector, set map[string]string) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(labels.Set(set))
}

// TestWhoIsAsked: which of the two entries sees a pod; never both.
func TestWhoIsAsked(t *testing.T) {
	const neither, byNamespace, byPod = "", "namespace.inject.wsresilience.io", "pod.inject.wsresilience.io"
	tests := []struct{ namespace, label, pod, want string }{
		{"chat", "", "", neither},
		{"chat", "", k8s.Disabled, neither},
		{"chat", "", k8s.Enabled, byPod},
		{"chat", k8s.Enabled, "", byNamespace},
		{"chat", k8s.Enabled, k8s.Enabled, byNamespace},
		{"chat", k8s.Enabled, k8s.Disabled, neither},
		{"chat", k8s.Disabled, "", neither},
		{"chat", k8s.Disabled, k8s.Enabled, byPod}, // the pod's wins
		{"chat", "yes", "", neither},
		{"chat", "yes", k8s.Enabled, byPod},
		{"kube-system", k8s.Enabled, k8s.Enabled, neither},
		{"kube-system", "", k8s.Enabled, neither},
		{"kube-node-lease", k8s.Enabled, "", neither},
		{"kube-public", "", k8s.Enabled, neither},
		{namespace, k8s.Enabled, "", neither}, // the injector's own
		{namespace, "", k8s.Enabled, neither},
	}
	hooks := webhook(t, decode(t, rendered(t, ""))).Webhooks
	if len(hooks) != 2 {
		t.Fatalf("%d webhooks", len(hooks))
	}
	for _, test := range tests {
		ns := map[string]string{"kubernetes.io/metadata.name": test.namespace}
		pod := map[string]string{}
		if test.label != "" {
			ns[k8s.LabelInject] = test.label
		}
		if test.pod != "" {
			pod[k8s.LabelInject] = test.pod
		}
		got := neither
		for _, hook := range hooks {
			if matches(t, hook.NamespaceSelector, ns) && matches(t, hook.ObjectSelector, pod) {
				got += hook.Name
			}
		}
		if got != test.want {
			t.Errorf("namespace %s %q, pod %q: asked %q, want %q", test.namespace, test.label, test.pod, got, test.want)
		}
	}
}

// TestHowItIsAsked: pods that are made, once more if others change them, and
// with a reason to trust the answer.
func TestHowItIsAsked(t *testing.T) {
	eachSet(t, func(t *testing.T, r *release) {
		for _, hook := range webhook(t, r).Webhooks {
			if *hook.SideEffects != admissionv1.SideEffectClassNoneOnDryRun || *hook.ReinvocationPolicy != admissionv1.IfNeededReinvocationPolicy || *hook.MatchPolicy != admissionv1.Equivalent {
				t.Errorf("%s: %v %v %v", hook.Name, *hook.SideEffects, *hook.ReinvocationPolicy, *hook.MatchPolicy)
			}
			rule := hook.Rules[0]
			if len(hook.Rules) != 1 || len(rule.Operations) != 1 || rule.Operations[0] != admissionv1.Create || len(rule.Resources) != 1 || rule.Resources[0] != "pods" || *rule.Scope != admissionv1.NamespacedScope {
				t.Errorf("%s: rules %+v", hook.Name, hook.Rules)
			}
			service := hook.ClientConfig.Service
			if service.Name != configOf(t, r).Service || service.Namespace != namespace || *service.Path != "/inject" || *service.Port != 443 {
				t.Errorf("%s: %+v", hook.Name, service)
			}
		}
	})
	for values, want := range map[string]admissionv1.FailurePolicyType{"": admissionv1.Fail, everything: admissionv1.Ignore} {
		for _, hook := range webhook(t, decode(t, rendered(t, values))).Webhooks {
			if *hook.FailurePolicy != want {
				t.Errorf("%s: %s, want %s", hook.Name, *hook.FailurePolicy, want)
			}
		}
	}
}

// TestCertificateByCertManager: it is for the Service's name, in the Secret
// that is mounted, and its authority is written to our webhook.
func TestCertificateByCertManager(t *testing.T) {
	for values, issuer := range map[string]string{
		"injector: {certManager: {enabled: true}}":                                                  fullname + "-certificate Issuer",
		"injector: {certManager: {enabled: true, issuerRef: {name: company, kind: ClusterIssuer}}}": "company ClusterIssuer",
	} {
		r := decode(t, rendered(t, values))
		spec := the[*certificateSpec](t, r, "Certificate")
		if got := spec.IssuerRef.Name + " " + spec.IssuerRef.Kind; got != issuer {
			t.Errorf("issuer %s, want %s", got, issuer)
		}
		if spec.DNSNames[0] != configOf(t, r).Service+"."+namespace+".svc" {
			t.Errorf("names %v", spec.DNSNames)
		}
		if got := webhook(t, r).Annotations["cert-manager.io/inject-ca-from"]; got != namespace+"/"+spec.SecretName {
			t.Errorf("inject-ca-from %q", got)
		}
		if issuers := len(r.custom) - 1; issuers != map[bool]int{true: 1, false: 0}[issuer != "company ClusterIssuer"] {
			t.Errorf("%d issuers", issuers)
		}
	}
}
