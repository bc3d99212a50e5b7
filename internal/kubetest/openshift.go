package main

import (
	"context"
	"errors"
	"strings"
	"time"
)

// platformUser is what the platform gives to pods.
const platformUser = "1000680000"

// openShift: where the platform gives each namespace a user and refuses others, as
// restricted-v2 does, pods with the sidecar are refused by default, and admitted and
// ready with platformUser: those of the release too.
func openShift(ctx context.Context, c *cluster, r *result) error {
	if _, err := c.apply(ctx, constraintManifest); err != nil {
		return err
	}
	// The policy takes a moment; until then the pod would be admitted.
	var refused *commandError
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Second) {
		out, err := c.feed(ctx, rangedManifest, c.kubectl, "create", "--dry-run=server", "-f", "-")
		if errors.As(err, &refused) {
			break
		}
		if time.Now().After(end) {
			r.expect(false, "a sidecar with a user of its own is admitted: %s", out)
			return nil
		}
	}
	r.expect(strings.Contains(refused.said, "range"), "kubectl says: %s", refused.said)
	if _, err := c.helmRun(ctx, append([]string{"upgrade", "wsresilience", c.chart}, c.values("platformUser=true")...)...); err != nil {
		return err
	}
	if err := c.leavers(ctx, c.namespace); err != nil { // a former injector still has the former settings
		return err
	}
	if _, err := c.apply(ctx, rangedManifest); err != nil {
		r.expect(false, "with platformUser: %v", err)
		return nil
	}
	if _, err := c.kube(ctx, "wait", "-n", openShiftSpace, "pod/echo", "--for=condition=Ready", "--timeout=90s"); err != nil {
		return err
	}
	out, err := c.kube(ctx, "get", "pod", "echo", "-n", openShiftSpace, "-o", "jsonpath={.spec.initContainers[*].name} {.spec.initContainers[0].securityContext.runAsUser} {.spec.securityContext.runAsUser} {.status.initContainerStatuses[0].user.linux.uid}")
	if err != nil {
		return err
	}
	// Not every runtime says in the status which user it is.
	r.expect(out == "wsresilience  "+platformUser+" "+platformUser || out == "wsresilience  "+platformUser+" ", "the sidecar, its user, the pod's, and the container's: %q", out)
	users, err := c.kube(ctx, "get", "pods", "-n", c.namespace, "-o", `jsonpath={range .items[*]}{.spec.securityContext.runAsUser}{" "}{.spec.containers[*].securityContext.runAsUser}{"\n"}{end}`)
	for line := range strings.Lines(users) {
		r.expect(strings.TrimSpace(line) == platformUser, "a pod of the release has the users %q", line)
	}
	return err
}

// constraintManifest gives pods a user, as restricted-v2 does, and refuses what that
// refuses: users and groups outside of the namespace's range, privileges, and a user
// that may be root.
const constraintManifest = `
apiVersion: v1
kind: Namespace
metadata:
  name: ` + openShiftSpace + `
  labels: {wsresilience.io/inject: enabled, pod-security.kubernetes.io/enforce: restricted}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: ` + openShiftSpace + `}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [` + openShiftSpace + `, ` + releaseSpace + `]}]}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  variables:
    - name: containers
      expression: "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])"
  validations:
    - expression: "variables.containers.all(c, !has(c.securityContext) || ((!has(c.securityContext.runAsUser) || c.securityContext.runAsUser >= 1000680000 && c.securityContext.runAsUser < 1000690000) && (!has(c.securityContext.runAsGroup) || c.securityContext.runAsGroup >= 1000680000)))"
      message: "runAsUser: must be in the range 1000680000 to 1000689999"
    - expression: "!has(object.spec.securityContext.fsGroup) || object.spec.securityContext.fsGroup >= 1000680000"
      message: "fsGroup: must be in the range 1000680000 to 1000689999"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: ` + openShiftSpace + `}
spec: {policyName: ` + openShiftSpace + `, validationActions: [Deny]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: ` + openShiftSpace + `}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [` + openShiftSpace + `, ` + releaseSpace + `]}]}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  mutations:
    - patchType: ApplyConfiguration
      applyConfiguration:
        expression: "Object{spec: Object.spec{securityContext: Object.spec.securityContext{runAsUser: ` + platformUser + `, fsGroup: ` + platformUser + `}}}"
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: ` + openShiftSpace + `}
spec: {policyName: ` + openShiftSpace + `}
`

// rangedManifest is a pod with the user that the platform gives it.
const rangedManifest = `
apiVersion: v1
kind: Pod
metadata: {name: echo, namespace: ` + openShiftSpace + `}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: echo
      image: ` + echoImage + `
      imagePullPolicy: IfNotPresent
      args: [-addr, ":8080"]
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      ports: [{name: http, containerPort: 8080}]
      readinessProbe: {tcpSocket: {port: http}}
`
