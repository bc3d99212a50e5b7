package certs

import (
	"bytes"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/wsresilience/wsresilience/k8s/cluster"
	"github.com/wsresilience/wsresilience/k8s/cluster/clustertest"
)

// newRotator is a replica.
func newRotator(t *testing.T, server *clustertest.Server) *Rotator {
	t.Helper()
	client, err := cluster.New(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return &Rotator{
		Cluster: client, Namespace: "wsresilience", Secret: "certificate", Webhook: "injector", Service: "injector",
		Log: slog.New(slog.DiscardHandler),
	}
}

func reconcile(t *testing.T, k *Rotator, now time.Time) {
	t.Helper()
	if err := k.reconcile(t.Context(), now); err != nil {
		t.Fatal(err)
	}
}

// leaf is what k serves.
func leaf(t *testing.T, k *Rotator) []byte {
	t.Helper()
	pair, err := k.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Certificate[0]
}

func TestKeeperTwoReplicas(t *testing.T) {
	server := clustertest.New(t)
	server.PutWebhooks("injector", "namespace.inject", "pod.inject")
	a, b := newRotator(t, server), newRotator(t, server)
	if a.Ready() == nil || !a.Expiry().IsZero() {
		t.Error("ready without a certificate")
	}
	if _, err := a.GetCertificate(nil); err == nil {
		t.Error("a certificate out of nothing")
	}
	now := time.Now()
	reconcile(t, a, now)
	reconcile(t, b, now)
	bundle := server.Secret("wsresilience", "certificate").Data[keyAuthority]
	for _, webhook := range []string{"namespace.inject", "pod.inject"} {
		if !bytes.Equal(server.Bundle("injector", webhook), bundle) {
			t.Errorf("%s has another bundle", webhook)
		}
	}
	if !bytes.Equal(leaf(t, a), leaf(t, b)) || a.Ready() != nil || b.Ready() != nil {
		t.Errorf("ready: %v, %v", a.Ready(), b.Ready())
	}
	// Nothing to do is two reads.
	server.Calls()
	reconcile(t, a, now)
	if calls := server.Calls(); len(calls) != 2 {
		t.Errorf("calls %q", calls)
	}
	// One renews, the other serves it.
	reconcile(t, a, now.Add(61*day))
	reconcile(t, b, now.Add(61*day))
	if !bytes.Equal(leaf(t, a), leaf(t, b)) || !a.Expiry().After(now.Add(120*day)) {
		t.Errorf("expiry %v", a.Expiry())
	}
}

// TestKeeperRace: between the read of one replica and its write the other one
// does the same work.
func TestKeeperRace(t *testing.T) {
	for _, test := range []struct {
		method string
		after  time.Duration
	}{{http.MethodPost, 0}, {http.MethodPut, 61 * day}} {
		t.Run(test.method, func(t *testing.T) {
			server := clustertest.New(t)
			server.PutWebhooks("injector", "pod.inject")
			a, b := newRotator(t, server), newRotator(t, server)
			now := time.Now()
			if test.after > 0 {
				reconcile(t, a, now)
			}
			raced := false
			server.Before(func(call string) int {
				if strings.HasPrefix(call, test.method+" ") && !raced {
					raced = true
					reconcile(t, b, now.Add(test.after))
				}
				return 0
			})
			reconcile(t, a, now.Add(test.after))
			if !raced || !bytes.Equal(leaf(t, a), leaf(t, b)) {
				t.Errorf("raced %v; both serve the same: %v", raced, bytes.Equal(leaf(t, a), leaf(t, b)))
			}
		})
	}
}

// TestKeeperWipedBundle: an upgrade or a GitOps controller writes the webhooks
// as they are in Git, without bundles.
func TestKeeperWipedBundle(t *testing.T) {
	server := clustertest.New(t)
	server.PutWebhooks("injector", "pod.inject")
	k := newRotator(t, server)
	now := time.Now()
	reconcile(t, k, now)
	server.PutWebhooks("injector", "new.inject", "pod.inject")
	server.Before(func(call string) int {
		if strings.HasPrefix(call, "PATCH") {
			return http.StatusInternalServerError
		}
		return 0
	})
	if err := k.reconcile(t.Context(), now); err == nil || k.Ready() == nil {
		t.Errorf("%v; ready: %v", err, k.Ready())
	}
	server.Before(nil)
	reconcile(t, k, now)
	if server.Bundle("injector", "pod.inject") == nil || server.Bundle("injector", "new.inject") == nil || k.Ready() != nil {
		t.Errorf("ready: %v", k.Ready())
	}
}

func TestKeeperWithoutWebhooks(t *testing.T) {
	server := clustertest.New(t)
	k := newRotator(t, server)
	if err := k.reconcile(t.Context(), time.Now()); err == nil || k.Ready() == nil {
		t.Errorf("%v; ready: %v", err, k.Ready())
	}
	server.PutWebhooks("injector")
	reconcile(t, k, time.Now())
	if k.Ready() == nil {
		t.Error("ready, and no webhook leads here")
	}
}

// TestKeeperClusterAway: what is served stays while nobody answers.
func TestKeeperClusterAway(t *testing.T) {
	server := clustertest.New(t)
	server.PutWebhooks("injector", "pod.inject")
	k := newRotator(t, server)
	reconcile(t, k, time.Now())
	server.Before(func(string) int { return http.StatusServiceUnavailable })
	if err := k.reconcile(t.Context(), time.Now()); err == nil || k.Ready() != nil {
		t.Errorf("%v; ready: %v", err, k.Ready())
	}
}

func TestKeeperDir(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k := &Rotator{Dir: dir, Log: slog.New(slog.DiscardHandler)}
	if err := k.reconcile(t.Context(), time.Now()); err == nil || k.Ready() == nil {
		t.Errorf("%v; ready: %v", err, k.Ready())
	}
	first, second := planned(t, nil, time.Now()), planned(t, nil, time.Now())
	write(keyCert, first[keyCert])
	write(keyKey, first[keyKey])
	reconcile(t, k, time.Now())
	served := leaf(t, k)
	// In the middle of a renewal the files do not belong together.
	write(keyCert, second[keyCert])
	if err := k.reconcile(t.Context(), time.Now()); err == nil || !bytes.Equal(leaf(t, k), served) || k.Ready() != nil {
		t.Errorf("%v; ready: %v", err, k.Ready())
	}
	write(keyKey, second[keyKey])
	reconcile(t, k, time.Now())
	if bytes.Equal(leaf(t, k), served) {
		t.Error("the renewed certificate is not served")
	}
}
