package cluster

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wsresilience/wsresilience/k8s"
)

// The label of what the injector made, by which it is also found and removed.
const (
	managedBy = "app.kubernetes.io/managed-by"
	manager   = "wsresilience-injector"
)

// Implementation limits.
const (
	// secretTTL is how long a namespace's Secret is not read again.
	secretTTL = time.Minute

	// maxAttempts bounds the race with another replica, which ends with the
	// first that reads what the other wrote.
	maxAttempts = 4
)

// Secrets makes the Secret that the sidecars of a namespace read, and keeps it
// up to date. Its fields are set before its first use; it is safe for concurrent
// use.
type Secrets struct {
	Client *Client
	Name   string // of the Secret

	// Namespace and NATS name the Secret that NATS's keys are copied from.
	// Without NATS, URL is written, and without that, token keys alone.
	Namespace, NATS string
	URL             string

	// Credentials returns the file with which the sidecars of a namespace log in
	// to NATS, given the one that they have; what was made until refused is worth
	// nothing. nil: that of the Secret of NATS.
	Credentials func(namespace *corev1.Namespace, have []byte, refused time.Time) ([]byte, error)

	// Peers returns what the sidecars of a namespace need for mutual TLS with each
	// other, given the Secret's data. nil: nothing.
	Peers func(namespace *corev1.Namespace, have map[string][]byte) (map[string][]byte, error)

	// Rotation of the token keys that the injector made.
	Rotation Rotation

	mu   sync.Mutex
	seen map[string]sighting
}

// A sighting is of the Secret of a namespace, when it was complete.
type sighting struct {
	uid     types.UID // of the namespace: another one of the same name has no Secret yet
	at      time.Time
	refused time.Time // credentials that were made until then are
}

// annotationRefused, on the Secret, says until when credentials of NATS are
// refused, as Unix time. It is ours: taking the credentials out of the Secret
// sets it.
const annotationRefused = "wsresilience.io/nats-refused"

// Ensure makes the Secret of namespace, or updates what it has of NATS; token
// keys are made once, and changed by Rotation. With an error, usable reports whether the
// Secret was complete when last seen, so that a pod which needs it would start.
func (s *Secrets) Ensure(ctx context.Context, namespace *corev1.Namespace) (usable bool, err error) {
	now := time.Now()
	s.mu.Lock()
	last, usable := s.seen[namespace.Name]
	s.mu.Unlock()
	usable = usable && last.uid == namespace.UID
	if usable && now.Sub(last.at) < secretTTL {
		return true, nil
	}
	refused, err := s.ensure(ctx, namespace, true)
	if err != nil {
		return usable, err
	}
	s.sight(namespace, now, refused)
	return true, nil
}

// sight notes that the Secret of namespace was complete.
func (s *Secrets) sight(namespace *corev1.Namespace, at, refused time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]sighting{}
	}
	s.seen[namespace.Name] = sighting{namespace.UID, at, refused}
}

// Update is Ensure for a namespace that has the Secret; there reports whether it
// has. Unlike Ensure it always asks.
func (s *Secrets) Update(ctx context.Context, namespace *corev1.Namespace) (there bool, err error) {
	now := time.Now()
	refused, err := s.ensure(ctx, namespace, false)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	}
	s.sight(namespace, now, refused)
	return true, nil
}

// Refused is until when credentials of namespace are refused, as last seen.
func (s *Secrets) Refused(namespace *corev1.Namespace) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.seen[namespace.Name]; last.uid == namespace.UID {
		return last.refused
	}
	return time.Time{}
}

// Usable reports whether the Secret of namespace was complete when last seen.
func (s *Secrets) Usable(namespace string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, usable := s.seen[namespace]
	return usable
}

func (s *Secrets) ensure(ctx context.Context, namespace *corev1.Namespace, create bool) (refused time.Time, err error) {
	want, err := s.natsData(ctx)
	if err != nil {
		// Another Secret than the namespace's, whatever is wrong with it.
		return refused, fmt.Errorf("cluster: the Secret of NATS: %v", err) //nolint:errorlint // it must not look like the namespace's
	}
	for range maxAttempts {
		refused, err = s.attempt(ctx, namespace, want, create)
		if !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) {
			return refused, err
		}
	}
	return refused, err
}

// attempt reads the Secret and writes what it lacks. It fails with a conflict
// if another client writes at the same time.
func (s *Secrets) attempt(ctx context.Context, namespace *corev1.Namespace, want map[string][]byte, create bool) (refused time.Time, err error) {
	secret, err := s.Client.Secret(ctx, namespace.Name, s.Name)
	missing := apierrors.IsNotFound(err)
	if missing && create {
		secret = &corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: s.Name, Labels: map[string]string{managedBy: manager}},
			Type:       corev1.SecretTypeOpaque,
		}
	} else if err != nil {
		return refused, err
	}
	if s.Credentials != nil {
		have := secret.Data[k8s.SecretNATSCreds]
		refused = refusedUntil(secret, !missing && len(have) == 0)
		want = maps.Clone(want)
		if want[k8s.SecretNATSCreds], err = s.Credentials(namespace, have, refused); err != nil {
			return refused, err
		}
	}
	if !missing && secret.Labels[managedBy] != manager {
		return refused, s.checkUnmanaged(secret, want)
	}
	if s.Peers != nil {
		made, err := s.Peers(namespace, secret.Data)
		if err != nil {
			return refused, err
		}
		want = maps.Clone(want)
		maps.Copy(want, made)
	}
	changed := complete(secret, want)
	changed = s.Rotation.rotateKeys(time.Now(), secret) || changed
	switch {
	case missing:
		return refused, s.Client.CreateSecret(ctx, secret)
	case changed:
		return refused, s.Client.UpdateSecret(ctx, secret)
	}
	return refused, nil
}

// refusedUntil reads the annotation, or sets it where the credentials were taken
// out of the Secret of somebody who does not trust them any more.
func refusedUntil(secret *corev1.Secret, taken bool) time.Time {
	if taken && secret.Labels[managedBy] == manager {
		if secret.Annotations == nil {
			secret.Annotations = map[string]string{}
		}
		// What is made now is made later than that.
		secret.Annotations[annotationRefused] = strconv.FormatInt(time.Now().Unix()-1, 10)
	}
	seconds, err := strconv.ParseInt(secret.Annotations[annotationRefused], 10, 64)
	if err != nil || seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// checkUnmanaged checks a Secret that is not the injector's: it is not changed.
func (s *Secrets) checkUnmanaged(secret *corev1.Secret, want map[string][]byte) error {
	needed := []string{k8s.SecretTokenKeys}
	if s.Peers != nil {
		needed = append(needed, k8s.SecretPeerCert, k8s.SecretPeerKey, k8s.SecretPeerCA)
	}
	for _, key := range []string{k8s.SecretNATSURL, k8s.SecretNATSCreds} {
		if _, ok := want[key]; ok && (key == k8s.SecretNATSURL || s.Credentials != nil) {
			needed = append(needed, key)
		}
	}
	for _, key := range needed {
		if len(secret.Data[key]) == 0 {
			return fmt.Errorf("cluster: the Secret %s of namespace %s has no %s and is not the injector's, for it lacks the label %s=%s; add the key, or remove the Secret and it is made",
				s.Name, secret.Namespace, key, managedBy, manager)
		}
	}
	return nil
}

// complete puts into secret what it lacks, and reports whether that was anything.
// Keys of NATS that are no longer wanted stay: running pods refer to them.
func complete(secret *corev1.Secret, want map[string][]byte) bool {
	changed := false
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	if len(secret.Data[k8s.SecretTokenKeys]) == 0 {
		secret.Data[k8s.SecretTokenKeys] = []byte(freshKey())
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
			return map[string][]byte{}, nil
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
