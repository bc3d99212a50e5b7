package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMinor(t *testing.T) {
	server, client := start(t)
	for given, want := range map[string]int{"29": 29, "31+": 31, "": 0, "x": 0, "-3": 0} {
		server.SetMinor(given)
		if got, err := client.Minor(t.Context()); got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v", given, got, err)
		}
	}
}

func TestReads(t *testing.T) {
	server, client := start(t)
	server.AddNamespace("shop", map[string]string{"a": "b"})
	server.AddService(corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}})
	for _, fresh := range []bool{false, true} {
		if got, err := client.Namespace(t.Context(), "shop", fresh); err != nil || got.Annotations["a"] != "b" {
			t.Errorf("%v, %v", got, err)
		}
	}
	if got, err := client.Services(t.Context(), "shop"); err != nil || len(got) != 1 || got[0].Name != "web" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := client.Namespace(t.Context(), "../secrets", false); !apierrors.IsNotFound(err) {
		t.Errorf("a name with a slash leads elsewhere: %v", err)
	}
	server.Calls()
	for _, name := range []string{"..", ".", ""} {
		if _, err := client.Secret(t.Context(), name, "web"); err == nil || len(server.Calls()) > 0 {
			t.Errorf("namespace %q leads elsewhere: %v", name, err)
		}
	}
}
