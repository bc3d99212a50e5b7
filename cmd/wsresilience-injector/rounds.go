package main

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/admission"
)

// Implementation limits.
const (
	// roundEvery is the pause between two rounds through the namespaces. A round
	// reads a Secret of each; what a pod needs is made when it is created.
	roundEvery = 5 * time.Minute

	// roundRetry is the pause after a round that failed.
	roundRetry = 30 * time.Second

	// roundTimeout bounds one round.
	roundTimeout = 4 * time.Minute
)

// followNamespaces keeps what the namespaces have of us up to date: Secrets, and
// accounts in NATS. There may be several injectors: what one did, the next one
// finds done.
func (s *server) followNamespaces(ctx context.Context) {
	for ctx.Err() == nil {
		next := roundEvery
		if err := s.round(ctx); err != nil && ctx.Err() == nil {
			s.metrics.ClusterError("round")
			s.log.Warn("not all namespaces could be looked after; trying again", "error", err.Error(), "retry", roundRetry.String())
			next = roundRetry
		}
		select {
		case <-ctx.Done():
		case <-s.hurried:
		case <-time.After(next):
		}
	}
}

// hurry makes the next round begin at once.
func (s *server) hurry() {
	select {
	case s.hurried <- struct{}{}:
	default: // it is going to
	}
}

// round looks after every namespace once.
func (s *server) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	if s.accounts != nil {
		if err := s.accounts.open(ctx); err != nil {
			return err
		}
	}
	labels := []string{k8s.Enabled, k8s.Pods}
	if s.config.ClientCA != "" {
		labels = nil // pods may ask for the sidecar anywhere
	}
	namespaces, err := s.client.Namespaces(ctx, labels...)
	if err != nil {
		return err
	}
	for i := range namespaces {
		if e := ctx.Err(); e != nil {
			return e
		}
		if e := s.lookAfter(ctx, &namespaces[i]); e != nil {
			err = e // the others are no worse for it
		}
	}
	if s.accounts != nil {
		if e := s.accounts.sweep(ctx); e != nil {
			return e
		}
	}
	return err
}

// lookAfter brings up to date what one namespace has.
func (s *server) lookAfter(ctx context.Context, namespace *corev1.Namespace) error {
	if namespace.Name == s.config.Namespace || namespace.DeletionTimestamp != nil || admission.System(namespace.Name) {
		return nil
	}
	there, err := s.secrets.Update(ctx, namespace)
	if err != nil || !there || s.accounts == nil {
		return err
	}
	return s.accounts.apply(ctx, namespace, s.sessionTTL(namespace))
}

// sessionTTL is that of the sidecars of a namespace whose pods do not say
// otherwise; 0 if it is not known.
func (s *server) sessionTTL(namespace *corev1.Namespace) time.Duration {
	settings := s.settings.Load()
	if settings == nil {
		return 0
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}}}
	_, report, err := k8s.Inject(pod, namespace.Annotations, *settings)
	if err != nil {
		return 0 // its pods are denied
	}
	return report.SessionTTL
}
