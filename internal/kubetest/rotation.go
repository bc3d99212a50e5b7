package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// keysRotate: what takes the injector a month is done in minutes, by making the
// Secret look as old as it has to be. Every sidecar has the new key before it is
// used, and clients notice nothing.
func keysRotate(ctx context.Context, c *cluster, r *result) error {
	first, err := c.tokenKeys(ctx)
	if err != nil {
		return err
	}
	places := ""
	for i, stage := range []struct {
		stage string
		age   time.Duration
		keys  int // that each sidecar has afterwards
	}{{"steady", 31 * 24 * time.Hour, len(first) + 1}, {"announced", 11 * time.Minute, len(first) + 1}} {
		if err := c.ageKeys(ctx, stage.stage, stage.age); err != nil {
			return err
		}
		if err := c.restartInjectors(ctx); err != nil {
			return err
		}
		keys, err := c.tokenKeys(ctx)
		for end := time.Now().Add(time.Minute); err == nil && (len(keys) != stage.keys || (keys[0] == first[0]) != (i == 0)); keys, err = c.tokenKeys(ctx) {
			if time.Now().After(end) {
				r.expect(false, "%s: the Secret has %d keys, and the first is the same: %v", stage.stage, len(keys), keys[0] == first[0])
				return nil
			}
			time.Sleep(time.Second)
		}
		if err != nil {
			return err
		}
		began := time.Now()
		if places, err = c.sidecarsFollow(ctx, stage.keys, places); err != nil {
			return err
		}
		r.note += fmt.Sprintf("%s: in all sidecars after %.0f s; ", stage.stage, time.Since(began).Seconds())
	}
	r.note = strings.TrimSuffix(r.note, "; ")
	return nil
}

func (c *cluster) tokenKeys(ctx context.Context) ([]string, error) {
	out, err := c.kube(ctx, "get", "secret", "wsresilience", "-n", appSpace, "-o", "jsonpath={.data.token-keys}")
	if err != nil {
		return nil, err
	}
	text, err := base64.StdEncoding.DecodeString(out)
	return strings.Split(string(text), ","), err
}

// ageKeys writes into the Secret's annotation that its keys are at a stage for so
// long.
func (c *cluster) ageKeys(ctx context.Context, stage string, age time.Duration) error {
	keys, err := c.tokenKeys(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(strings.Join(keys, ",")))
	text, err := json.Marshal(map[string]any{"version": 1, "stage": stage, "since": time.Now().Add(-age).UTC(), "digest": hex.EncodeToString(sum[:8])})
	if err != nil {
		return err
	}
	_, err = c.kube(ctx, "annotate", "secret", "wsresilience", "-n", appSpace, "--overwrite", "wsresilience.io/token-keys="+string(text))
	return err
}

// restartInjectors makes their next round through the namespaces begin.
func (c *cluster) restartInjectors(ctx context.Context) error {
	if _, err := c.kube(ctx, "rollout", "restart", "-n", c.namespace, "deployment/wsresilience-injector"); err != nil {
		return err
	}
	_, err := c.kube(ctx, "rollout", "status", "-n", c.namespace, "deployment/wsresilience-injector", "--timeout="+patience.String())
	return err
}

// sidecarsFollow waits until every sidecar of the app has so many keys, in
// another order or number than before, and returns their places.
func (c *cluster) sidecarsFollow(ctx context.Context, keys int, before string) (places string, err error) {
	out, err := c.kube(ctx, "get", "pods", "-n", appSpace, "-l", "app=echo", "-o", "jsonpath={.items[*].metadata.name}")
	if err != nil {
		return "", err
	}
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(2 * time.Second) {
		seen := map[string]bool{}
		for _, pod := range strings.Fields(out) {
			text, err := c.kube(ctx, "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:15802/proxy/metrics", appSpace, pod))
			if err != nil {
				return "", err
			}
			places = keyPlaces(text)
			seen[places] = true
		}
		if len(seen) == 1 && strings.Count(places, "\n") == keys && places != before {
			return places, nil
		}
	}
	return "", fmt.Errorf("kubetest: not every sidecar has followed the keys within %v", patience)
}

// keyPlaces are the lines of metrics that say which keys a sidecar has, and in
// which place.
func keyPlaces(metrics string) string {
	var b strings.Builder
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "wsr_key_place{") {
			b.WriteString(line)
		}
	}
	return b.String()
}
