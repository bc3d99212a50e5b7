package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How much load the webhook gets: from so many kubectl at once, and meanwhile
// from so many connections of a pod that makes reviews up.
const (
	loaders       = 8
	loaderReviews = 50
	floodRunners  = 24
)

// loadLimit is what a review may take at the 99th percentile while somebody
// floods the webhook: well below what the API server waits for.
const loadLimit = 2500 * time.Millisecond

// webhookLoad: many pods are created at once while a pod of the cluster asks the
// webhook as fast as it can, with reviews as large as they may be. No pod is
// refused or held up, and no injector takes more memory than it may have or is
// restarted.
func webhookLoad(ctx context.Context, c *cluster, r *result) error {
	if _, err := c.apply(ctx, fmt.Sprintf(floodManifest, "https://wsresilience-injector."+c.namespace+".svc/inject")); err != nil {
		return err
	}
	if _, err := c.kube(ctx, "wait", "-n", appSpace, "pod/flood", "--for=jsonpath={.status.phase}=Running", "--timeout=60s"); err != nil {
		return err
	}
	before, err := c.admissions(ctx)
	if err != nil {
		return err
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		failed  []string
	)
	for i := range loaders {
		running.Go(func() {
			var list strings.Builder
			for j := range loaderReviews {
				list.WriteString("---" + fmt.Sprintf(refusedManifest, fmt.Sprintf("load-%d-%d", i, j), "", ""))
			}
			if _, err := c.feed(ctx, list.String(), c.kubectl, "create", "--dry-run=server", "-f", "-"); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err.Error())
			}
		})
	}
	running.Wait()
	after, err := c.admissions(ctx)
	if err != nil {
		return err
	}
	for _, f := range failed {
		r.expect(false, "pods were not admitted: %.500s", f)
	}
	during := after.since(before)
	p99 := time.Duration(during.quantile(.99) * float64(time.Second))
	r.expect(p99 <= loadLimit, "the 99th percentile is %v", p99)
	most, restarts, err := c.injectorMemory(ctx)
	if err != nil {
		return err
	}
	r.expect(most < 256<<20, "an injector has %d MiB", most>>20)
	r.expect(restarts == 0, "injectors were restarted %d times", restarts)
	flood, _ := c.kube(ctx, "logs", "-n", appSpace, "flood", "-c", "flood", "--tail=1")
	if _, err := c.kube(ctx, "delete", "pod", "flood", "-n", appSpace, "--wait=false"); err != nil {
		return err
	}
	r.expect(strings.Contains(flood, "200") || strings.Contains(flood, "503"), "nothing was flooded: %q", flood)
	r.note = fmt.Sprintf("99th percentile of %.0f reviews below %.0f ms, median below %.0f ms; at most %d MiB; the flood was answered %s",
		during.count(), float64(p99)/1e6, during.quantile(.5)*1e3, most>>20, strings.TrimSpace(flood))
	return nil
}

// injectorMemory is the memory of the largest injector, and how often they were
// restarted.
func (c *cluster) injectorMemory(ctx context.Context) (most int64, restarts int, err error) {
	out, err := c.kube(ctx, "get", "pods", "-n", c.namespace, "-l", "app.kubernetes.io/component=injector",
		"-o", `jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].restartCount}{"\n"}{end}`)
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(out) {
		name, count, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(count)
		if err != nil {
			return 0, 0, fmt.Errorf("kubetest: %q: %w", line, err)
		}
		restarts += n
		text, err := c.kube(ctx, "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:15802/proxy/metrics", c.namespace, name))
		if err != nil {
			return 0, 0, err
		}
		for metric := range strings.Lines(text) {
			if value, ok := strings.CutPrefix(metric, "process_resident_memory_bytes "); ok {
				bytes, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
				if err != nil {
					return 0, 0, err
				}
				most = max(most, int64(bytes))
			}
		}
	}
	return most, restarts, nil
}

// floodManifest has the address of the webhook.
const floodManifest = `
apiVersion: v1
kind: Pod
metadata:
  name: flood
  namespace: ` + appSpace + `
  labels: {wsresilience.io/inject: disabled}
spec:
  terminationGracePeriodSeconds: 1
  restartPolicy: Never
  containers:
    - name: flood
      image: ` + clientImage + `
      imagePullPolicy: IfNotPresent
      args: [flood, -url, "%s"]
`

// runFlood asks the webhook until it is stopped, and prints each second how
// often it was answered with which status.
func runFlood(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(roleFlood, flag.ContinueOnError)
	url := flags.String("url", "", "address of the webhook")
	if err := flags.Parse(args); err != nil {
		return err
	}
	// A review of almost three mebibytes, for a namespace that is not there.
	body := fmt.Appendf(nil, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","kind":{"version":"v1","kind":"Pod"},"resource":{"version":"v1","resource":"pods"},"namespace":"nowhere","operation":"CREATE","object":{"metadata":{"annotations":{"a":%q}}}}}`, bytes.Repeat([]byte("x"), 2900<<10))
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: floodRunners, //nolint:gosec // it is an attacker
	}}
	var mu sync.Mutex
	answers := map[string]int{}
	for range floodRunners {
		go func() {
			for ctx.Err() == nil {
				status := "none"
				if response, err := client.Post(*url, "application/json", bytes.NewReader(body)); err == nil {
					_, _ = io.Copy(io.Discard, response.Body) // only whether there is one
					_ = response.Body.Close()
					status = strconv.Itoa(response.StatusCode)
				}
				mu.Lock()
				answers[status]++
				mu.Unlock()
			}
		}()
	}
	for ctx.Err() == nil {
		time.Sleep(time.Second)
		mu.Lock()
		err := json.NewEncoder(os.Stdout).Encode(answers)
		mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}
