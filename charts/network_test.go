package charts

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

// reaches reports whether a pod may connect to a port that a policy guards.
func reaches(t *testing.T, p *networkingv1.NetworkPolicy, port string, ns, pod map[string]string) bool {
	t.Helper()
	for _, rule := range p.Spec.Ingress {
		for _, open := range rule.Ports {
			if open.Port.String() != port {
				continue
			}
			if len(rule.From) == 0 {
				return true
			}
			for _, peer := range rule.From {
				here := peer.NamespaceSelector == nil && ns[corev1.LabelMetadataName] == p.Namespace ||
					peer.NamespaceSelector != nil && matches(t, peer.NamespaceSelector, ns)
				selector := peer.PodSelector
				if selector == nil {
					selector = &metav1.LabelSelector{}
				}
				if here && matches(t, selector, pod) {
					return true
				}
			}
		}
	}
	return false
}

// TestNetworkPolicies: who gets to which port.
func TestNetworkPolicies(t *testing.T) {
	if n := len(of[*networkingv1.NetworkPolicy](decode(t, rendered(t, "")))); n != 0 {
		t.Errorf("%d policies that nobody asked for", n)
	}
	r := decode(t, rendered(t, everything))
	policies := map[string]*networkingv1.NetworkPolicy{}
	for _, owner := range []string{"injector", "nats"} {
		policies[owner] = one[*networkingv1.NetworkPolicy](t, r, fullname+"-"+owner)
	}
	in := func(name string, labels ...string) map[string]string {
		set := map[string]string{corev1.LabelMetadataName: name}
		for i := 0; i < len(labels); i += 2 {
			set[labels[i]] = labels[i+1]
		}
		return set
	}
	nats, injector := r.pods()[fullname+"-nats"].Labels, r.pods()[fullname+"-injector"].Labels
	chat, other, home := in("chat", k8s.LabelInject, k8s.Enabled), in("other"), in(namespace)
	tests := []struct {
		policy, port string
		ns, pod      map[string]string
		want         bool
	}{
		{"injector", "webhook", other, nil, true},
		{"injector", "admin", other, nil, false},
		{"injector", "admin", in("prometheus", "team", "watch"), nil, true},
		{"nats", "client", chat, nil, true},
		{"nats", "client", in("team", "team", "chat"), nil, true},
		{"nats", "client", other, nil, false},
		{"nats", "client", other, map[string]string{k8s.LabelInject: k8s.Enabled}, false}, // anybody can write that
		{"nats", "client", in("lab", k8s.LabelInject, k8s.Pods), map[string]string{k8s.LabelInject: k8s.Enabled}, true},
		{"nats", "client", in("lab", k8s.LabelInject, k8s.Pods), nil, false},
		{"nats", "cluster", home, nats, true},
		{"nats", "cluster", home, injector, false},
		{"nats", "cluster", chat, nats, false},
		{"nats", "monitor", chat, nil, false},
	}
	for _, test := range tests {
		if got := reaches(t, policies[test.policy], test.port, test.ns, test.pod); got != test.want {
			t.Errorf("port %s of %s from %v %v: %v", test.port, test.policy, test.ns, test.pod, got)
		}
	}
}

// TestSidecarPolicies: who gets to which port of a pod with the sidecar.
func TestSidecarPolicies(t *testing.T) {
	const values = `networkPolicy: {sidecars: [
		{namespace: shop, pods: {app: web}, clientsFrom: [{namespaceSelector: {matchLabels: {team: ingress}}}], adminFrom: [{namespaceSelector: {matchLabels: {team: watch}}}]},
		{namespace: chat, pods: {app: chat}}]}`
	r := decode(t, rendered(t, strings.ReplaceAll(values, "\t", " ")))
	if all := of[*networkingv1.NetworkPolicy](r); len(all) != 2 || all[0].Namespace != "shop" || all[1].Namespace != "chat" || all[0].Spec.PodSelector.MatchLabels["app"] != "web" {
		t.Fatalf("%+v", all)
	}
	in := func(name, team string) map[string]string {
		return map[string]string{corev1.LabelMetadataName: name, "team": team}
	}
	web, chat := map[string]string{"app": "web"}, map[string]string{"app": "chat"}
	tests := []struct {
		policy, port string
		ns, pod      map[string]string
		want         bool
	}{
		{"0", "15801", in("nginx", "ingress"), nil, true},
		{"0", "15801", in("bank", ""), web, false},
		{"0", "15801", in("shop", ""), web, true},
		{"0", "15801", in("shop", ""), chat, false},
		{"0", "15802", in("prometheus", "watch"), nil, true},
		{"0", "15802", in("shop", ""), web, false},
		{"0", "15802", in("nginx", "ingress"), nil, false},
		{"0", "15803", in("shop", ""), web, true},
		{"0", "15803", in("bank", ""), web, false},
		{"0", "15803", in("nginx", "ingress"), nil, false},
		{"0", "8080", in("shop", ""), web, false},
		{"1", "15801", in("bank", ""), nil, true},
		{"1", "15802", in("chat", ""), chat, false},
		{"1", "15803", in("chat", ""), chat, true},
		{"1", "15803", in("bank", ""), chat, false},
	}
	for _, test := range tests {
		p := one[*networkingv1.NetworkPolicy](t, r, fullname+"-sidecars-"+test.policy)
		if got := reaches(t, p, test.port, test.ns, test.pod); got != test.want {
			t.Errorf("port %s of %s from %v %v: %v", test.port, p.Namespace, test.ns, test.pod, got)
		}
	}
}
