package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/cluster"
)

// injectedPod is a pod of a Deployment with a sidecar of an image.
func injectedPod(namespace, deployment string, n int, image string) corev1.Pod {
	yes := true
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: fmt.Sprintf("%s-abc-%d", deployment, n),
			Labels: map[string]string{"pod-template-hash": "abc"}, Annotations: map[string]string{k8s.AnnotationStatus: "{}"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: deployment + "-abc", Controller: &yes}},
		},
		Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Name: k8s.SidecarContainer, Image: image}}, Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
}

func injectorPod(image string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "wsresilience", Name: "i", Labels: map[string]string{"app.kubernetes.io/name": "wsresilience", "app.kubernetes.io/component": "injector"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "injector", Image: image}}},
	}
}

// Pods keep the sidecar that they were made with: those whose image is not that of the
// injectors are listed, by what made them.
func TestOldSidecars(t *testing.T) {
	bare := injectedPod("shop", "bare", 0, "wsr:1")
	bare.OwnerReferences, bare.Name = nil, "bare"
	agent := injectedPod("bots", "meter", 0, "wsr:1")
	agent.Spec.InitContainers[0].Name, agent.OwnerReferences[0].Kind, agent.OwnerReferences[0].Name = k8s.AgentContainer, "StatefulSet", "meter"
	over := injectedPod("shop", "job", 0, "wsr:1")
	over.Status.Phase = corev1.PodSucceeded
	foreign := injectedPod("shop", "other", 0, "wsr:1")
	foreign.Annotations = nil
	old, current := oldSidecars([]corev1.Pod{
		injectedPod("shop", "web", 1, "wsr:1"), injectedPod("shop", "web", 2, "wsr:1"), injectedPod("shop", "web", 3, "wsr:2"),
		bare, agent, over, foreign, injectorPod("wsr:2"),
	}, "wsr:2")
	want := []staleWorkload{{"bots", "statefulset/meter", "wsr:1", 1}, {"shop", "deployment/web", "wsr:1", 2}, {"shop", "pod/bare", "wsr:1", 1}}
	if !reflect.DeepEqual(old, want) || current != 1 {
		t.Errorf("%v, %d current", old, current)
	}
}

func TestCurrentImage(t *testing.T) {
	for _, tt := range []struct {
		pods []corev1.Pod
		want string // the image, or of the error
	}{
		{nil, "no injector runs"},
		{[]corev1.Pod{injectorPod("wsr:2"), injectorPod("wsr:2")}, "wsr:2"},
		{[]corev1.Pod{injectorPod("wsr:1"), injectorPod("wsr:2")}, "wsr:1 and wsr:2"},
	} {
		image, err := currentImage(tt.pods)
		if err != nil {
			image = err.Error()
		}
		if !strings.Contains(image, tt.want) {
			t.Errorf("%s, want %s", image, tt.want)
		}
	}
}

// The command reads the pods of all namespaces, page after page.
func TestCheckOld(t *testing.T) {
	pages := [][]corev1.Pod{{injectorPod("wsr:2"), injectedPod("shop", "web", 1, "wsr:1")}, {injectedPod("shop", "web", 2, "wsr:1"), injectedPod("chat", "room", 1, "wsr:2")}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/pods" || r.URL.Query().Get("limit") == "" {
			t.Errorf("asked for %s", r.URL)
		}
		list := corev1.PodList{Items: pages[0]}
		if list.Continue = "more"; r.URL.Query().Get("continue") == "more" {
			list = corev1.PodList{Items: pages[1]}
		}
		_ = json.NewEncoder(w).Encode(list)
	}))
	defer server.Close()
	c, err := cluster.New(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	for image, want := range map[string]struct {
		code int
		says string
	}{
		"":      {exitFailed, "1 pods have the sidecar of wsr:2\nNAMESPACE  WORKLOAD        PODS  SIDECAR\nshop       deployment/web  2     wsr:1\n"},
		"wsr:1": {exitFailed, "2 pods have the sidecar of wsr:1\nNAMESPACE  WORKLOAD         PODS  SIDECAR\nchat       deployment/room  1     wsr:2\n"},
	} {
		var out, errs bytes.Buffer
		if code := listOld(t.Context(), c, image, &out, &errs); code != want.code || !strings.HasPrefix(out.String(), want.says) {
			t.Errorf("%q: exit code %d, %q, %q", image, code, out.String(), errs.String())
		}
	}
}
