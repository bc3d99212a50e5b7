package k8s_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wsresilience/wsresilience/k8s"
)

// TestBypassing: which Services pass the sidecar by, in the mode named. The
// app's port is 8080, named http.
func TestBypassing(t *testing.T) {
	number, name := intstr.FromInt32, intstr.FromString
	ports := func(list ...corev1.ServicePort) []corev1.ServicePort { return list }
	chat := map[string]string{"app": "chat"}
	tests := []struct {
		name     string
		selector map[string]string
		spec     corev1.ServiceSpec
		want     []string // a part of each sentence
	}{
		{"named target", chat, corev1.ServiceSpec{Ports: ports(corev1.ServicePort{Port: 80, TargetPort: name("http")})}, nil},
		{"numeric target", chat, corev1.ServiceSpec{Ports: ports(corev1.ServicePort{Port: 80, TargetPort: number(8080)})}, []string{"port 80, reaches the app's port 8080 past the sidecar. Write targetPort: http."}},
		{"unset target, the app's number", chat, corev1.ServiceSpec{Ports: ports(corev1.ServicePort{Port: 8080})}, []string{"port 8080, reaches"}},
		{"unset target, another number", chat, corev1.ServiceSpec{Ports: ports(corev1.ServicePort{Port: 80})}, nil},
		{"a number as a text is a name, which no port has", chat, corev1.ServiceSpec{Ports: ports(corev1.ServicePort{Port: 80, TargetPort: name("8080")})}, nil},
		{"the name behind the sidecar", chat, corev1.ServiceSpec{Ports: ports(corev1.ServicePort{Port: 80, TargetPort: name("wsr-http")})}, []string{"port 80, reaches"}},
		{"the sidecar's number", chat, corev1.ServiceSpec{Ports: ports(corev1.ServicePort{Port: 80, TargetPort: number(15801)})}, nil},
		{"several ports", chat, corev1.ServiceSpec{Ports: ports(
			corev1.ServicePort{Port: 80, TargetPort: name("http")}, corev1.ServicePort{Port: 81, TargetPort: number(8080)},
			corev1.ServicePort{Port: 9090, TargetPort: number(9090)}, corev1.ServicePort{Port: 82, TargetPort: number(8080), Protocol: corev1.ProtocolTCP},
		)}, []string{"port 81, reaches", "port 82, reaches"}},
		{"UDP", chat, corev1.ServiceSpec{Ports: ports(corev1.ServicePort{Port: 80, TargetPort: number(8080), Protocol: corev1.ProtocolUDP})}, nil},
		{"another selector", map[string]string{"app": "shop"}, corev1.ServiceSpec{Ports: ports(corev1.ServicePort{Port: 80, TargetPort: number(8080)})}, nil},
		{"a selector that asks for more", map[string]string{"app": "chat", "tier": "x"}, corev1.ServiceSpec{Ports: ports(corev1.ServicePort{Port: 80, TargetPort: number(8080)})}, nil},
		{"no selector", nil, corev1.ServiceSpec{Ports: ports(corev1.ServicePort{Port: 80, TargetPort: number(8080)})}, nil},
		{"an alias", chat, corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, Ports: ports(corev1.ServicePort{Port: 80, TargetPort: number(8080)})}, nil},
		{"headless, the app's number", chat, corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: ports(corev1.ServicePort{Port: 8080, TargetPort: name("http")})}, []string{"is headless, and who calls its pods at port 8080"}},
		{"headless, numeric target", chat, corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: ports(corev1.ServicePort{Port: 80, TargetPort: number(8080)})}, []string{"is headless"}},
		{"headless, another number", chat, corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: ports(corev1.ServicePort{Port: 80, TargetPort: name("http")})}, nil},
		{"headless, no port", chat, corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}, nil},
	}
	pod := podWith(nil)
	pod.Labels = map[string]string{"app": "chat", "version": "1"}
	injected, _, err := k8s.Inject(pod, nil, settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.spec.Selector = test.selector
			got := k8s.Bypassing(injected, []corev1.Service{{ObjectMeta: metav1.ObjectMeta{Name: "chat"}, Spec: test.spec}})
			if !slices.EqualFunc(got, test.want, strings.Contains) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestBypassingByMode: with the mode redirect no Service passes the sidecar by,
// with explicit each that does not name its number.
func TestBypassingByMode(t *testing.T) {
	services := []corev1.Service{{ObjectMeta: metav1.ObjectMeta{Name: "chat"}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": "chat"},
		Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}},
	}}}
	for mode, want := range map[k8s.Mode]string{
		k8s.ModeNamed: "", k8s.ModeRedirect: "", k8s.ModeExplicit: "Service chat, port 80, reaches the app's port 8080 past the sidecar. Write targetPort: 15801.",
	} {
		pod := podWith(map[string]string{k8s.AnnotationMode: string(mode)})
		pod.Labels = map[string]string{"app": "chat"}
		if got := k8s.Bypassing(pod, services); got != nil {
			t.Errorf("%s, not injected: %q", mode, got)
		}
		injected, _, err := k8s.Inject(pod, nil, settings)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(k8s.Bypassing(injected, services), "|"); got != want {
			t.Errorf("%s: %q, want %q", mode, got, want)
		}
	}
}
