package admission

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Implementation limits of what is remembered of Services. Only warnings follow from
// them, so that a moment does no harm; of a namespace's label and annotations it would.
const (
	// servicesFor is how long those of a namespace count as known: a deployment's
	// pods come within that, and each is shown twice.
	servicesFor = time.Second

	// maxServiceLists is of how many namespaces they are known at a time.
	maxServiceLists = 64
)

// A serviceLists knows the Services of namespaces that were just asked for. The zero
// value knows none; it is safe for concurrent use.
type serviceLists struct {
	mu    sync.Mutex
	lists map[string]*serviceList
}

// A serviceList is one answer, or the question that is under way.
type serviceList struct {
	asked    time.Time
	done     chan struct{}
	services []corev1.Service
	err      error
}

// of returns those of a namespace, as ask says or has just said. Who waits for the
// question of another has its answer, unless that one gave up.
func (l *serviceLists) of(ctx context.Context, namespace string, ask func(context.Context, string) ([]corev1.Service, error)) ([]corev1.Service, error) {
	for {
		list, mine := l.find(namespace)
		if mine {
			list.services, list.err = ask(ctx, namespace)
			if list.err != nil {
				l.forget(namespace, list)
			}
			close(list.done)
			return list.services, list.err
		}
		select {
		case <-list.done:
			if list.err == nil {
				return list.services, nil
			}
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// find returns what is known of a namespace, or mine for what the caller has to ask.
func (l *serviceLists) find(namespace string) (list *serviceList, mine bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if list := l.lists[namespace]; list != nil && now.Sub(list.asked) < servicesFor {
		return list, false
	}
	if len(l.lists) >= maxServiceLists {
		clear(l.lists)
	}
	if l.lists == nil {
		l.lists = map[string]*serviceList{}
	}
	list = &serviceList{asked: now, done: make(chan struct{})}
	l.lists[namespace] = list
	return list, true
}

func (l *serviceLists) forget(namespace string, list *serviceList) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lists[namespace] == list {
		delete(l.lists, namespace)
	}
}
