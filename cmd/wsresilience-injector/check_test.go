package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/k8s"
)

// runCheck runs the command against a server that answers with answer, and
// returns its exit code and what it printed.
func runCheck(t *testing.T, status int, answer string) (code int, stdout, stderr string, got *admissionv1.AdmissionReview) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.Method != http.MethodPost || r.URL.Path != "/inject" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s, %q", r.Method, r.URL, r.Header)
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code = checkCommand(t.Context(), []string{"-url", server.URL + "/inject", "-ca-file", ca, "-namespace", "chat"}, &out, &errs)
	return code, out.String(), errs.String(), got
}

// checkAllowed is an answer with a patch; []byte in JSON is base64.
func checkAllowed(t *testing.T, patch string) string {
	t.Helper()
	answer, err := json.Marshal(map[string]any{"response": map[string]any{
		"uid": "wsresilience-check", "allowed": true, "patch": []byte(patch), "patchType": "JSONPatch",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func TestCheckAsksForADryRunOfAPodWithTheLabel(t *testing.T) {
	list := fmt.Sprintf(`[{"op":"add","path":"/spec/initContainers","value":[{"name":%q,"image":"x"}]}]`, k8s.SidecarContainer)
	code, stdout, stderr, got := runCheck(t, http.StatusOK, checkAllowed(t, list))
	if code != exitOK || !strings.Contains(stdout, "injects the sidecar") || stderr != "" {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	r := got.Request
	if r == nil || r.DryRun == nil || !*r.DryRun || r.Operation != admissionv1.Create || r.Namespace != "chat" || r.Kind.Kind != "Pod" {
		t.Fatalf("request %+v", r)
	}
	var pod corev1.Pod
	if err := json.Unmarshal(r.Object.Raw, &pod); err != nil {
		t.Fatal(err)
	}
	if pod.Kind != "Pod" || pod.Labels[k8s.LabelInject] != k8s.Enabled || len(pod.Spec.Containers) != 1 {
		t.Errorf("pod %+v", pod)
	}
}

func TestCheckVerdicts(t *testing.T) {
	tests := []struct {
		name, answer string
		status       int
		want         string // of what is printed; empty: it injects
	}{
		{name: "one container", answer: checkAllowed(t, `[{"op":"add","path":"/spec/containers/-","value":{"name":"wsresilience","image":"x"}}]`)},
		{name: "another container", answer: checkAllowed(t, `[{"op":"add","path":"/spec/containers/-","value":{"name":"istio-proxy","image":"x"}}]`), want: "stays without the sidecar"},
		{name: "a volume of that name", answer: checkAllowed(t, `[{"op":"add","path":"/spec/volumes/-","value":{"name":"wsresilience"}}]`), want: "stays without the sidecar"},
		{name: "no patch", answer: `{"response":{"uid":"wsresilience-check","allowed":true,"warnings":["no port"]}}`, want: "no port"},
		{name: "a broken patch", answer: checkAllowed(t, `{`), want: "stays without the sidecar"},
		{name: "refused", answer: `{"response":{"uid":"wsresilience-check","allowed":false,"status":{"message":"mode is \"x\""}}}`, want: `refused: mode is "x"`},
		{name: "refused in silence", answer: `{"response":{"uid":"wsresilience-check"}}`, want: "without a reason"},
		{name: "somebody else's answer", answer: `{"response":{"uid":"other","allowed":true}}`, want: `is for "other"`},
		{name: "no response", answer: `{}`, want: "without a response"},
		{name: "no JSON", answer: `<html>`, want: "no AdmissionReview"},
		{name: "an error", answer: ``, status: http.StatusServiceUnavailable, want: "503"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.status == 0 {
				test.status = http.StatusOK
			}
			code, stdout, stderr, _ := runCheck(t, test.status, test.answer)
			if test.want == "" {
				if code != exitOK || stdout == "" {
					t.Errorf("exit code %d: %s", code, stderr)
				}
				return
			}
			if code != exitFailed || !strings.Contains(stderr, test.want) || stdout != "" {
				t.Errorf("exit code %d, %q, %q; want %q", code, stdout, stderr, test.want)
			}
		})
	}
}

// TestCheckTrustsOnlyTheAuthority: a server that another one vouches for is
// not ours, and a file without certificates vouches for nobody.
func TestCheckTrustsOnlyTheAuthority(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that is given up
	server.StartTLS()
	defer server.Close()
	for text, want := range map[string]string{
		"":                               "no certificate in it",
		"no certificate":                 "no certificate in it",
		string(certs.NewAuthority().PEM): "unknown authority",
	} {
		file := filepath.Join(t.TempDir(), "ca.crt")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if code := checkCommand(t.Context(), []string{"-url", server.URL, "-ca-file", file}, &out, &errs); code != exitFailed || !strings.Contains(errs.String(), want) {
			t.Errorf("%q: exit code %d, %q; want %q", text, code, errs.String(), want)
		}
	}
}

func TestCheckUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"-url", "http://x/inject", "-ca-file", "x"}, {"-url", "https://x/inject"}, {"-url", "https://x/inject", "-ca-file", "x", "more"}, {"-what"}, {"-old", "-pod", "a/b"}, {"-image", "x"}, {"-old", "more"}} {
		var out, errs bytes.Buffer
		if code := checkCommand(t.Context(), args, &out, &errs); code != exitUsage || errs.Len() == 0 {
			t.Errorf("%q: exit code %d, %q", args, code, errs.String())
		}
	}
}

// FuzzCheckVerdict: no answer makes it panic, and none passes that leaves the
// pod as it is.
func FuzzCheckVerdict(f *testing.F) {
	f.Add([]byte(`{"response":{"uid":"u","allowed":true,"patch":"W10="}}`))
	f.Add([]byte(`{"response":{"uid":"u","allowed":true,"patch":"W3sidmFsdWUiOnsibmFtZSI6IndzcmVzaWxpZW5jZSIsImltYWdlIjoieCJ9fV0="}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if checkVerdict("u", answer) != nil {
			return
		}
		var review admissionv1.AdmissionReview
		if err := json.Unmarshal(answer, &review); err != nil || !review.Response.Allowed || len(review.Response.Patch) == 0 {
			t.Errorf("%q passes", answer)
		}
	})
}
