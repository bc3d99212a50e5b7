package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/admission"
	"github.com/wsresilience/wsresilience/k8s/certs"
	"github.com/wsresilience/wsresilience/k8s/cluster"
)

// Implementation limits.
const (
	headerTimeout = 5 * time.Second
	idleTimeout   = 2 * time.Minute
	headerLimit   = 16 << 10 // bytes

	// maxConnections bounds what connections to the webhook hold, a few dozen
	// KiB each. Three API servers have 600 reviews under way at most.
	maxConnections = 1024

	// stopTimeout bounds the wait for reviews under way; none takes that long.
	stopTimeout = 10 * time.Second

	// The version of the cluster is asked again, since clusters are upgraded.
	versionEvery   = time.Hour
	versionRetry   = 5 * time.Second
	versionTimeout = 5 * time.Second
)

// server is the webhook.
type server struct {
	config   *Config
	log      *slog.Logger
	client   *cluster.Client
	rotator  *certs.Rotator
	metrics  *admission.Metrics
	registry *prometheus.Registry
	secrets  *cluster.Secrets             // nil: the operator makes the Secrets
	accounts *accounts                    // nil: namespaces share a user of NATS
	settings atomic.Pointer[k8s.Settings] // nil until the cluster's version is known
	stopping atomic.Bool
	hurried  chan struct{} // the next round is due
}

func newServer(config *Config, log *slog.Logger) (*server, error) {
	client, err := cluster.Connect()
	if err != nil {
		return nil, err
	}
	s := &server{config: config, log: log, client: client, registry: prometheus.NewRegistry(), hurried: make(chan struct{}, 1)}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.rotator = &certs.Rotator{
		Dir:     config.Certificates.Dir,
		Cluster: client, Namespace: config.Namespace, Secret: config.Certificates.Secret,
		Webhook: config.Webhook, Service: config.Service,
		Log: log, Failed: func() { s.metrics.ClusterError("certificate") },
	}
	s.metrics = admission.NewMetrics(s.registry, s.rotator.Expiry)
	if config.Secrets.Managed {
		s.secrets = &cluster.Secrets{
			Client: client, Name: config.Sidecar.SecretName(),
			Namespace: config.Namespace, NATS: config.Secrets.NATS, URL: config.Secrets.NATSURL,
			Rotation: cluster.Rotation{Every: config.Secrets.KeyRotation.Duration},
		}
	}
	if s.secrets != nil && config.Sidecar.PeerTLS {
		s.secrets.Peers = func(namespace *corev1.Namespace, have map[string][]byte) (map[string][]byte, error) {
			return certs.Peers(have, namespace.Name, time.Now())
		}
	}
	if config.Secrets.Accounts != nil {
		s.accounts = &accounts{config: config, client: client, log: log, failed: func() { s.metrics.ClusterError("nats") }, again: s.hurry, refused: s.secrets.Refused}
		s.secrets.Credentials = s.accounts.credentials
	}
	if config.Sidecar.Cluster.Minor != 0 {
		s.settings.Store(&config.Sidecar)
	}
	return s, nil
}

// run serves until ctx ends, and then for f.shutdownDelay: API servers still call
// it while the endpoints of its Service are updated.
func (s *server) run(ctx context.Context, f webhookFlags) error {
	webhook, err := net.Listen("tcp", f.listen)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	defer webhook.Close()
	admin, err := net.Listen("tcp", f.admin)
	if err != nil {
		return fmt.Errorf("-admin: %w", err)
	}
	defer admin.Close()
	reviews, probes := s.httpServer(s.reviewHandler()), s.httpServer(s.adminHandler())
	// HTTP/1.1 only: an HTTP/2 connection would be given up one request too late
	// when this injector stops.
	reviews.Protocols = new(http.Protocols)
	reviews.Protocols.SetHTTP1(true)
	reviews.TLSConfig = s.tlsConfig()
	reviews.ConnState = newConnections(maxConnections).state

	// These run until the last review is answered.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { s.rotator.Run(background) })
	running.Go(func() { s.followVersion(background) })
	if s.secrets != nil {
		running.Go(func() { s.followNamespaces(background) })
	}
	if s.accounts != nil {
		defer s.accounts.close()
	}
	failed := make(chan error, 2)
	running.Go(func() { failed <- reviews.ServeTLS(httpguard.Hellos(webhook), "", "") })
	running.Go(func() { failed <- probes.Serve(admin) })
	s.log.Info("started", "version", version(), "listen", webhook.Addr().String(), "admin", admin.Addr().String())

	select {
	case <-ctx.Done():
		s.stopping.Store(true)
		// API servers reuse their connections, and would go on to call this
		// injector: idle ones are closed now, the others after their answer.
		reviews.SetKeepAlivesEnabled(false)
		err = waitOrFail(failed, f.shutdownDelay)
	case err = <-failed:
	}
	deadline, cancel := context.WithTimeout(background, stopTimeout)
	defer cancel()
	return errors.Join(err, reviews.Shutdown(deadline), probes.Shutdown(deadline))
}

// waitOrFail waits for d, or until one of the listeners fails.
func waitOrFail(failed <-chan error, d time.Duration) error {
	select {
	case err := <-failed:
		return err
	case <-time.After(d):
		return nil
	}
}

// tlsConfig is that of the webhook's port.
func (s *server) tlsConfig() *tls.Config {
	// RFC 8996: below 1.2 is not TLS any more.
	c := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.rotator.GetCertificate}
	if s.config.ClientCA == "" {
		return c
	}
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	c.ClientCAs.AppendCertsFromPEM([]byte(s.config.ClientCA)) // checked with the settings
	names := s.config.ClientNames
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if name := state.PeerCertificates[0].Subject.CommonName; len(names) > 0 && !slices.Contains(names, name) {
			return fmt.Errorf("the client is %.64q", name)
		}
		return nil
	}
	return c
}

func (s *server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerLimit,
		// Scanners and API servers that disconnect are no problem of ours.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// reviewHandler serves the API server.
func (s *server) reviewHandler() http.Handler {
	handler := admission.NewHandler(admission.Handler{
		Cluster: s.admissionCluster(), Namespace: s.config.Namespace,
		Settings: s.settings.Load, Metrics: s.metrics, Log: s.log,
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/inject", func(w http.ResponseWriter, r *http.Request) {
		if s.settings.Load() == nil {
			http.Error(w, "the version of the cluster is not known yet: the API server has not answered", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	})
	return mux
}

// adminHandler serves probes and Prometheus.
func (s *server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	return mux
}

func (s *server) ready() error {
	switch {
	case s.stopping.Load():
		return errors.New("stopping")
	case s.settings.Load() == nil:
		return errors.New("the version of the cluster is not known yet: the API server has not answered")
	}
	return s.rotator.Ready()
}

// admissionCluster is the cluster as the admission handler sees it.
func (s *server) admissionCluster() admission.Cluster {
	instance, err := os.Hostname() // in a pod: its name
	if err != nil {
		instance = "wsresilience-injector"
	}
	return clusterView{Client: s.client, Events: &cluster.Events{Client: s.client, Instance: instance}, secrets: s.secrets, accounts: s.accounts}
}

// clusterView implements admission.Cluster.
type clusterView struct {
	*cluster.Client
	*cluster.Events
	secrets  *cluster.Secrets // nil: the operator makes the Secrets
	accounts *accounts        // nil: namespaces share a user of NATS
}

func (c clusterView) Ensure(ctx context.Context, namespace *corev1.Namespace, sessionTTL time.Duration) (usable bool, err error) {
	if c.secrets == nil {
		return true, nil
	}
	if c.accounts != nil {
		if err := c.accounts.open(ctx); err != nil {
			return c.secrets.Usable(namespace.Name), err
		}
	}
	usable, err = c.secrets.Ensure(ctx, namespace)
	if usable && c.accounts != nil {
		c.accounts.ensure(namespace, sessionTTL)
	}
	return usable, err
}

func (c clusterView) Usable(namespace string) bool {
	return c.secrets == nil || c.secrets.Usable(namespace)
}

// followVersion keeps the cluster's version in the settings, unless it is given
// there.
func (s *server) followVersion(ctx context.Context) {
	if s.config.Sidecar.Cluster.Minor != 0 {
		return
	}
	for ctx.Err() == nil {
		next := versionEvery
		if err := s.askVersion(ctx); err != nil && ctx.Err() == nil {
			s.metrics.ClusterError("version")
			s.log.Error("the version of the cluster could not be read; sidecar.cluster.minor sets it", "error", err.Error(), "retry", versionRetry.String())
			next = versionRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(next):
		}
	}
}

func (s *server) askVersion(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	minor, err := s.client.Minor(ctx)
	if err != nil {
		return err
	}
	settings := s.config.Sidecar
	settings.Cluster.Minor = minor
	s.settings.Store(&settings)
	return nil
}
