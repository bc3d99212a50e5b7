package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/program"
	"github.com/wsresilience/wsresilience/k8s/cluster/clustertest"
)

// process is the webhook as it runs in a cluster.
type process struct {
	*proc.Process
	t             *testing.T
	listen, admin string
	ca            func() []byte // that the API server trusts
	certificate   *certs.Pair   // that the API server shows, if any
}

// build builds the command.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "injector")
	if err := program.Build(t.Context(), "wsresilience-injector", binary); err != nil {
		t.Fatal(err)
	}
	return binary
}

// startProcess waits until the webhook is ready.
func startProcess(t *testing.T, binary, settings string, server *clustertest.Server) *process {
	t.Helper()
	config := filepath.Join(t.TempDir(), "injector.yaml")
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := proc.FreeAddrs(2)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, listen: free[0], admin: free[1]}
	p.ca = func() []byte { return server.Bundle("injector", "pod.inject") }
	cmd := exec.Command(binary, "webhook", "-config", config, "-listen", p.listen, "-admin", p.admin, "-shutdown-delay", "100ms")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+server.Kubeconfig(t))
	var starter proc.Starter
	if p.Process, err = starter.Start("injector", cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	if _, err := p.WaitReady(t.Context(), time.Now(), "http://"+p.admin+"/readyz", 50*time.Millisecond, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	return p
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
	config := &tls.Config{RootCAs: roots, ServerName: "injector.wsresilience.svc", MinVersion: tls.VersionTLS10, MaxVersion: highest}
	if p.certificate != nil {
		pair, err := tls.X509KeyPair(p.certificate.Cert, p.certificate.Key)
		if err != nil {
			p.t.Fatal(err)
		}
		// Unlike Certificates, it is shown whatever the server asks for.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, DisableKeepAlives: true, TLSClientConfig: config}}
}

// ask posts a review, as the API server does, and returns the answer to it.
func (p *process) ask(t *testing.T, review *admissionv1.AdmissionReview) *admissionv1.AdmissionResponse {
	t.Helper()
	content, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	response, err := p.client(0).Post("https://"+p.listen+"/inject", "application/json", bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal(answer, &got); err != nil || got.Response == nil {
		t.Fatalf("%s: %s", response.Status, answer)
	}
	if got.Response.UID != review.Request.UID {
		t.Errorf("%s", answer)
	}
	return got.Response
}

// stop sends SIGTERM, and returns what was logged.
func (p *process) stop(t *testing.T) string {
	t.Helper()
	if err := p.Terminate(proc.Grace); err != nil {
		t.Error(err)
	}
	return p.Log()
}
