package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

// The label of what the injector made, by which it is also found and removed.
const (
	managedBy = "app.kubernetes.io/managed-by"
	manager   = "wsresilience-injector"
)

// Implementation limits.
const (
	// secretFresh is how long a namespace's Secret is taken to be as it was.
	secretFresh = time.Minute

	// secretAttempts bounds the race with another replica, which ends with the
	// first that reads what the other wrote.
	secretAttempts = 4

	tokenKeySize = 32 // bytes of a key of WSR_TOKEN_KEYS
)

// Secrets sees to it that each namespace with a sidecar has the Secret that the
// sidecars read. It is safe for concurrent use; the fields are set before.
type Secrets struct {
	Client *Client
	Name   string // of the Secret

	// Namespace and NATS name the Secret that NATS's keys are copied from.
	// Without NATS, URL is written, and without that, token keys alone.
	Namespace, NATS string
	URL             string

	mu   sync.Mutex
	seen map[string]time.Time // namespaces whose Secret was in order
}

// Ensure makes the Secret of namespace, or brings what it has of NATS up to
// date; token keys are made once and never changed. With an error, there says
// whether the Secret was in order when it was seen last, so that a pod which
// needs it would start.
func (s *Secrets) Ensure(ctx context.Context, namespace string) (there bool, err error) {
	now := time.Now()
	s.mu.Lock()
	at, there := s.seen[namespace]
	s.mu.Unlock()
	if there && now.Sub(at) < secretFresh {
		return true, nil
	}
	if err := s.ensure(ctx, namespace); err != nil {
		return there, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]time.Time{}
	}
	s.seen[namespace] = now
	return true, nil
}

func (s *Secrets) ensure(ctx context.Context, namespace string) error {
	want, err := s.natsData(ctx)
	if err != nil {
		return err
	}
	for range secretAttempts {
		err = s.attempt(ctx, namespace, want)
		if !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) {
			return err
		}
	}
	return err
}

// attempt reads the Secret and writes what it lacks. It fails with a conflict
// when somebody else writes at the same time.
func (s *Secrets) attempt(ctx context.Context, namespace string, want map[string][]byte) error {
	secret, err := s.Client.Secret(ctx, namespace, s.Name)
	if apierrors.IsNotFound(err) {
		secret = &corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: s.Name, Labels: map[string]string{managedBy: manager}},
			Type:       corev1.SecretTypeOpaque,
		}
		complete(secret, want)
		return s.Client.CreateSecret(ctx, secret)
	}
	if err != nil {
		return err
	}
	if secret.Labels[managedBy] != manager {
		return s.foreign(secret, want)
	}
	if !complete(secret, want) {
		return nil
	}
	return s.Client.UpdateSecret(ctx, secret)
}

// foreign judges a Secret that somebody else made, which is left alone.
func (s *Secrets) foreign(secret *corev1.Secret, want map[string][]byte) error {
	needed := []string{k8s.SecretTokenKeys}
	if _, ok := want[k8s.SecretNATSURL]; ok {
		needed = append(needed, k8s.SecretNATSURL)
	}
	for _, key := range needed {
		if len(secret.Data[key]) == 0 {
			return fmt.Errorf("cluster: the Secret %s of namespace %s has no %s and is not the injector's, for it lacks the label %s=%s; add the key, or remove the Secret and it is made",
				s.Name, secret.Namespace, key, managedBy, manager)
		}
	}
	return nil
}

// complete puts into secret what it lacks, and tells whether that was anything.
// Keys of NATS that are no longer wanted stay: pods that run name them.
func complete(secret *corev1.Secret, want map[string][]byte) bool {
	changed := false
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	if len(secret.Data[k8s.SecretTokenKeys]) == 0 {
		key := make([]byte, tokenKeySize)
		_, _ = rand.Read(key) // never fails
		secret.Data[k8s.SecretTokenKeys] = []byte(base64.StdEncoding.EncodeToString(key))
		changed = true
	}
	for name, value := range want {
		if !bytes.Equal(secret.Data[name], value) {
			secret.Data[name] = value
			changed = true
		}
	}
	return changed
}

// natsData is what the sidecars need to reach NATS.
func (s *Secrets) natsData(ctx context.Context) (map[string][]byte, error) {
	if s.NATS == "" {
		if s.URL == "" {
			return nil, nil
		}
		return map[string][]byte{k8s.SecretNATSURL: []byte(s.URL)}, nil
	}
	source, err := s.Client.Secret(ctx, s.Namespace, s.NATS)
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	for _, name := range []string{k8s.SecretNATSURL, k8s.SecretNATSCreds, k8s.SecretNATSCA} {
		if value := source.Data[name]; len(value) > 0 {
			data[name] = value
		}
	}
	if data[k8s.SecretNATSURL] == nil {
		return nil, fmt.Errorf("cluster: the Secret %s of namespace %s has no %s; put the address of NATS there", s.NATS, s.Namespace, k8s.SecretNATSURL)
	}
	return data, nil
}
