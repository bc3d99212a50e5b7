package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/cluster/clustertest"
)

// process is the webhook as it runs in a cluster.
type process struct {
	t             *testing.T
	command       *exec.Cmd
	listen, admin string
	errors        bytes.Buffer
	ca            func() []byte
}

// freeAddress is one of loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startProcess builds the command and waits until it is ready.
func startProcess(t *testing.T, server *clustertest.Server) *process {
	t.Helper()
	dir := t.TempDir()
	binary, config := filepath.Join(dir, "injector"), filepath.Join(dir, "injector.yaml")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(config, []byte(goodConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, listen: freeAddress(t), admin: freeAddress(t)}
	p.ca = func() []byte { return server.Bundle("injector", "pod.inject") }
	p.command = exec.Command(binary, "webhook", "-config", config, "-listen", p.listen, "-admin", p.admin, "-linger", "100ms")
	p.command.Env = append(os.Environ(), "KUBECONFIG="+server.Kubeconfig(t))
	p.command.Stderr = &p.errors
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.command.Process.Kill() })
	for range 600 {
		if status, _ := p.get("/readyz"); status == http.StatusOK {
			return p
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
	t.Fatalf("it does not become ready: %s", p.errors.String())
	return nil
}

// get asks the admin port.
func (p *process) get(path string) (int, string) {
	response, err := http.Get("http://" + p.admin + path)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// client trusts what the API server trusts, and calls it what it calls it.
func (p *process) client(highest uint16) *http.Client {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(p.ca()) {
		p.t.Fatal("no CA bundle in the webhook's configuration")
	}
	return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: roots, ServerName: "injector.wsresilience.svc", MinVersion: tls.VersionTLS10, MaxVersion: highest,
	}}}
}

func TestWebhookProcess(t *testing.T) {
	server := clustertest.New(t)
	server.PutWebhooks("injector", "namespace.inject", "pod.inject")
	server.AddNamespace("shop", nil)
	p := startProcess(t, server)

	t.Run("a pod", func(t *testing.T) {
		review := checkReview("shop")
		no := false
		review.Request.DryRun = &no
		content, err := json.Marshal(review)
		if err != nil {
			t.Fatal(err)
		}
		response, err := p.client(0).Post("https://"+p.listen+"/inject", "application/json", bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		answer, _ := io.ReadAll(response.Body)
		var got admissionv1.AdmissionReview
		if err := json.Unmarshal(answer, &got); err != nil || got.Response == nil {
			t.Fatalf("%s: %s", response.Status, answer)
		}
		if !got.Response.Allowed || got.Response.UID != review.Request.UID {
			t.Errorf("%s", answer)
		}
		if err := checkVerdict(review.Request.UID, answer); err != nil {
			t.Errorf("%v", err)
		}
		if !hasKeys(server.Secret("shop", "wsresilience")) {
			t.Error("no Secret was made")
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
		for _, want := range []string{`wsr_injector_pods_total{outcome="injected"`, "wsr_injector_duration_seconds_count 1", "wsr_injector_certificate_expiry_seconds 1", `wsr_injector_cluster_errors_total{call="secret"} 0`} {
			if !strings.Contains(text, want) {
				t.Errorf("%d: no %s", status, want)
			}
		}
	})
	t.Run("SIGTERM", func(t *testing.T) {
		if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.command.Wait(); err != nil {
			t.Errorf("%v: %s", err, p.errors.String())
		}
		if log := p.errors.String(); !strings.Contains(log, `"outcome":"injected"`) || strings.Contains(log, "password") {
			t.Errorf("log: %s", log)
		}
	})
}

func hasKeys(s *corev1.Secret) bool {
	return s != nil && len(s.Data[k8s.SecretTokenKeys]) > 0 && len(s.Data[k8s.SecretNATSURL]) > 0
}

func TestWebhookUsage(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("what: ever"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-what"}, {"more"}, {"-config", bad}, {"-config", bad + ".none"}, {"-log-level", "loud"}} {
		var errors bytes.Buffer
		if code := webhookCommand(t.Context(), args, &errors); code != exitUsage || errors.Len() == 0 {
			t.Errorf("%q: exit code %d, %q", args, code, errors.String())
		}
	}
}
