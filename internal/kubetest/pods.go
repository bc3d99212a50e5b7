package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// jobCompletes: the sidecar of a Job's pod does not keep it from its end.
func jobCompletes(ctx context.Context, c *cluster, r *result) error {
	if _, err := c.apply(ctx, jobManifest); err != nil {
		return err
	}
	if _, err := c.kube(ctx, "wait", "-n", appSpace, "job/once", "--for=condition=Complete", "--timeout=90s"); err != nil {
		return err
	}
	out, err := c.kube(ctx, "get", "pods", "-n", appSpace, "-l", "job-name=once", "-o", "jsonpath={.items[*].spec.initContainers[*].name}")
	r.expect(out == "wsresilience", "the Job's pod has the init containers %q", out)
	return err
}

const jobManifest = `
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: ` + appSpace + `}
spec:
  template:
    metadata:
      labels: {wsresilience.io/inject: enabled}
    spec:
      restartPolicy: Never
      containers:
        - name: once
          image: ` + clientImage + `
          imagePullPolicy: IfNotPresent
          args: [-help]
          ports: [{name: http, containerPort: 8080}]
`

// restrictedPod: the takeover by name asks for no privilege.
func restrictedPod(ctx context.Context, c *cluster, r *result) error {
	if _, err := c.apply(ctx, restrictedManifest); err != nil {
		return err
	}
	if _, err := c.kube(ctx, "wait", "-n", restrictedSpace, "pod/echo", "--for=condition=Ready", "--timeout=90s"); err != nil {
		return err
	}
	out, err := c.kube(ctx, "get", "pod", "echo", "-n", restrictedSpace, "-o", "jsonpath={.spec.initContainers[*].name} {.spec.containers[0].ports[0].containerPort}")
	r.expect(out == "wsresilience 15801", "the pod has %q", out)
	return err
}

const restrictedManifest = `
apiVersion: v1
kind: Namespace
metadata:
  name: ` + restrictedSpace + `
  labels: {wsresilience.io/inject: enabled, pod-security.kubernetes.io/enforce: restricted}
---
apiVersion: v1
kind: Pod
metadata: {name: echo, namespace: ` + restrictedSpace + `}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: echo
      image: ` + echoImage + `
      imagePullPolicy: IfNotPresent
      args: [-addr, ":8080"]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      ports: [{name: http, containerPort: 8080}]
      readinessProbe: {tcpSocket: {port: http}}
`

// redirectedPort: a Service that names the port by its number reaches the
// sidecar, and the app's probe reaches the app.
func redirectedPort(ctx context.Context, c *cluster, r *result) error {
	after, err := os.ReadFile("examples/echo/after.yaml")
	if err != nil {
		return err
	}
	manifest := strings.NewReplacer(
		appSpace, redirectSpace,
		"config.wsresilience.io/adopt: always", "config.wsresilience.io/adopt: always\n        wsresilience.io/mode: redirect",
		"targetPort: http", "targetPort: 8080",
		"tcpSocket: {port: http}", "tcpSocket: {port: 8080}",
	).Replace(string(after))
	if _, err := c.apply(ctx, manifest); err != nil {
		return err
	}
	if _, err := c.kube(ctx, "rollout", "status", "-n", redirectSpace, "deployment/echo", "--timeout="+patience.String()); err != nil {
		return err
	}
	if err := c.connect(ctx, redirectSpace, "ws://echo."+redirectSpace+".svc.cluster.local/echo", 20); err != nil {
		return err
	}
	t, err := c.ask(ctx, redirectSpace, "tally")
	if err != nil {
		return err
	}
	r.expect(t.Resilient.Clients == 10 && t.Resilient.Longest.N == 10 && t.Resilient.SessionsLost == 0, "not all clients are resilient: %+v", t.Resilient)
	probe, err := c.kube(ctx, "get", "pods", "-n", redirectSpace, "-l", "app=echo", "-o", "jsonpath={.items[0].spec.containers[0].readinessProbe.tcpSocket.port}")
	r.expect(probe == "15804", "the probe asks port %s", probe)
	return err
}

// refusals: who asks for what is not possible hears why.
func refusals(ctx context.Context, c *cluster, r *result) error {
	out, err := c.apply(ctx, fmt.Sprintf(refusedManifest, "network", "", "hostNetwork: true"))
	if err != nil {
		return err
	}
	r.expect(strings.Contains(out, "Warning:") && strings.Contains(out, "host"), "kubectl says of a pod on the host's network: %q", out)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		events, err := c.kube(ctx, "get", "events", "-n", appSpace, "-o", "jsonpath={.items[*].reason}")
		if err != nil {
			return err
		}
		if strings.Contains(events, "InjectionRefused") {
			break
		}
		if time.Now().After(end) {
			r.expect(false, "there is no Event InjectionRefused")
			break
		}
	}
	out, err = c.apply(ctx, fmt.Sprintf(refusedManifest, "typo", "config.wsresilience.io/session-tll: 5m", ""))
	var denied *commandError
	if !errors.As(err, &denied) {
		r.expect(false, "a misspelt annotation is admitted: %q", out)
		return nil
	}
	r.expect(strings.Contains(denied.said, "session-ttl"), "of a misspelt annotation kubectl says: %s", denied.said)
	return nil
}

// refusedManifest has a name, an annotation and a line of the spec.
const refusedManifest = `
apiVersion: v1
kind: Pod
metadata:
  name: %s
  namespace: ` + appSpace + `
  labels: {wsresilience.io/inject: enabled}
  annotations: {%s}
spec:
  %s
  terminationGracePeriodSeconds: 1
  containers:
    - name: echo
      image: ` + echoImage + `
      imagePullPolicy: IfNotPresent
      args: [-addr, "127.0.0.1:18080"]
      ports: [{name: http, containerPort: 18080}]
`

// bareAgain: pods that are made without the injector have no sidecar, and work.
func bareAgain(ctx context.Context, c *cluster, r *result) error {
	if err := c.restart(ctx); err != nil {
		return err
	}
	out, err := c.kube(ctx, "get", "pods", "-n", appSpace, "-l", "app=echo", "-o", "jsonpath={.items[*].spec.initContainers[*].name}")
	if err != nil {
		return err
	}
	r.expect(out == "", "new pods have the init containers %q", out)
	if _, err := c.ask(ctx, clientSpace, "go"); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	t, err := c.ask(ctx, clientSpace, "tally")
	if err != nil {
		return err
	}
	r.expect(t.Plain.Answered > t.Plain.Clients, "plain clients got %d echoes", t.Plain.Answered)
	r.note = fmt.Sprintf("%d plain clients talk to the app itself", t.Plain.Clients)
	return nil
}
