package k8s_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wsresilience/wsresilience/k8s"
)

// touched are the paths that a patch may name.
var touched = regexp.MustCompile(`^/metadata/annotations(/wsresilience\.io~1status|/cluster-autoscaler\.kubernetes\.io~1safe-to-evict-local-volumes)?$` +
	`|^/spec/(initContainers|volumes|imagePullSecrets)(/\d+)?$|^/spec/containers/\d+$|^/spec/terminationGracePeriodSeconds$` +
	`|^/spec/(initC|c)ontainers/\d+/(lifecycle(/preStop(/sleep/seconds)?)?|ports/\d+(/containerPort)?` +
	`|(liveness|readiness|startup)Probe/(httpGet|tcpSocket|grpc)/port|lifecycle/(postStart|preStop)/(httpGet|tcpSocket)/port)$`)

// TestA14NothingElseChanges puts the sidecar into random pods.
func TestA14NothingElseChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	injected := 0
	for i := range 3000 {
		pod := randomPod(r)
		before, _ := json.Marshal(pod)
		s := settings
		s.NATS, s.Cluster.Minor = r.IntN(2) == 0, []int{0, 28, 29, 30}[r.IntN(4)]
		s.PullSecrets = [][]string{nil, {"registry"}}[r.IntN(2)]
		s.Mode = []k8s.Mode{k8s.ModeNamed, k8s.ModeRedirect, k8s.ModeExplicit}[r.IntN(3)]
		out, report, err := k8s.Inject(pod, nil, s)
		if err != nil {
			t.Fatalf("pod %d: %v\n%s", i, err, before)
		}
		if after, _ := json.Marshal(pod); string(after) != string(before) {
			t.Fatalf("pod %d was changed in place", i)
		}
		if report.Outcome != k8s.Injected {
			continue
		}
		injected++
		operations, err := k8s.Patch(pod, out)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range operations {
			list, isList := o.Value.([]any)
			if !touched.MatchString(o.Path) || o.Op == "remove" || o.Op == "replace" && isList {
				t.Errorf("pod %d: %s %s %v", i, o.Op, o.Path, list)
			}
		}
		back, _, err := k8s.Uninject(out)
		if text, _ := json.Marshal(back); err != nil || string(text) != string(before) {
			t.Errorf("pod %d (%v): it was\n%s\nand is\n%s", i, err, before, text)
		}
		if again, _, err := k8s.Inject(out, nil, s); err != nil || !reflect.DeepEqual(again, out) {
			t.Errorf("pod %d: injected twice it is another one: %v", i, err)
		}
	}
	if injected < 500 {
		t.Errorf("only %d pods were injected: the test shows little", injected)
	}
}

func randomPod(r *rand.Rand) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
	if r.IntN(2) == 0 {
		pod.Annotations = map[string]string{"a/b~c": "\"{{\n"}
	}
	if r.IntN(3) == 0 {
		grace := r.Int64N(100)
		pod.Spec.TerminationGracePeriodSeconds = &grace
	}
	for i := range r.IntN(3) {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, randomContainer(r, fmt.Sprintf("init%d", i)))
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: fmt.Sprintf("v%d", i)})
	}
	for i := range 1 + r.IntN(3) {
		pod.Spec.Containers = append(pod.Spec.Containers, randomContainer(r, fmt.Sprintf("c%d", i)))
	}
	if first := &pod.Spec.Containers[0]; len(first.Ports) == 0 {
		first.Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}
	}
	return pod
}

func randomContainer(r *rand.Rand, name string) corev1.Container {
	c := corev1.Container{Name: name, Image: "i", Env: []corev1.EnvVar{{Name: "A", Value: "$(B)"}}}
	for range r.IntN(3) {
		c.Ports = append(c.Ports, corev1.ContainerPort{
			Name: []string{"", "http", "ws-a", "websocket-port1", "m"}[r.IntN(5)], ContainerPort: 8080 + r.Int32N(3),
			Protocol: []corev1.Protocol{"", corev1.ProtocolTCP, corev1.ProtocolUDP}[r.IntN(3)],
		})
	}
	handler := func() corev1.ProbeHandler {
		port := []intstr.IntOrString{intstr.FromInt32(8080), intstr.FromString("http")}[r.IntN(2)]
		switch r.IntN(4) {
		case 0:
			return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: port}}
		case 1:
			return corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: port}}
		case 2:
			return corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 8080}}
		}
		return corev1.ProbeHandler{Exec: &corev1.ExecAction{}}
	}
	if r.IntN(2) == 0 {
		c.LivenessProbe = &corev1.Probe{ProbeHandler: handler()}
	}
	if r.IntN(2) == 0 {
		c.ReadinessProbe = &corev1.Probe{ProbeHandler: handler()}
	}
	switch r.IntN(5) {
	case 0:
		c.Lifecycle = &corev1.Lifecycle{}
	case 1:
		c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: r.Int64N(60)}}}
	case 2:
		h := handler()
		c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{HTTPGet: h.HTTPGet, TCPSocket: h.TCPSocket}}
	}
	return c
}
