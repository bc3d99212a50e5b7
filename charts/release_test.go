package charts

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// valueSets are installations that differ in what they are made of.
var valueSets = []struct{ name, values string }{
	{"default", ""},
	{"NATS by URL", "nats: {bundled: {enabled: false}, url: 'nats://me:secret@nats.example:4222,nats://two.example:4222'}"},
	{"NATS by Secret", "nats: {bundled: {enabled: false}, existingSecret: my-nats, creds: true, ca: true}"},
	{"bundled NATS with given passwords", "nats: {bundled: {existingSecret: passwords}}"},
	{"bundled NATS with one user", shared},
	{"NATS with given operator keys", "nats: {accounts: {existingSecret: keys}}"},
	{"NATS by URL with operator keys", "nats: {bundled: {enabled: false}, url: 'nats://nats.example:4222', accounts: {existingSecret: keys, storage: 1Gi, connections: 50}}"},
	{"no NATS", "nats: {bundled: {enabled: false}}"},
	{"a trial", "{injector: {replicas: 1}, nats: {bundled: {replicas: 1, persistence: {enabled: false}}}}"},
	{"cert-manager", "injector: {certManager: {enabled: true}}"},
	{"cert-manager with an issuer", "injector: {certManager: {enabled: true, issuerRef: {name: company, kind: ClusterIssuer}}}"},
	{"Secrets by somebody else", "secrets: {managed: false}"},
	{"neither Secrets nor certificates", "{secrets: {managed: false}, injector: {certManager: {enabled: true}}, nats: {bundled: {enabled: false}}}"},
	{"users of the platform", "platformUser: true"},
	{"the node's network", "injector: {hostNetwork: true, port: 10260, adminPort: 10261, podLabels: {team: infra}}"},
	{"metrics of NATS", "{networkPolicy: {enabled: true, metricsFrom: [{namespaceSelector: {}}]}, nats: {bundled: {exporter: {enabled: true}}}, monitoring: {podMonitor: {enabled: true}, prometheusRule: {enabled: true}}}"},
	{"everything", everything},
}

const everything = `
fullnameOverride: live-wsresilience
commonLabels: {cost: "42", app.kubernetes.io/name: ignored}
image: {repository: registry.example:5000/wsr, digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", pullPolicy: Always, pullSecrets: [registry]}
sidecar:
  mode: redirect
  env: {WSR_DRAIN_SECONDS: "40", WSR_SNAPSHOT_RULES: '{"rules": [{"path": "/chat", "select": {"pointer": "/type", "equals": "a: #b"}}]}'}
  resources: {requests: {cpu: 10m, memory: 32Mi}, limits: {memory: 512Mi}}
  secretName: keys
  pullSecrets: [registry, other]
  peerTLS: true
  dataSize: 2Gi
nats:
  bundled:
    replicas: 5
    image: {repository: registry.example:5000/nats, tag: "2.15", digest: "sha256:abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"}
    persistence: {size: 20Gi, storageClass: fast}
    whenUnsatisfiable: DoNotSchedule
    nodeSelector: {disk: fast}
    tolerations: [{key: nats, operator: Exists}]
    affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}
    priorityClassName: high
    podAnnotations: {a: "1"}
    podLabels: {c: "3"}
injector:
  replicas: 3
  failurePolicy: Ignore
  timeoutSeconds: 10
  excludedNamespaces: [kube-system, transport, secret-place]
  whenUnsatisfiable: DoNotSchedule
  nodeSelector: {role: infra}
  tolerations: [{key: infra, operator: Exists}]
  affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}
  priorityClassName: system-cluster-critical
  podAnnotations: {a: "1"}
  podLabels: {c: "3"}
  serviceAccountAnnotations: {b: "2"}
networkPolicy:
  enabled: true
  sidecars: [{namespace: shop, pods: {app: web}}]
  natsFrom: [{namespaceSelector: {matchLabels: {team: chat}}}]
  metricsFrom: [{namespaceSelector: {matchLabels: {team: watch}}}]
monitoring:
  serviceMonitor: {enabled: true, labels: {release: prom}, interval: 10s}
  podMonitor: {enabled: true, labels: {release: prom}}
  prometheusRule: {enabled: true, labels: {release: prom}, alerts: {WSResilienceResets: {threshold: 0.1, for: 20m, severity: info}, WSResiliencePanic: {enabled: false}}}
  dashboard: {enabled: true}
`

// A release is what an installation makes: objects of Kubernetes, and those of
// operators.
type release struct {
	text    string
	objects []runtime.Object
	custom  []custom
}

// decode reads manifests as strictly as the API server can: no unknown field,
// none twice.
func decode(t *testing.T, manifests string) *release {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	r := &release{text: manifests}
	reader := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(manifests)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if empty(string(document)) {
			continue
		}
		object, _, err := decoder.Decode(document, nil, nil)
		switch {
		case runtime.IsNotRegisteredError(err):
			r.custom = append(r.custom, decodeCustom(t, document))
		case err != nil:
			t.Errorf("%v:\n%s", err, document)
		default:
			r.objects = append(r.objects, object)
		}
	}
	if len(r.objects) == 0 {
		t.Fatal("no objects")
	}
	return r
}

// empty tells a document of comments only.
func empty(document string) bool {
	for line := range strings.Lines(document) {
		if line = strings.TrimSpace(line); line != "" && line != "---" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

// of returns the objects of one kind.
func of[T runtime.Object](r *release) (list []T) {
	for _, o := range r.objects {
		if typed, ok := o.(T); ok {
			list = append(list, typed)
		}
	}
	return list
}

// one returns the only object of a kind with that name.
func one[T runtime.Object](t *testing.T, r *release, name string) (found T) {
	t.Helper()
	n := 0
	for _, o := range of[T](r) {
		if access(o).GetName() == name {
			found, n = o, n+1
		}
	}
	if n != 1 {
		t.Fatalf("%d objects %T are called %s", n, found, name)
	}
	return found
}

func access(o runtime.Object) interface {
	GetName() string
	GetNamespace() string
	GetLabels() map[string]string
} {
	accessor, err := meta.Accessor(o)
	if err != nil {
		panic(fmt.Sprintf("%T has no metadata: %v", o, err))
	}
	return accessor
}

// pods are the templates of all pods, by the name of their owner.
func (r *release) pods() map[string]corev1.PodTemplateSpec {
	pods := map[string]corev1.PodTemplateSpec{}
	for _, d := range of[*appsv1.Deployment](r) {
		pods[d.Name] = d.Spec.Template
	}
	for _, s := range of[*appsv1.StatefulSet](r) {
		pods[s.Name] = s.Spec.Template
	}
	for _, p := range of[*corev1.Pod](r) {
		pods[p.Name] = corev1.PodTemplateSpec{ObjectMeta: p.ObjectMeta, Spec: p.Spec}
	}
	return pods
}

// eachSet runs a test for all value sets.
func eachSet(t *testing.T, test func(t *testing.T, r *release)) {
	for _, s := range valueSets {
		t.Run(s.name, func(t *testing.T) { test(t, decode(t, rendered(t, s.values))) })
	}
}
