package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/cluster"
)

const (
	// checkTimeout is what the API server would wait at most.
	checkTimeout = 30 * time.Second

	// checkAnswer is far more than the patch of the small pod that is sent.
	checkAnswer = 1 << 20
)

const checkUsage = `usage: wsresilience-injector check -url https://service.namespace.svc/inject -ca-file file [-namespace name]
       wsresilience-injector check -pod NAMESPACE/NAME
       wsresilience-injector check -old [-image image]

Asks the webhook, as the API server would, what it does with a pod that wants
the sidecar. It is a dry run: nothing is made. "helm test" runs this.

With -pod: says why that pod has no sidecar, or by which Services clients pass it
by. It asks the API server that KUBECONFIG names, or that of the pod it runs in,
for the pod, its namespace and Services and the webhooks, and what would become of
a copy of the pod (a dry run, which needs the right to create pods).

With -old: lists the workloads whose pods have a sidecar of another image than the
injectors, as after an upgrade, or than -image. It needs the right to list pods. The
exit code is 1 if there are some.
`

// checkCommand asks a webhook over TLS whether it injects.
func checkCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, checkUsage); flags.PrintDefaults() }
	url := flags.String("url", "", "where the webhook is")
	caFile := flags.String("ca-file", "", "authorities (PEM) that its certificate is checked against")
	namespace := flags.String("namespace", metav1.NamespaceDefault, "namespace that the pod claims to be in; none that is excluded")
	pod := flags.String("pod", "", "NAMESPACE/NAME of a pod that should have the sidecar")
	old := flags.Bool("old", false, "list the workloads whose pods have an old sidecar")
	image := flags.String("image", "", "with -old: the `image` that sidecars should have; default: the injectors'")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	if *old && *pod == "" && *url == "" && *caFile == "" && flags.NArg() == 0 {
		return onCluster(ctx, stderr, func(ctx context.Context, c *cluster.Client) int { return listOld(ctx, c, *image, stdout, stderr) })
	}
	if *old || *image != "" {
		flags.Usage()
		return exitUsage
	}
	if *pod != "" && *url == "" && *caFile == "" && flags.NArg() == 0 {
		return onCluster(ctx, stderr, func(ctx context.Context, c *cluster.Client) int { return whyNot(ctx, c, *pod, stdout, stderr) })
	}
	if !strings.HasPrefix(*url, "https://") || *caFile == "" || flags.NArg() > 0 {
		flags.Usage()
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	took, err := check(ctx, *url, *caFile, *namespace)
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-injector: check: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(stdout, "%s injects the sidecar; it answered in %v\n", *url, took.Round(time.Millisecond))
	return exitOK
}

// onCluster does something with the API server, which may take so long.
func onCluster(ctx context.Context, stderr io.Writer, act func(context.Context, *cluster.Client) int) int {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c, err := cluster.Connect()
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-injector: check: %v\n", err)
		return exitFailed
	}
	return act(ctx, c)
}

// check posts one review, and returns how long the answer took.
func check(ctx context.Context, url, caFile, namespace string) (time.Duration, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return 0, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return 0, fmt.Errorf("-ca-file %s: no certificate in it; allowed is PEM with one or more", caFile)
	}
	review := checkReview(namespace)
	body, err := json.Marshal(review)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	start := time.Now()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, checkAnswer))
	if err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s answered %s, not 200", url, response.Status)
	}
	return time.Since(start), checkVerdict(review.Request.UID, answer)
}

// checkReview asks about a pod with one named port that wants the sidecar.
func checkReview(namespace string) *admissionv1.AdmissionReview {
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "wsresilience-check", Namespace: namespace, Labels: map[string]string{k8s.LabelInject: k8s.Enabled}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "app", Image: "app",
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
		}}},
	}
	dryRun := true
	return &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID:       "wsresilience-check",
			Kind:      metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
			Resource:  metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Name:      pod.Name,
			Namespace: namespace,
			Operation: admissionv1.Create,
			Object:    runtime.RawExtension{Object: pod},
			DryRun:    &dryRun,
		},
	}
}

// checkVerdict returns an error unless the answer is a patch with the sidecar.
func checkVerdict(uid types.UID, answer []byte) error {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(answer, &review); err != nil {
		return fmt.Errorf("the answer is no AdmissionReview: %w", err)
	}
	r := review.Response
	switch {
	case r == nil:
		return errors.New("the answer is an AdmissionReview without a response")
	case r.UID != uid:
		return fmt.Errorf("the answer is for %q, not for %q", r.UID, uid)
	case !r.Allowed && r.Result != nil:
		return fmt.Errorf("the pod was refused: %s", r.Result.Message)
	case !r.Allowed:
		return errors.New("the pod was refused, without a reason")
	}
	if !slices.ContainsFunc(patched(r.Patch), hasSidecar) {
		return fmt.Errorf("the pod stays without the sidecar: %s", strings.Join(append(r.Warnings, "the patch has no container "+k8s.SidecarContainer), "; "))
	}
	return nil
}

// patched are the values that a JSON patch puts in.
func patched(patch []byte) []any {
	var operations []struct {
		Value any `json:"value"`
	}
	if json.Unmarshal(patch, &operations) != nil {
		return nil
	}
	values := make([]any, 0, len(operations))
	for _, o := range operations {
		values = append(values, o.Value)
	}
	return values
}

// hasSidecar finds the sidecar in a container, or in a list of them: which of
// the two a patch puts in depends on whether the pod had such a list.
func hasSidecar(value any) bool {
	switch v := value.(type) {
	case []any:
		return slices.ContainsFunc(v, hasSidecar)
	case map[string]any:
		return v["name"] == k8s.SidecarContainer && v["image"] != nil
	}
	return false
}
