package charts

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/wsresilience/wsresilience/k8s"
)

// These mirror the file of cmd/wsresilience-injector, which is a command and
// cannot be imported; TestTheInjectorTakesItsConfig asks it.
type (
	injectorConfig struct {
		Namespace    string       `json:"namespace"`
		Service      string       `json:"service"`
		Webhook      string       `json:"webhook"`
		Certificates certificates `json:"certificates"`
		ClientCA     string       `json:"clientCA,omitempty"`
		ClientNames  []string     `json:"clientNames,omitempty"`
		Secrets      secrets      `json:"secrets"`
		Sidecar      k8s.Settings `json:"sidecar"`
	}
	certificates struct {
		Dir    string `json:"dir,omitempty"`
		Secret string `json:"secret,omitempty"`
	}
	secrets struct {
		Managed  bool      `json:"managed"`
		Rotation string    `json:"keyRotation,omitempty"`
		NATS     string    `json:"nats,omitempty"`
		NATSURL  string    `json:"natsURL,omitempty"`
		Accounts *accounts `json:"accounts,omitempty"`
	}
	accounts struct {
		Secret      string            `json:"secret"`
		Make        bool              `json:"make,omitempty"`
		Storage     resource.Quantity `json:"storage"`
		Connections int64             `json:"connections"`
	}
)

// TestTheInjectorTakesItsConfig: the command itself reads the file. Where
// there is no cluster it then fails, but with another code than for settings.
func TestTheInjectorTakesItsConfig(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "injector")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/wsresilience-injector").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	code := func(text string) (int, string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "injector.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, "webhook", "-config", file, "-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0")
		cmd.Env = []string{"KUBECONFIG=" + os.DevNull}
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Fatal("the injector runs without a cluster")
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	if got, out := code("namespaces: x"); got != 2 {
		t.Errorf("a bad file: exit code %d\n%s", got, out)
	}
	eachSet(t, func(t *testing.T, r *release) {
		if got, out := code(one[*corev1.ConfigMap](t, r, fullname+"-injector").Data["injector.yaml"]); got != 1 {
			t.Errorf("exit code %d\n%s", got, out)
		}
	})
}

// configOf reads the injector's file out of a release.
func configOf(t *testing.T, r *release) injectorConfig {
	t.Helper()
	var c injectorConfig
	text := one[*corev1.ConfigMap](t, r, fullname+"-injector").Data["injector.yaml"]
	if err := yaml.UnmarshalStrict([]byte(text), &c); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return c
}

// TestConfigNamesWhatIsThere: the injector finds its Service and its webhook,
// and the names agree with those that apps see.
func TestConfigNamesWhatIsThere(t *testing.T) {
	eachSet(t, func(t *testing.T, r *release) {
		c := configOf(t, r)
		one[*corev1.Service](t, r, c.Service)
		if webhook(t, r).Name != c.Webhook || c.Namespace != namespace {
			t.Errorf("webhook %q, namespace %q", c.Webhook, c.Namespace)
		}
		if (c.Certificates.Dir == "") == (c.Certificates.Secret == "") {
			t.Errorf("certificates %+v", c.Certificates)
		}
		injector := one[*appsv1.Deployment](t, r, fullname+"-injector").Spec.Template.Spec.Containers[0]
		if c.Sidecar.Image != injector.Image || c.Sidecar.ImagePullPolicy != injector.ImagePullPolicy {
			t.Errorf("sidecar %s %s, injector %s %s", c.Sidecar.Image, c.Sidecar.ImagePullPolicy, injector.Image, injector.ImagePullPolicy)
		}
		mounted := map[string]bool{}
		for _, m := range injector.VolumeMounts {
			mounted[m.MountPath] = true
		}
		file := injector.Command[len(injector.Command)-1]
		if !mounted[file] || c.Certificates.Dir != "" && !mounted[c.Certificates.Dir] {
			t.Errorf("mounted %v; the command reads %s, and certificates are in %q", mounted, file, c.Certificates.Dir)
		}
	})
}

func TestConfigSaysWhatWasSet(t *testing.T) {
	own := secrets{Managed: true, Rotation: "720h", NATSURL: "nats://" + fullname + "-nats." + namespace + ".svc:4222", Accounts: &accounts{
		Secret: fullname + "-nats-operator", Make: true, Storage: resource.MustParse("512Mi"), Connections: 1000,
	}}
	tests := []struct {
		values  string
		secrets secrets
		nats    bool
		env     map[string]string
	}{
		{"", own, true, nil},
		{shared, secrets{Managed: true, Rotation: "720h", NATS: fullname + "-nats"}, true, nil},
		{"nats: {bundled: {enabled: false}}", secrets{Managed: true, Rotation: "720h"}, false, nil},
		{"nats: {bundled: {enabled: false}, existingSecret: mine}", secrets{Managed: true, Rotation: "720h", NATS: "mine"}, true, nil},
		{"nats: {bundled: {existingSecret: mine}}", own, true, nil},
		{"nats: {bundled: {existingSecret: mine}, accounts: {enabled: false}}", secrets{Managed: true, Rotation: "720h", NATS: "mine"}, true, nil},
		{"nats: {accounts: {existingSecret: keys, storage: 2Gi, connections: 5}}", secrets{Managed: true, Rotation: "720h", NATSURL: own.NATSURL, Accounts: &accounts{Secret: "keys", Storage: resource.MustParse("2Gi"), Connections: 5}}, true, nil},
		{"nats: {bundled: {enabled: false}, url: 'nats://n', accounts: {existingSecret: keys}}", secrets{Managed: true, Rotation: "720h", NATS: fullname + "-nats", Accounts: &accounts{Secret: "keys", Storage: resource.MustParse("512Mi"), Connections: 1000}}, true, nil},
		{"secrets: {managed: false}", secrets{}, true, nil},
		{"nats: {bundled: {replicas: 1}}", own, true, map[string]string{"WSR_NATS_REPLICAS": "1"}},
		{`sidecar: {env: {WSR_SESSION_TTL: 10m, WSR_SNAPSHOT_RULES: '{"rules": [{"path": "/chat", "select": {"pointer": "/type", "equals": "a: #b"}}]}'}}`, own, true, map[string]string{"WSR_SESSION_TTL": "10m", "WSR_SNAPSHOT_RULES": `{"rules": [{"path": "/chat", "select": {"pointer": "/type", "equals": "a: #b"}}]}`}},
	}
	for _, test := range tests {
		c := configOf(t, decode(t, rendered(t, test.values)))
		if a := c.Secrets.Accounts; (a != nil) != c.Sidecar.NATSAccounts {
			t.Errorf("%q: accounts %v, sidecars with accounts %v", test.values, a != nil, c.Sidecar.NATSAccounts)
		}
		if !equality.Semantic.DeepEqual(c.Secrets, test.secrets) || c.Sidecar.NATS != test.nats || !reflect.DeepEqual(c.Sidecar.Env, test.env) {
			t.Errorf("%q: secrets %+v, NATS %v, env %v", test.values, c.Secrets, c.Sidecar.NATS, c.Sidecar.Env)
		}
	}
	c := configOf(t, decode(t, rendered(t, everything)))
	s := c.Sidecar
	if s.Mode != k8s.ModeRedirect || s.Secret != "keys" || !s.PeerTLS || s.DataSize.String() != "2Gi" || s.Resources.Limits.Memory().String() != "512Mi" || !strings.Contains(s.Image, "@sha256:") {
		t.Errorf("sidecar %+v", s)
	}
}

// TestConfigChangesRestartTheInjector: it reads its file at the start.
func TestConfigChangesRestartTheInjector(t *testing.T) {
	sum := func(values string) string {
		d := one[*appsv1.Deployment](t, decode(t, rendered(t, values)), fullname+"-injector")
		return d.Spec.Template.Annotations["checksum/config"]
	}
	if sum("") == "" || sum("") == sum("sidecar: {mode: explicit}") || sum("") != sum("networkPolicy: {enabled: true}") {
		t.Error("the checksum does not follow the configuration")
	}
}

// TestClientCA: the injector gets the authorities as they were given, and no
// test that could not show a certificate.
func TestClientCA(t *testing.T) {
	const pem = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
	r := decode(t, rendered(t, "webhook:\n  clientNames: [kube-apiserver]\n  clientCA: |\n    "+strings.ReplaceAll(strings.TrimSpace(pem), "\n", "\n    ")+"\n"))
	if c := configOf(t, r); c.ClientCA != pem || !reflect.DeepEqual(c.ClientNames, []string{"kube-apiserver"}) {
		t.Errorf("%q, %q", c.ClientCA, c.ClientNames)
	}
	for name := range r.pods() {
		if strings.HasSuffix(name, "-check") {
			t.Errorf("the release has %s", name)
		}
	}
}

// TestTenantAnnotationsAreHandedOn: an empty list is not the same as none.
func TestTenantAnnotationsAreHandedOn(t *testing.T) {
	for values, want := range map[string][]string{
		"": {"*"}, "policy: {tenantAnnotations: []}": {}, "policy: {tenantAnnotations: [wsresilience.io/port, config.wsresilience.io/*]}": {"wsresilience.io/port", "config.wsresilience.io/*"},
	} {
		if got := configOf(t, decode(t, rendered(t, values))).Sidecar.TenantAnnotations; got == nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q", values, got)
		}
	}
}
