package certs

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// memory is a cluster without a network, on which virtual time would wait. What
// a network adds is tested with a server, step by step.
type memory struct {
	mu      sync.Mutex
	away    error // of every call
	secret  *corev1.Secret
	bundles map[string][]byte
	looks   int // at the Secret
}

func (m *memory) Secret(_ context.Context, _, name string) (*corev1.Secret, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks++
	if m.away == nil && m.secret == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
	}
	return m.secret.DeepCopy(), m.away
}

func (m *memory) CreateSecret(ctx context.Context, s *corev1.Secret) error {
	return m.UpdateSecret(ctx, s)
}

func (m *memory) UpdateSecret(_ context.Context, s *corev1.Secret) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away == nil {
		m.secret = s.DeepCopy()
	}
	return m.away
}

func (m *memory) Bundles(context.Context, string) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.bundles), m.away
}

func (m *memory) SetBundles(_ context.Context, _ string, bundles map[string][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away == nil {
		maps.Copy(m.bundles, bundles)
	}
	return m.away
}

// with changes or reads the cluster between two looks.
func (m *memory) with(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// TestRun: it looks at once and then every few seconds, repairs what others
// wiped, outlasts a cluster that is away, and ends with its context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{bundles: map[string][]byte{"pod.inject": nil}}
		failed := 0
		k := &Rotator{
			Cluster: m, Namespace: "wsresilience", Secret: "certificate", Webhook: "injector", Service: "injector",
			Log: slog.New(slog.DiscardHandler), Failed: func() { failed++ },
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { k.Run(ctx); close(ended) }()
		synctest.Wait()
		if k.Ready() != nil || m.looks != 1 || failed != 0 {
			t.Fatalf("at once: %v, %d looks, %d failed", k.Ready(), m.looks, failed)
		}

		m.with(func() { m.bundles["pod.inject"] = nil })
		time.Sleep(interval)
		synctest.Wait()
		if len(m.bundles["pod.inject"]) == 0 || m.looks != 2 {
			t.Errorf("a bundle that was wiped: %d bytes after %d looks", len(m.bundles["pod.inject"]), m.looks)
		}

		m.with(func() { m.away = errors.New("away") })
		time.Sleep(3 * interval)
		synctest.Wait()
		if failed != 3 || k.Ready() != nil {
			t.Errorf("away: %d looks failed; %v", failed, k.Ready())
		}
		m.with(func() { m.away = nil; m.secret = nil })
		served := leaf(t, k)
		time.Sleep(interval)
		synctest.Wait()
		if failed != 3 || k.Ready() != nil || string(leaf(t, k)) == string(served) {
			t.Errorf("a Secret that was deleted: %d looks failed; %v", failed, k.Ready())
		}

		cancel()
		<-ended
		looks := m.looks
		time.Sleep(10 * interval)
		if m.looks != looks {
			t.Errorf("%d looks after the end", m.looks-looks)
		}
	})
}

// TestRunEndsDuringALook: a look under way is not counted as failed.
func TestRunEndsDuringALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{away: context.Canceled}
		k := &Rotator{Cluster: m, Log: slog.New(slog.DiscardHandler), Failed: func() { t.Error("counted as failed") }}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		k.Run(ctx)
		if m.looks != 1 {
			t.Errorf("%d looks", m.looks)
		}
	})
}
