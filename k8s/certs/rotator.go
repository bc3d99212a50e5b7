package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Implementation limits.
const (
	// interval is how often the Secret, the bundles or the files are read. An
	// upgrade that wipes the bundles is repaired within that time; a watch would
	// be faster, but can break itself. It costs two reads.
	interval = 5 * time.Second

	// maxAttempts bounds the race with another replica, which ends when one reads
	// what the other wrote.
	maxAttempts = 4
)

// Cluster is what a Rotator asks of the API server.
type Cluster interface {
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	CreateSecret(ctx context.Context, s *corev1.Secret) error
	UpdateSecret(ctx context.Context, s *corev1.Secret) error

	// Bundles and SetBundles are by the names of a configuration's webhooks.
	Bundles(ctx context.Context, configuration string) (map[string][]byte, error)
	SetBundles(ctx context.Context, configuration string, bundles map[string][]byte) error
}

// Rotator renews the certificate and serves it to TLS. Its fields are set before
// Run; its methods are safe for concurrent use.
type Rotator struct {
	// Dir holds tls.crt and tls.key that another program renews; of the other
	// fields only Log and Failed are then used.
	Dir string

	Cluster           Cluster
	Namespace, Secret string // where the certificate is kept
	Webhook           string // the configuration whose bundles are kept
	Service           string // of the webhook, in Namespace

	Log    *slog.Logger
	Failed func() // called for each round that failed; may be nil

	pair    atomic.Pointer[tls.Certificate]
	trusted atomic.Bool // the webhooks have the CA bundle
}

// Names are the DNS names under which the API server, or a test, calls the
// webhook.
func (r *Rotator) Names() []string {
	name := r.Service + "." + r.Namespace
	return []string{name + ".svc", name + ".svc.cluster.local", name}
}

// Run keeps the certificate until ctx ends.
func (r *Rotator) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := r.reconcile(ctx, time.Now()); err != nil && ctx.Err() == nil {
			r.Log.Error("the certificate could not be checked or renewed; trying again", "error", err.Error())
			if r.Failed != nil {
				r.Failed()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// GetCertificate is for a tls.Config. It fails until there is a certificate.
func (r *Rotator) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if pair := r.pair.Load(); pair != nil {
		return pair, nil
	}
	return nil, errors.New("certs: no certificate yet")
}

// Ready returns what keeps the API server from calling this webhook, nil if
// nothing does.
func (r *Rotator) Ready() error {
	switch {
	case r.pair.Load() == nil:
		return errors.New("there is no certificate yet")
	case time.Now().After(r.Expiry()):
		return fmt.Errorf("the certificate expired at %v", r.Expiry().UTC())
	case !r.trusted.Load():
		return fmt.Errorf("the webhooks of %s do not have the CA bundle yet", r.Webhook)
	}
	return nil
}

// Expiry is when the certificate expires; the zero time while there is none.
func (r *Rotator) Expiry() time.Time {
	if pair := r.pair.Load(); pair != nil {
		return pair.Leaf.NotAfter
	}
	return time.Time{}
}

// reconcile checks everything once, and repairs it.
func (r *Rotator) reconcile(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, interval)
	defer cancel()
	if r.Dir != "" {
		return r.readDir()
	}
	data, err := r.ensureSecret(ctx, now)
	if err != nil {
		return fmt.Errorf("certs: the Secret %s: %w", r.Secret, err)
	}
	s, err := parse(data)
	if err != nil {
		return fmt.Errorf("certs: the Secret %s: %w", r.Secret, err)
	}
	// The authority is in the bundle before what it signed is served.
	if err := r.publishBundle(ctx, data[keyAuthority]); err != nil {
		return fmt.Errorf("certs: the CA bundle of %s: %w", r.Webhook, err)
	}
	r.pair.Store(s.pair)
	return nil
}

// ensureSecret returns the Secret's contents, renewed if necessary.
func (r *Rotator) ensureSecret(ctx context.Context, now time.Time) (map[string][]byte, error) {
	var err error
	for range maxAttempts {
		var data map[string][]byte
		data, err = r.attempt(ctx, now)
		if !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) {
			return data, err
		}
	}
	return nil, err
}

// attempt fails with a conflict if another replica writes at the same time.
func (r *Rotator) attempt(ctx context.Context, now time.Time) (map[string][]byte, error) {
	secret, err := r.Cluster.Secret(ctx, r.Namespace, r.Secret)
	missing := apierrors.IsNotFound(err)
	if missing {
		secret = &corev1.Secret{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Secret,
				Labels: map[string]string{"app.kubernetes.io/managed-by": "wsresilience-injector"}},
			Type: corev1.SecretTypeTLS,
		}
	} else if err != nil {
		return nil, err
	}
	next, why, err := plan(secret.Data, r.Names(), now)
	if err != nil || next == nil {
		return secret.Data, err
	}
	secret.Data = next
	write := r.Cluster.UpdateSecret
	if missing {
		write = r.Cluster.CreateSecret
	}
	if err := write(ctx, secret); err != nil {
		return nil, err
	}
	r.Log.Info("certificate renewed", "reason", why, "secret", r.Secret)
	return next, nil
}

// publishBundle writes bundle to the webhooks that have another.
func (r *Rotator) publishBundle(ctx context.Context, bundle []byte) error {
	have, err := r.Cluster.Bundles(ctx, r.Webhook)
	if err != nil {
		// The bundle may still be there, unless there are no webhooks.
		if apierrors.IsNotFound(err) {
			r.trusted.Store(false)
		}
		return err
	}
	want := map[string][]byte{}
	for name, b := range have {
		if !bytes.Equal(b, bundle) {
			want[name] = bundle
		}
	}
	if len(want) == 0 {
		r.trusted.Store(len(have) > 0)
		return nil
	}
	r.trusted.Store(false)
	if err := r.Cluster.SetBundles(ctx, r.Webhook, want); err != nil {
		return err
	}
	r.trusted.Store(true)
	r.Log.Info("CA bundle written", "configuration", r.Webhook, "webhooks", len(want))
	return nil
}

// readDir reads the files again. If they cannot be used, as in the middle of a
// change, the certificate that was read before stays.
func (r *Rotator) readDir() error {
	cert, err := os.ReadFile(filepath.Join(r.Dir, keyCert))
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(r.Dir, keyKey))
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	pair, err := parsePair(cert, key)
	if err != nil {
		return fmt.Errorf("certs: %s: %w", r.Dir, err)
	}
	r.pair.Store(pair)
	r.trusted.Store(true)
	return nil
}
