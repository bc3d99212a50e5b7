package cluster

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Implementation limits. A controller whose pods are refused may make one after
// the other, and each Event is a write to etcd, where it stays for an hour.
const (
	minEventInterval = 10 * time.Minute // between two of the same Event
	maxEvents        = 256              // different ones in that time; more are dropped
	maxNote          = 1024             // bytes; the limit of the API
)

// Events records Events of type Warning, the same one at most every ten minutes.
// Client and Instance are set before its first use; it is safe for concurrent
// use.
type Events struct {
	Client   *Client
	Instance string // who reports: the name of this pod

	mu   sync.Mutex
	sent map[string]time.Time
}

// Warn records that action did not do for object what was asked, unless the
// same was recorded within ten minutes.
func (e *Events) Warn(ctx context.Context, object corev1.ObjectReference, reason, action, note string) error {
	now := time.Now()
	key := fmt.Sprintf("%s/%s/%s/%s/%s", object.Namespace, object.Kind, object.Name, reason, note)
	if !e.due(key, now) {
		return nil
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(key)) // a hash does not fail
	return e.Client.createEvent(ctx, &eventsv1.Event{
		TypeMeta: metav1.TypeMeta{APIVersion: eventsv1.SchemeGroupVersion.String(), Kind: "Event"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: object.Namespace,
			Name:      fmt.Sprintf("wsresilience.%08x.%x", hash.Sum32(), now.UnixNano()),
		},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: "wsresilience.io/injector",
		ReportingInstance:   e.Instance[:min(len(e.Instance), 128)],
		Type:                corev1.EventTypeWarning,
		Reason:              reason,
		Action:              action,
		Note:                strings.ToValidUTF8(note[:min(len(note), maxNote)], ""),
		Regarding:           object,
	})
}

// due reports whether key is to be sent, and remembers it.
func (e *Events) due(key string, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for k, at := range e.sent {
		if now.Sub(at) >= minEventInterval {
			delete(e.sent, k)
		}
	}
	if _, recent := e.sent[key]; recent || len(e.sent) >= maxEvents {
		return false
	}
	if e.sent == nil {
		e.sent = map[string]time.Time{}
	}
	e.sent[key] = now
	return true
}
