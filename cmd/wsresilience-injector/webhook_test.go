package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/cluster/clustertest"
)

// TestWebhookProcess runs the command as the chart does, over real TLS, against
// an API server in memory.
func TestWebhookProcess(t *testing.T) {
	binary := build(t)
	t.Run("own certificate", func(t *testing.T) { testOwnCertificate(t, binary) })
	t.Run("certificate of a directory", func(t *testing.T) { testCertificateDir(t, binary) })
	t.Run("anybody", func(t *testing.T) { testAnybody(t, binary) })
	t.Run("large reviews", func(t *testing.T) { testLargeReviews(t, binary) })
	t.Run("client certificates", func(t *testing.T) { testClientCA(t, binary) })
	t.Run("secrets of somebody else", func(t *testing.T) { testForeignSecrets(t, binary) })
}

// shop is a cluster with the namespace that the reviews are about.
func shop(t *testing.T) *clustertest.Server {
	server := clustertest.New(t)
	server.PutWebhooks("injector", "namespace.inject", "pod.inject")
	server.AddNamespace("shop", map[string]string{k8s.ConfigPrefix + "session-ttl": "10m"})
	return server
}

// realReview is for good, unlike that of the check.
func realReview() *admissionv1.AdmissionReview {
	return reviewIn("shop")
}

func testOwnCertificate(t *testing.T, binary string) {
	server := shop(t)
	p := startProcess(t, binary, goodConfig, server)

	t.Run("the patch makes what Inject makes", func(t *testing.T) {
		review := realReview()
		sent := review.Request.Object.Object.(*corev1.Pod)
		response := p.ask(t, review)
		config, err := parseConfig([]byte(goodConfig))
		if err != nil {
			t.Fatal(err)
		}
		s := config.Sidecar
		s.Cluster.Minor = 34 // of the API server in memory
		want, _, err := k8s.Inject(sent, map[string]string{k8s.ConfigPrefix + "session-ttl": "10m"}, s)
		if err != nil {
			t.Fatal(err)
		}
		got := applyPatch(t, tree(t, sent), response.Patch)
		if !response.Allowed || !reflect.DeepEqual(got, tree(t, want)) {
			t.Errorf("got\n%v\nwant\n%v", got, tree(t, want))
		}
		if !hasKeys(server.Secret("shop", "wsresilience")) {
			t.Error("no Secret was made")
		}
	})
	t.Run("A06 again", func(t *testing.T) {
		review := realReview()
		pod := applyPatch(t, tree(t, review.Request.Object.Object), p.ask(t, review).Patch)
		review.Request.Object.Object = nil
		review.Request.Object.Raw, _ = json.Marshal(pod)
		if again := p.ask(t, review); !again.Allowed || again.Patch != nil {
			t.Errorf("%s", again.Patch)
		}
	})
	t.Run("A01 old TLS", func(t *testing.T) {
		for _, highest := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
			if response, err := p.client(highest).Get("https://" + p.listen + "/inject"); err == nil {
				t.Errorf("%x: %s", highest, response.Status)
			}
		}
		if response, err := p.client(tls.VersionTLS12).Get("https://" + p.listen + "/inject"); err != nil || response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("1.2: %v", err)
		}
	})
	t.Run("A01 plain HTTP", func(t *testing.T) {
		response, err := http.Post("http://"+p.listen+"/inject", "application/json", strings.NewReader("{}"))
		if err == nil && response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s", response.Status)
		}
	})
	t.Run("metrics", func(t *testing.T) {
		status, text := p.get("/metrics")
		for _, want := range []string{`wsr_injector_pods_total{outcome="injected"`, "wsr_injector_duration_seconds_count 3", "wsr_injector_certificate_expiry_seconds 1", `wsr_injector_cluster_errors_total{call="secret"} 0`} {
			if !strings.Contains(text, want) {
				t.Errorf("%d: no %s", status, want)
			}
		}
	})
	if log := p.stop(t); !strings.Contains(log, `"outcome":"injected"`) || strings.Contains(log, "password") {
		t.Errorf("log: %s", log)
	}
}

// testCertificateDir: with somebody else's certificate the injector keeps none,
// and leaves the webhooks alone.
func testCertificateDir(t *testing.T, binary string) {
	dir, pair := t.TempDir(), certs.SelfSigned("injector.wsresilience.svc")
	if _, _, err := pair.Write(dir); err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("{secret: certificate}", "{dir: "+strconv.Quote(dir)+"}", "webhook: injector\n", "").Replace(goodConfig)
	server := shop(t)
	p := startProcess(t, binary, config, server)
	p.ca = func() []byte { return pair.Cert }
	if response := p.ask(t, realReview()); !response.Allowed || response.Patch == nil {
		t.Errorf("%+v", response)
	}
	p.stop(t)
	for _, call := range server.Calls() {
		if strings.Contains(call, "mutatingwebhookconfigurations") || strings.HasSuffix(call, "/namespaces/wsresilience/secrets") {
			t.Errorf("call %s", call)
		}
	}
}

// testForeignSecrets: with managed: false the injector neither makes nor reads
// the Secret of the sidecars.
func testForeignSecrets(t *testing.T, binary string) {
	server := shop(t)
	p := startProcess(t, binary, strings.Replace(goodConfig, "managed: true", "managed: false", 1), server)
	if response := p.ask(t, realReview()); !response.Allowed || response.Patch == nil {
		t.Errorf("%+v", response)
	}
	p.stop(t)
	for _, call := range server.Calls() {
		if strings.Contains(call, "/namespaces/shop/secrets") {
			t.Errorf("call %s", call)
		}
	}
}

func hasKeys(s *corev1.Secret) bool {
	return s != nil && len(s.Data[k8s.SecretTokenKeys]) > 0 && len(s.Data[k8s.SecretNATSURL]) > 0
}

func TestWebhookUsage(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	unknown := file("unknown.yaml", "what: ever")
	setting := file("setting.yaml", strings.Replace(goodConfig, "nats: true", "nats: true, env: {WSR_SESSION_TTL: '5'}", 1))
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-what"}, "not defined: -what"},
		{[]string{"more"}, "usage:"},
		{[]string{"-config", unknown}, `"what"`},
		{[]string{"-config", unknown + ".none"}, "no such file"},
		{[]string{"-config", setting}, "sidecar.env.WSR_SESSION_TTL"},
		{[]string{"-log-level", "loud"}, "loud"},
	} {
		var errors bytes.Buffer
		if code := webhookCommand(t.Context(), test.args, &errors); code != exitUsage || !strings.Contains(errors.String(), test.want) {
			t.Errorf("%q: exit code %d, %q", test.args, code, errors.String())
		}
	}
}
