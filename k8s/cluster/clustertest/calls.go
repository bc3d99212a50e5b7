package clustertest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"
)

// What follows runs under the server's lock.

func (s *Server) version(w http.ResponseWriter, _ *http.Request) {
	answer(w, version.Info{Major: "1", Minor: s.minor})
}

func (s *Server) namespace(w http.ResponseWriter, r *http.Request) {
	if n := s.spaces[r.PathValue("namespace")]; n != nil {
		answer(w, n)
		return
	}
	fail(w, http.StatusNotFound)
}

// listNamespaces selects by a set of values of one label, or not at all.
func (s *Server) listNamespaces(w http.ResponseWriter, r *http.Request) {
	label, values, selective := strings.Cut(r.URL.Query().Get("labelSelector"), " in (")
	var list corev1.NamespaceList
	for _, name := range slices.Sorted(maps.Keys(s.spaces)) {
		n := s.spaces[name]
		if !selective || slices.Contains(strings.Split(strings.TrimSuffix(values, ")"), ","), n.Labels[label]) {
			list.Items = append(list.Items, *n)
		}
	}
	answer(w, list)
}

func (s *Server) listServices(w http.ResponseWriter, r *http.Request) {
	answer(w, corev1.ServiceList{Items: s.services[r.PathValue("namespace")]})
}

func (s *Server) getSecret(w http.ResponseWriter, r *http.Request) {
	if secret := s.secrets[r.PathValue("namespace")+"/"+r.PathValue("name")]; secret != nil {
		answer(w, secret)
		return
	}
	fail(w, http.StatusNotFound)
}

func (s *Server) createSecret(w http.ResponseWriter, r *http.Request) {
	var secret corev1.Secret
	if json.NewDecoder(r.Body).Decode(&secret) != nil || secret.Namespace != r.PathValue("namespace") || secret.ResourceVersion != "" {
		fail(w, http.StatusBadRequest)
		return
	}
	if s.secrets[secret.Namespace+"/"+secret.Name] != nil {
		failAs(w, http.StatusConflict, metav1.StatusReasonAlreadyExists)
		return
	}
	s.put(&secret)
	w.WriteHeader(http.StatusCreated)
	answer(w, secret)
}

func (s *Server) updateSecret(w http.ResponseWriter, r *http.Request) {
	var secret corev1.Secret
	if json.NewDecoder(r.Body).Decode(&secret) != nil || secret.Name != r.PathValue("name") {
		fail(w, http.StatusBadRequest)
		return
	}
	have := s.secrets[secret.Namespace+"/"+secret.Name]
	switch {
	case have == nil:
		fail(w, http.StatusNotFound)
	case have.ResourceVersion != secret.ResourceVersion:
		failAs(w, http.StatusConflict, metav1.StatusReasonConflict)
	default:
		s.put(&secret)
		answer(w, secret)
	}
}

func (s *Server) getWebhooks(w http.ResponseWriter, r *http.Request) {
	if c := s.webhooks[r.PathValue("name")]; c != nil {
		answer(w, c)
		return
	}
	fail(w, http.StatusNotFound)
}

// patchWebhooks merges bundles by the webhooks' names, and refuses all else.
func (s *Server) patchWebhooks(w http.ResponseWriter, r *http.Request) {
	c := s.webhooks[r.PathValue("name")]
	if c == nil {
		fail(w, http.StatusNotFound)
		return
	}
	var patch struct {
		Webhooks []struct {
			Name         string `json:"name"`
			ClientConfig struct {
				CABundle []byte `json:"caBundle"`
			} `json:"clientConfig"`
		} `json:"webhooks"`
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if decoder.Decode(&patch) != nil || r.Header.Get("Content-Type") != string(types.StrategicMergePatchType) {
		fail(w, http.StatusBadRequest)
		return
	}
	for _, p := range patch.Webhooks {
		for i := range c.Webhooks {
			if c.Webhooks[i].Name == p.Name {
				c.Webhooks[i].ClientConfig.CABundle = p.ClientConfig.CABundle
			}
		}
	}
	answer(w, c)
}

// createEvent checks what the API server's validation would.
func (s *Server) createEvent(w http.ResponseWriter, r *http.Request) {
	var e eventsv1.Event
	if json.NewDecoder(r.Body).Decode(&e) != nil || e.Namespace != r.PathValue("namespace") || e.Regarding.Namespace != e.Namespace ||
		e.EventTime.IsZero() || e.Reason == "" || e.Action == "" || e.ReportingController == "" || e.ReportingInstance == "" ||
		len(e.Note) > 1024 || e.Type != corev1.EventTypeWarning {
		fail(w, http.StatusBadRequest)
		return
	}
	s.events = append(s.events, e)
	w.WriteHeader(http.StatusCreated)
	answer(w, e)
}
