package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	injector = "wsresilience-injector"

	// soon is how long what the injector does by itself may take to show.
	soon = 90 * time.Second
)

// runbooks brings about what the alerts about the injector are about, looks where
// their pages in docs/runbooks say, and does what they say.
func runbooks(ctx context.Context, c *cluster, r *result) error {
	for _, follow := range []func(context.Context, *cluster, *result) error{followRefused, followErrors, followCertificate, followDown} {
		if err := follow(ctx, c, r); err != nil {
			return err
		}
	}
	return nil
}

// injectors are the names of those that run.
func (c *cluster) injectors(ctx context.Context) ([]string, error) {
	out, err := c.kube(ctx, "get", "pods", "-n", c.namespace, "-l", "app.kubernetes.io/component=injector", "-o", "jsonpath={.items[*].metadata.name}")
	return strings.Fields(out), err
}

// injectorMetric sums a metric over the injectors; series is the beginning of its lines. All
// of them are asked, since a Service would choose one.
func (c *cluster) injectorMetric(ctx context.Context, series string) (sum float64, each []float64, err error) {
	pods, err := c.injectors(ctx)
	if err != nil {
		return 0, nil, err
	}
	for _, pod := range pods {
		text, err := c.kube(ctx, "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:15802/proxy/metrics", c.namespace, pod))
		if err != nil {
			return 0, nil, err
		}
		own := 0.0
		for line := range strings.Lines(text) {
			if name, value, ok := cutLast(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, series) {
				v, _ := strconv.ParseFloat(value, 64) // it is Prometheus's text form
				own += v
			}
		}
		sum, each = sum+own, append(each, own)
	}
	return sum, each, nil
}

// shows waits until something that is looked at shows it.
func (r *result) shows(ctx context.Context, what string, look func() (bool, error)) error {
	for end := time.Now().Add(soon); ; time.Sleep(time.Second) {
		ok, err := look()
		if err != nil || ok {
			return err
		}
		if time.Now().After(end) || ctx.Err() != nil {
			r.expect(false, "within %v it did not show that %s", soon, what)
			return nil
		}
	}
}

// upgrade is what several pages say: helm upgrade with the same values.
func (c *cluster) upgrade(ctx context.Context) error {
	_, err := c.helmRun(ctx, append([]string{"upgrade", "wsresilience", c.chart}, c.values()...)...)
	return err
}

// followRefused is WSResiliencePodsRefused.
func followRefused(ctx context.Context, c *cluster, r *result) error {
	before, _, err := c.injectorMetric(ctx, `wsr_injector_pods_total{outcome="refused"`)
	if err != nil {
		return err
	}
	if _, err := c.apply(ctx, fmt.Sprintf(refusedManifest, "runbook", "", "hostNetwork: true")); err != nil {
		return err
	}
	err = r.shows(ctx, "a pod was refused", func() (bool, error) {
		after, _, err := c.injectorMetric(ctx, `wsr_injector_pods_total{outcome="refused"`)
		return after > before, err
	})
	if err != nil {
		return err
	}
	err = r.shows(ctx, "there is an Event about it", func() (bool, error) {
		out, err := c.kube(ctx, "get", "events", "-A", "--field-selector", "reason=InjectionRefused")
		return strings.Contains(out, "runbook"), err
	})
	if err != nil {
		return err
	}
	said, err := c.output(ctx, "go", "run", "./cmd/wsresilience-injector", "check", "-pod", appSpace+"/runbook")
	var failed *commandError
	if errors.As(err, &failed) {
		said = failed.said
	}
	r.expect(strings.Contains(said, "host"), "check says of a pod on the host's network: %s", said)
	_, err = c.kube(ctx, "delete", "pod", "runbook", "-n", appSpace, "--wait=false")
	return err
}

// followErrors is WSResilienceInjectorErrors, with a role that is gone.
func followErrors(ctx context.Context, c *cluster, r *result) error {
	const failures = `wsr_injector_cluster_errors_total{call="certificate"}`
	if _, err := c.kube(ctx, "delete", "role", injector, "-n", c.namespace); err != nil {
		return err
	}
	err := r.shows(ctx, "calls fail", func() (bool, error) {
		n, _, err := c.injectorMetric(ctx, failures)
		return n > 5, err
	})
	if err != nil {
		return err
	}
	log, err := c.kube(ctx, "logs", "-n", c.namespace, "-l", "app.kubernetes.io/component=injector", "--tail=50")
	if err != nil {
		return err
	}
	r.expect(strings.Contains(log, "forbidden") && strings.Contains(log, "certificate"), "the log does not say forbidden: %.500s", log)
	if err := c.upgrade(ctx); err != nil {
		return err
	}
	return r.shows(ctx, "the calls go through again", func() (bool, error) {
		before, _, err := c.injectorMetric(ctx, failures)
		if err != nil {
			return false, err
		}
		time.Sleep(15 * time.Second) // three of the certificate's rounds
		after, _, err := c.injectorMetric(ctx, failures)
		return before == after, err
	})
}

// followCertificate is WSResilienceCertificate: without a restart there is another one.
func followCertificate(ctx context.Context, c *cluster, r *result) error {
	const expiry = "wsr_injector_certificate_expiry_seconds"
	pods, err := c.injectors(ctx)
	if err != nil {
		return err
	}
	_, before, err := c.injectorMetric(ctx, expiry)
	if err != nil {
		return err
	}
	if _, err := c.kube(ctx, "delete", "secret", "wsresilience-certificate", "-n", c.namespace); err != nil {
		return err
	}
	err = r.shows(ctx, "all injectors have another certificate", func() (bool, error) {
		_, after, err := c.injectorMetric(ctx, expiry)
		fresh := len(after) == len(before)
		for i := range after {
			fresh = fresh && after[i] > before[i] && after[i] == after[0]
		}
		return fresh, err
	})
	if err != nil {
		return err
	}
	still, err := c.injectors(ctx)
	if err != nil {
		return err
	}
	r.expect(strings.Join(pods, " ") == strings.Join(still, " "), "the injectors were %v and are %v", pods, still)
	return c.injects(ctx, r, "with another certificate")
}

// injects waits until pods are injected again.
func (c *cluster) injects(ctx context.Context, r *result, when string) error {
	return r.shows(ctx, "pods are injected "+when, func() (bool, error) {
		out, err := c.feed(ctx, fmt.Sprintf(refusedManifest, "runbook-dry", "", ""), c.kubectl, "create", "--dry-run=server", "-f", "-", "-o", "jsonpath={.spec.initContainers[*].name}")
		var failed *commandError
		if errors.As(err, &failed) {
			return false, nil // the webhook is not reached yet
		}
		return strings.HasPrefix(out, "wsresilience"), err
	})
}

// followDown is WSResilienceInjectorDown: no injector runs.
func followDown(ctx context.Context, c *cluster, r *result) error {
	if _, err := c.kube(ctx, "scale", "-n", c.namespace, "deployment/"+injector, "--replicas=0"); err != nil {
		return err
	}
	err := r.shows(ctx, "no injector is left", func() (bool, error) {
		pods, err := c.injectors(ctx)
		return len(pods) == 0, err
	})
	if err != nil {
		return err
	}
	pod := fmt.Sprintf(refusedManifest, "runbook", "", "")
	var denied *commandError
	if out, err := c.feed(ctx, pod, c.kubectl, "create", "-f", "-"); !errors.As(err, &denied) {
		r.expect(false, "without an injector a pod is admitted: %s", out)
		return err
	}
	r.expect(strings.Contains(denied.said, "inject.wsresilience.io"), "kubectl does not name the webhook: %s", denied.said)
	// A pod has to start now.
	if _, err := c.kube(ctx, "delete", "mutatingwebhookconfiguration", injector); err != nil {
		return err
	}
	if _, err := c.feed(ctx, pod, c.kubectl, "create", "-f", "-"); err != nil {
		r.expect(false, "without the webhook: %v", err)
	}
	if err := c.upgrade(ctx); err != nil {
		return err
	}
	if err := c.injects(ctx, r, "after helm upgrade"); err != nil {
		return err
	}
	out, err := c.kube(ctx, "get", "pods", "-A", "-o", `custom-columns=NAMESPACE:.metadata.namespace,NAME:.metadata.name,STATUS:.metadata.annotations.wsresilience\.io/status`)
	if err != nil {
		return err
	}
	found := false
	for line := range strings.Lines(out) {
		found = found || strings.Contains(line, "runbook") && strings.Contains(line, "<none>")
	}
	r.expect(found, "the pod without a sidecar is not listed:\n%s", out)
	_, err = c.kube(ctx, "delete", "pod", "runbook", "-n", appSpace, "--wait=false")
	return err
}
