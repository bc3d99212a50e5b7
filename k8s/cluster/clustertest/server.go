// Package clustertest is an API server for tests: as much of one as the
// injector asks for, in memory.
package clustertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

// Server is the API server. Its methods are safe for concurrent use.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	revision int
	minor    string
	secrets  map[string]*corev1.Secret // by namespace/name
	webhooks map[string]*admissionregistrationv1.MutatingWebhookConfiguration
	spaces   map[string]*corev1.Namespace
	services map[string][]corev1.Service
	events   []eventsv1.Event
	calls    []string
	before   func(call string) int // see Before
}

// New starts a server, which ends with the test.
func New(t testing.TB) *Server {
	s := &Server{
		minor: "34", secrets: map[string]*corev1.Secret{}, spaces: map[string]*corev1.Namespace{}, services: map[string][]corev1.Service{},
		webhooks: map[string]*admissionregistrationv1.MutatingWebhookConfiguration{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", s.version)
	mux.HandleFunc("GET /api/v1/namespaces", s.listNamespaces)
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}", s.namespace)
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}/services", s.listServices)
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}/secrets/{name}", s.getSecret)
	mux.HandleFunc("POST /api/v1/namespaces/{namespace}/secrets", s.createSecret)
	mux.HandleFunc("PUT /api/v1/namespaces/{namespace}/secrets/{name}", s.updateSecret)
	mux.HandleFunc("GET /apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{name}", s.getWebhooks)
	mux.HandleFunc("PATCH /apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{name}", s.patchWebhooks)
	mux.HandleFunc("POST /apis/events.k8s.io/v1/namespaces/{namespace}/events", s.createEvent)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := r.Method + " " + r.URL.Path
		s.mu.Lock()
		s.calls = append(s.calls, call)
		before := s.before
		s.mu.Unlock()
		if before != nil {
			if code := before(call); code != 0 {
				fail(w, code)
				return
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// Kubeconfig writes a file that leads here, and returns its path.
func (s *Server) Kubeconfig(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"t","clusters":[{"name":"t","cluster":{"server":%q}}],"contexts":[{"name":"t","context":{"cluster":"t"}}]}`, s.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Before is asked before each call is carried out, "GET /version", and may take
// its time; an HTTP status other than 0 is the answer instead.
func (s *Server) Before(f func(call string) int) { s.mu.Lock(); defer s.mu.Unlock(); s.before = f }

// SetMinor is the y of version 1.y.
func (s *Server) SetMinor(minor string) { s.mu.Lock(); defer s.mu.Unlock(); s.minor = minor }

// AddNamespace makes a namespace whose pods are to have the sidecar.
func (s *Server) AddNamespace(name string, annotations map[string]string) {
	s.PutNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, Annotations: annotations, Labels: map[string]string{k8s.LabelInject: k8s.Enabled},
	}})
}

// PutNamespace makes or replaces a namespace.
func (s *Server) PutNamespace(namespace *corev1.Namespace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spaces[namespace.Name] = namespace.DeepCopy()
}

// DeleteNamespace takes a namespace and its Secrets away.
func (s *Server) DeleteNamespace(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.spaces, name)
	for key, secret := range s.secrets {
		if secret.Namespace == name {
			delete(s.secrets, key)
		}
	}
}

// AddService makes a Service in the namespace that it names.
func (s *Server) AddService(service corev1.Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services[service.Namespace] = append(s.services[service.Namespace], service)
}

// PutSecret makes or replaces a Secret.
func (s *Server) PutSecret(secret *corev1.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(secret)
}

// Secret is one as it is now, nil if it is not there.
func (s *Server) Secret(namespace, name string) *corev1.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secrets[namespace+"/"+name].DeepCopy()
}

// PutWebhooks makes or replaces a configuration whose webhooks have no bundle.
func (s *Server) PutWebhooks(configuration string, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: configuration}}
	for _, name := range names {
		c.Webhooks = append(c.Webhooks, admissionregistrationv1.MutatingWebhook{Name: name})
	}
	s.webhooks[configuration] = c
}

// Bundle is the CA bundle of a webhook.
func (s *Server) Bundle(configuration, name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.webhooks[configuration]; c != nil {
		for _, w := range c.Webhooks {
			if w.Name == name {
				return w.ClientConfig.CABundle
			}
		}
	}
	return nil
}

// Events are those that were recorded.
func (s *Server) Events() []eventsv1.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]eventsv1.Event(nil), s.events...)
}

// Calls are those since the last time.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// put gives a Secret its next resourceVersion.
func (s *Server) put(secret *corev1.Secret) {
	s.revision++
	secret.ResourceVersion = strconv.Itoa(s.revision)
	s.secrets[secret.Namespace+"/"+secret.Name] = secret.DeepCopy()
}

func answer(w http.ResponseWriter, value any) { _ = json.NewEncoder(w).Encode(value) }

func fail(w http.ResponseWriter, code int) {
	reasons := map[int]metav1.StatusReason{
		http.StatusNotFound: metav1.StatusReasonNotFound, http.StatusForbidden: metav1.StatusReasonForbidden,
		http.StatusInternalServerError: metav1.StatusReasonInternalError,
	}
	failAs(w, code, reasons[code])
}

func failAs(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.WriteHeader(code)
	answer(w, metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: "test: " + strconv.Itoa(code),
	})
}
