package main

import (
	"context"
	"strings"
	"time"
)

// late is when plain clients are closed at the earliest: their pod has had the
// time to tell load balancers, and to move the others.
const late = 20 * time.Second

var (
	noEnds    = &expectation{}
	plainMove = &expectation{plainEnds: true, notice: late}
	unplanned = &expectation{crash: true}
)

// scenarios are played in this order, each on what the former left.
var scenarios = []scenario{
	{"rolling update of the app", plainMove, func(ctx context.Context, c *cluster, _ *result) error {
		return c.restart(ctx)
	}},
	{"`kubectl delete pod`", plainMove, func(ctx context.Context, c *cluster, _ *result) error {
		return c.deletePod(ctx)
	}},
	{"scale to 1 and to 3", plainMove, func(ctx context.Context, c *cluster, _ *result) error {
		for _, n := range []string{"1", "3"} {
			if _, err := c.kube(ctx, "scale", "-n", appSpace, "deployment/echo", "--replicas="+n); err != nil {
				return err
			}
			if err := c.rollout(ctx); err != nil {
				return err
			}
		}
		return nil
	}},
	{"all NATS servers restarted", noEnds, func(ctx context.Context, c *cluster, _ *result) error {
		if _, err := c.kube(ctx, "rollout", "restart", "-n", c.namespace, "statefulset/wsresilience-nats"); err != nil {
			return err
		}
		_, err := c.kube(ctx, "rollout", "status", "-n", c.namespace, "statefulset/wsresilience-nats", "--timeout="+patience.String())
		return err
	}},
	{"`helm upgrade` with another setting, then a rolling update", plainMove, func(ctx context.Context, c *cluster, r *result) error {
		if _, err := c.helmRun(ctx, append([]string{"upgrade", "wsresilience", c.chart}, c.values("sidecar.env.WSR_SESSION_TTL=10m")...)...); err != nil {
			return err
		}
		if err := c.leavers(ctx, c.namespace); err != nil { // a former injector still has the former settings
			return err
		}
		if err := c.restart(ctx); err != nil {
			return err
		}
		out, err := c.kube(ctx, "get", "pods", "-n", appSpace, "-o", `jsonpath={range .items[*]}{.spec.initContainers[0].env[?(@.name=="WSR_SESSION_TTL")].value}{"\n"}{end}`)
		r.expect(out == "10m\n10m\n10m\n", "the new pods have WSR_SESSION_TTL %q", out)
		return err
	}},
	{"token keys rotate", noEnds, keysRotate},
	{"a pod is deleted by force", unplanned, func(ctx context.Context, c *cluster, _ *result) error {
		return c.deletePod(ctx, "--grace-period=0", "--force")
	}},
	{"a pod that is a client has the agent", nil, agentBeside},
	{"a Job completes", nil, jobCompletes},
	{"a pod in a `restricted` namespace", nil, restrictedPod},
	{"a numeric port is redirected", nil, redirectedPort},
	{"constraints as OpenShift has them", nil, openShift},
	{"two namespaces that try to reach into each other", noEnds, tenantsApart},
	{"what cannot be injected is told", nil, refusals},
	{"time of admission", nil, admissionTime},
	{"the webhook under load, from the API server and from a pod", nil, webhookLoad},
	{"a CA bundle that is taken out, an injector that dies", nil, webhookMends},
	{"the runbooks of the injector", noEnds, runbooks},
	{"`helm uninstall`", noEnds, func(ctx context.Context, c *cluster, _ *result) error {
		if _, err := c.helmRun(ctx, "uninstall", "wsresilience", "--namespace", c.namespace, "--wait"); err != nil {
			return err
		}
		time.Sleep(10 * time.Second) // without a journal and without an injector
		return nil
	}},
	{"pods made after the uninstall", nil, bareAgain},
}

// restart is a rolling update of the app.
func (c *cluster) restart(ctx context.Context) error {
	if _, err := c.kube(ctx, "rollout", "restart", "-n", appSpace, "deployment/echo"); err != nil {
		return err
	}
	return c.rollout(ctx)
}

func (c *cluster) deletePod(ctx context.Context, how ...string) error {
	names, err := c.kube(ctx, "get", "pods", "-n", appSpace, "-l", "app=echo", "-o", "name")
	if err != nil {
		return err
	}
	victim, _, _ := strings.Cut(names, "\n")
	if _, err := c.kube(ctx, append([]string{"delete", "-n", appSpace, victim}, how...)...); err != nil {
		return err
	}
	return c.rollout(ctx)
}
