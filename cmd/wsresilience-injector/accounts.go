package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/cluster"
	"github.com/wsresilience/wsresilience/k8s/tenants"
	"github.com/wsresilience/wsresilience/store/natsstore"
)

// Implementation limits.
const (
	// applyTTL is how long an account is not looked at again: servers that have
	// lost their volumes know of it after that.
	applyTTL = 5 * time.Minute

	// applyWait is how long a pod waits for its namespace's account. It goes on
	// in the background: a sidecar that finds no account tries again.
	applyWait = time.Second

	// applyTimeout bounds the making of an account with its streams.
	applyTimeout = 20 * time.Second
)

// accounts keeps an account in NATS for each namespace that has the Secret of
// the sidecars. It is safe for concurrent use.
type accounts struct {
	config *Config
	client *cluster.Client
	log    *slog.Logger
	failed func() // a call of NATS failed
	again  func() // look after all namespaces again

	// refused is until when credentials of a namespace are.
	refused func(*corev1.Namespace) time.Time

	flights singleflight.Group

	mu        sync.Mutex
	authority *tenants.Authority // nil until the operator's Secret is read
	servers   *tenants.Servers
	clusterID string // the UID of kube-system, which tells Kubernetes clusters apart
	applied   map[types.UID]application
	failedAt  time.Time // when an account was last not made
}

// An application is of an account, when it was as it has to be.
type application struct {
	at         time.Time
	sessionTTL time.Duration
	refused    time.Time
}

// errNoOperator is why nothing can be made yet.
var errNoOperator = errors.New("the operator's keys have not been read yet")

// open reads the operator's keys, or makes them, once.
func (a *accounts) open(ctx context.Context) error {
	a.mu.Lock()
	opened := a.authority != nil
	a.mu.Unlock()
	if opened {
		return nil
	}
	data, err := a.operator(ctx)
	if err != nil {
		return err
	}
	authority, err := tenants.Parse(data)
	if err != nil {
		return fmt.Errorf("the Secret %s: %w", a.config.Secrets.Accounts.Secret, err)
	}
	system, err := a.client.Namespace(ctx, metav1.NamespaceSystem, false)
	if err != nil {
		return err
	}
	servers := &tenants.Servers{URL: a.config.Secrets.NATSURL, Authority: authority, Log: a.log, Back: a.lookAgain}
	if name := a.config.Secrets.NATS; name != "" {
		source, err := a.client.Secret(ctx, a.config.Namespace, name)
		if err != nil {
			return err
		}
		servers.URL, servers.CA = string(source.Data[k8s.SecretNATSURL]), source.Data[k8s.SecretNATSCA]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.authority, a.servers, a.clusterID = authority, servers, string(system.UID)
	a.applied = map[types.UID]application{}
	return nil
}

// operator returns what the operator's Secret holds. Of two injectors that make
// it at the same time the API server takes one.
func (a *accounts) operator(ctx context.Context) (map[string][]byte, error) {
	settings := a.config.Secrets.Accounts
	secret, err := a.client.Secret(ctx, a.config.Namespace, settings.Secret)
	if err == nil {
		return secret.Data, nil
	}
	if !apierrors.IsNotFound(err) || !settings.Make {
		return nil, err
	}
	data, err := tenants.NewSecret()
	if err != nil {
		return nil, err
	}
	err = a.client.CreateSecret(ctx, &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: a.config.Namespace, Name: settings.Secret,
			Labels: map[string]string{"app.kubernetes.io/managed-by": "wsresilience-injector"}},
		Type: corev1.SecretTypeOpaque, Data: data,
	})
	if apierrors.IsAlreadyExists(err) {
		secret, err = a.client.Secret(ctx, a.config.Namespace, settings.Secret)
		if err != nil {
			return nil, err
		}
		return secret.Data, nil
	}
	if err != nil {
		return nil, err
	}
	a.log.Info("operator of NATS made", "secret", settings.Secret)
	return data, nil
}

// credentials returns the file with which the sidecars of a namespace log in.
// It asks nobody but, once, the API server.
func (a *accounts) credentials(namespace *corev1.Namespace, have []byte, refused time.Time) ([]byte, error) {
	account, err := a.account(tenant(namespace), 0)
	if err != nil {
		return nil, err
	}
	account.RefuseBefore(refused)
	return account.Credentials(have)
}

func tenant(namespace *corev1.Namespace) tenants.Tenant {
	return tenants.Tenant{Namespace: namespace.Name, UID: string(namespace.UID)}
}

func (a *accounts) account(t tenants.Tenant, sessionTTL time.Duration) (*tenants.Account, error) {
	a.mu.Lock()
	authority, clusterID := a.authority, a.clusterID
	a.mu.Unlock()
	if authority == nil {
		return nil, errNoOperator
	}
	replicas, err := a.config.replicas()
	if err != nil {
		return nil, err // checked with the settings
	}
	settings := a.config.Secrets.Accounts
	quota := tenants.Quota{Storage: settings.Storage.Value(), Connections: settings.Connections}
	return authority.Account(t, clusterID, quota, natsstore.Layout{Replicas: replicas, SessionTTL: sessionTTL})
}

// ensure makes the account of a namespace and its streams, unless that was done
// a short time ago. It returns after applyWait at the latest, and then goes on
// alone. What fails is logged and tried again at the next pod, or by the next
// round: a sidecar waits for its streams, and serves from memory meanwhile.
func (a *accounts) ensure(namespace *corev1.Namespace, sessionTTL time.Duration) {
	a.mu.Lock()
	last, done := a.applied[namespace.UID]
	wait := applyWait
	if time.Since(a.failedAt) < applyTimeout {
		wait = 0 // NATS is out of reach, and pods do not wait for it
	}
	a.mu.Unlock()
	if done && sessionTTL <= last.sessionTTL && last.refused.Equal(a.refused(namespace)) && time.Since(last.at) < applyTTL {
		return
	}
	result := a.flights.DoChan(fmt.Sprint(namespace.UID, sessionTTL), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), applyTimeout)
		defer cancel()
		return nil, a.apply(ctx, namespace, sessionTTL)
	})
	select {
	case <-result:
	case <-time.After(wait):
	}
}

// apply is ensure at once.
func (a *accounts) apply(ctx context.Context, namespace *corev1.Namespace, sessionTTL time.Duration) error {
	refused := a.refused(namespace)
	account, err := a.account(tenant(namespace), sessionTTL)
	if err == nil {
		account.RefuseBefore(refused)
		err = a.servers.Apply(ctx, account)
	}
	if err != nil {
		a.failed()
		a.mu.Lock()
		a.failedAt = time.Now()
		a.mu.Unlock()
		a.log.Error("the account of a namespace in NATS could not be made; its sidecars serve from memory; trying again",
			"namespace", namespace.Name, "error", err.Error())
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failedAt = time.Time{}
	last := a.applied[namespace.UID]
	a.applied[namespace.UID] = application{time.Now(), max(last.sessionTTL, sessionTTL), refused}
	return nil
}

// lookAgain takes for unknown what the servers know.
func (a *accounts) lookAgain() {
	a.mu.Lock()
	clear(a.applied)
	a.mu.Unlock()
	a.again()
}

// sweep removes the accounts of namespaces that are gone, which frees what they
// have reserved.
func (a *accounts) sweep(ctx context.Context) error {
	a.mu.Lock()
	servers, clusterID := a.servers, a.clusterID
	a.mu.Unlock()
	known, err := servers.Accounts(ctx, clusterID)
	if err != nil {
		return err
	}
	for _, t := range known {
		namespace, err := a.client.Namespace(ctx, t.Namespace, true)
		switch {
		case err != nil && !apierrors.IsNotFound(err):
			return err
		case err == nil && string(namespace.UID) == t.UID:
			continue
		}
		account, err := a.account(t, 0)
		if err == nil {
			err = servers.Remove(ctx, account)
		}
		if err != nil {
			return err
		}
		a.log.Info("account of a namespace that is gone removed from NATS", "namespace", t.Namespace)
	}
	return nil
}

// close ends the connection to NATS.
func (a *accounts) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.servers != nil {
		a.servers.Close()
	}
}
