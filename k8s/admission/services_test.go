package admission

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestServicesAreAskedOnce: the pods of a deployment have the Services of one answer,
// for a moment, and of an answer that failed, or was given up, nobody has anything.
func TestServicesAreAskedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lists serviceLists
		var mu sync.Mutex
		asked, fails := 0, false
		ask := func(ctx context.Context, namespace string) ([]corev1.Service, error) {
			mu.Lock()
			asked++
			fail := fails
			mu.Unlock()
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if fail {
				return nil, errors.New("it does not answer")
			}
			return []corev1.Service{{Spec: corev1.ServiceSpec{ClusterIP: namespace}}}, nil
		}
		get := func(ctx context.Context, namespace string, wantErr bool) {
			t.Helper()
			s, err := lists.of(ctx, namespace, ask)
			if (err != nil) != wantErr || err == nil && s[0].Spec.ClusterIP != namespace {
				t.Errorf("%s: %v, %v", namespace, s, err)
			}
		}
		want := func(n int) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if asked != n {
				t.Errorf("asked %d times, want %d", asked, n)
			}
			asked = 0
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { get(t.Context(), "shop", false) })
		}
		all.Wait()
		get(t.Context(), "shop", false)
		get(t.Context(), "other", false)
		want(2)
		time.Sleep(servicesFor)
		get(t.Context(), "shop", false)
		want(1)

		// Who asks first gives up: the next one asks for itself.
		time.Sleep(servicesFor)
		first, giveUp := context.WithCancel(t.Context())
		all.Go(func() { get(first, "shop", true) })
		synctest.Wait()
		all.Go(func() { get(t.Context(), "shop", false) })
		synctest.Wait()
		giveUp()
		all.Wait()
		want(2)

		time.Sleep(servicesFor)
		mu.Lock()
		fails = true
		mu.Unlock()
		get(t.Context(), "shop", true)
		get(t.Context(), "shop", true)
		want(2)
		for i := range 3 * maxServiceLists {
			if len(lists.lists) > maxServiceLists {
				t.Fatalf("%d lists are kept", len(lists.lists))
			}
			lists.find(fmt.Sprint(i))
		}
	})
}
