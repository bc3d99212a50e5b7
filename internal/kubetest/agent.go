package main

import (
	"context"
	"fmt"
)

// agentBeside: a pod that is a client gets the agent, and its ordinary connections
// survive what happens to the server's pods.
func agentBeside(ctx context.Context, c *cluster, r *result) error {
	if _, err := c.apply(ctx, agentManifest); err != nil {
		return err
	}
	if err := c.connected(ctx, agentSpace); err != nil {
		return err
	}
	out, err := c.kube(ctx, "get", "pod", "clients", "-n", agentSpace, "-o", "jsonpath={.spec.initContainers[*].name} {.spec.containers[*].name}")
	if err != nil {
		return err
	}
	r.expect(out == "wsresilience-agent clients", "the pod has the containers %q", out)
	if _, err := c.ask(ctx, agentSpace, "go"); err != nil {
		return err
	}
	if err := c.restart(ctx); err != nil {
		return err
	}
	if err := c.deletePod(ctx); err != nil {
		return err
	}
	t, err := c.ask(ctx, agentSpace, "settle")
	if err != nil {
		return err
	}
	p := &t.Plain
	r.expect(t.Settled && p.Sent > 0 && p.Lost == 0 && p.Reordered == 0 && len(p.Ends) == 0, "of %d messages %d have no echo, %d are out of order; connections ended: %v %v", p.Sent, p.Lost, p.Reordered, p.Ends, t.Reasons)
	r.note = fmt.Sprintf("a rolling update and a deleted pod: %d messages, none lost, no connection ended", p.Sent)
	return nil
}

const agentSpace = "wsr-agent"

const agentManifest = `
apiVersion: v1
kind: Namespace
metadata:
  name: ` + agentSpace + `
  labels: {wsresilience.io/inject: enabled, pod-security.kubernetes.io/enforce: restricted}
---
apiVersion: v1
kind: Pod
metadata:
  name: clients
  namespace: ` + agentSpace + `
  annotations: {wsresilience.io/agent: "ws://echo.` + appSpace + `.svc.cluster.local"}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: clients
      image: ` + clientImage + `
      imagePullPolicy: IfNotPresent
      args: [clients, -url, "ws://127.0.0.1:15880/echo", -clients, "8", -ordinary]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      ports: [{containerPort: 8080}]
      readinessProbe: {httpGet: {path: /tally, port: 8080}, periodSeconds: 1}
`
