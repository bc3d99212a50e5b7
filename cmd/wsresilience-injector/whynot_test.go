package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wsresilience/wsresilience/k8s"
)

// ourWebhooks are those of the chart.
func ourWebhooks(bundle string) []admissionregistrationv1.MutatingWebhookConfiguration {
	in := func(key string, op metav1.LabelSelectorOperator, values ...string) metav1.LabelSelectorRequirement {
		return metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: values}
	}
	never := in("kubernetes.io/metadata.name", metav1.LabelSelectorOpNotIn, "wsresilience", "kube-system")
	webhook := func(name string, namespace, object metav1.LabelSelectorRequirement) admissionregistrationv1.MutatingWebhook {
		return admissionregistrationv1.MutatingWebhook{
			Name: name + webhookSuffix, ClientConfig: admissionregistrationv1.WebhookClientConfig{CABundle: []byte(bundle)},
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{namespace, never}},
			ObjectSelector:    &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{object}},
		}
	}
	return []admissionregistrationv1.MutatingWebhookConfiguration{{Webhooks: []admissionregistrationv1.MutatingWebhook{
		webhook("namespace", in(k8s.LabelInject, metav1.LabelSelectorOpIn, k8s.Enabled), in(k8s.LabelInject, metav1.LabelSelectorOpNotIn, k8s.Disabled)),
		webhook("pod", in(k8s.LabelInject, metav1.LabelSelectorOpNotIn, k8s.Enabled), in(k8s.LabelInject, metav1.LabelSelectorOpIn, k8s.Enabled)),
	}}}
}

// shopPod is a pod that should have the sidecar, in a namespace that asks for it,
// in a cluster that injects a copy of it.
func shopPod() *podCase {
	k := &podCase{
		pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Labels: map[string]string{"app": "web"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "app", Image: "app", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
		}}}},
		namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{k8s.LabelInject: k8s.Enabled, "kubernetes.io/metadata.name": "shop"}}},
		webhooks:  ourWebhooks("bundle"),
	}
	k.copied, _, _ = k8s.Inject(k.pod, nil, k8s.Settings{Image: someImage})
	return k
}

func TestWhyNot(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*podCase)
		has    bool
		says   string
	}{
		{"injected", func(k *podCase) { k.pod = k.copied }, true, "has the sidecar"},
		{"injected, and a Service passes it by", func(k *podCase) {
			k.pod = k.copied
			k.services = []corev1.Service{{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{
				Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
			}}}
		}, true, "past the sidecar"},
		{"older than the label", func(*podCase) {}, false, "rollout restart"},
		{"no injector", func(k *podCase) { k.webhooks = nil }, false, "no injector is installed"},
		{"no label", func(k *podCase) { delete(k.namespace.Labels, k8s.LabelInject) }, false, "kubectl label namespace shop"},
		{"a label that says nothing", func(k *podCase) { k.namespace.Labels[k8s.LabelInject] = "true" }, false, "allowed are enabled and pods"},
		{"left to pods", func(k *podCase) { k.namespace.Labels[k8s.LabelInject] = k8s.Pods }, false, "leaves it to the pods"},
		{"forbidden by the pod", func(k *podCase) { k.pod.Labels[k8s.LabelInject] = k8s.Disabled }, false, "its label"},
		{"an excluded namespace", func(k *podCase) { k.namespace.Labels["kubernetes.io/metadata.name"] = "kube-system" }, false, "never acts"},
		{"no bundle", func(k *podCase) { k.webhooks = ourWebhooks("") }, false, "no CA bundle"},
		{"the host's network", func(k *podCase) { k.pod.Spec.HostNetwork = true }, false, "HostNetwork"},
		{"no port", func(k *podCase) { k.pod.Spec.Containers[0].Ports = nil }, false, "port"},
		{"an annotation that cannot be meant", func(k *podCase) { k.pod.Annotations = map[string]string{k8s.AnnotationMode: "x"} }, false, k8s.AnnotationMode},
		{"a copy is refused", func(k *podCase) { k.copied, k.tryErr = nil, errors.New("quota") }, false, "would be refused now"},
		{"the injector is not reached", func(k *podCase) { k.copied = k.pod }, false, "does not reach the injector"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := shopPod()
			c.change(k)
			has, lines := k.explain()
			if has != c.has || !strings.Contains(strings.Join(lines, "\n"), c.says) {
				t.Errorf("%v, %q; want %v, %q", has, lines, c.has, c.says)
			}
		})
	}
}

// TestCheckPod asks an API server, which makes nothing.
func TestCheckPod(t *testing.T) {
	k := shopPod()
	mux := http.NewServeMux()
	answers := func(pattern string, object any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet && r.URL.Query().Get("dryRun") != "All" {
				t.Errorf("%s %s is no dry run", r.Method, r.URL)
			}
			_ = json.NewEncoder(w).Encode(object) // the client tells
		})
	}
	answers("GET /api/v1/namespaces/shop/pods/web", k.pod)
	answers("POST /api/v1/namespaces/shop/pods", k.copied)
	answers("GET /api/v1/namespaces/shop", k.namespace)
	answers("GET /api/v1/namespaces/shop/services", corev1.ServiceList{})
	answers("GET /apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", admissionregistrationv1.MutatingWebhookConfigurationList{Items: k.webhooks})
	server := httptest.NewServer(mux)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"apiVersion":"v1","kind":"Config","current-context":"t","clusters":[{"name":"t","cluster":{"server":"` + server.URL + `"}}],"contexts":[{"name":"t","context":{"cluster":"t"}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", file)
	for _, c := range []struct {
		pod  string
		code int
		says string
	}{
		{"shop/web", exitFailed, "shop/web has no sidecar: it was created before"},
		{"shop/other", exitFailed, "404"},
		{"web", exitUsage, "NAMESPACE/NAME"},
	} {
		var out bytes.Buffer
		if code := checkCommand(t.Context(), []string{"-pod", c.pod}, &out, &out); code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: %d, %s", c.pod, code, out.String())
		}
	}
}
