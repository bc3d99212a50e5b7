package cluster

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"
)

// serviceLimit bounds what is read to warn of Services that pass the sidecar
// by. Few namespaces have as many, and the warning is a courtesy.
const serviceLimit = 500

// cached lets the API server answer from its memory, not from etcd.
func cached() url.Values { return url.Values{"resourceVersion": {"0"}} }

// Minor returns y of the server's version 1.y.
func (c *Client) Minor(ctx context.Context) (int, error) {
	var v version.Info
	if err := c.do(ctx, http.MethodGet, "version", nil, "", nil, &v); err != nil {
		return 0, err
	}
	// Some providers append a plus sign to it.
	minor, err := strconv.Atoi(strings.TrimSuffix(v.Minor, "+"))
	if err != nil || v.Major != "1" || minor <= 0 {
		return 0, fmt.Errorf("cluster: the server's version is %q.%q, not 1.x; name it in sidecar.cluster.minor", v.Major, v.Minor)
	}
	return minor, nil
}

// Annotations returns those of a namespace. They may be a moment old.
func (c *Client) Annotations(ctx context.Context, namespace string) (map[string]string, error) {
	var n corev1.Namespace
	err := c.do(ctx, http.MethodGet, "api/v1/namespaces/"+url.PathEscape(namespace), cached(), "", nil, &n)
	return n.Annotations, err
}

// Services returns those of a namespace, 500 at most. They may be a moment old.
func (c *Client) Services(ctx context.Context, namespace string) ([]corev1.Service, error) {
	query := cached()
	query.Set("limit", strconv.Itoa(serviceLimit))
	var list corev1.ServiceList
	err := c.do(ctx, http.MethodGet, "api/v1/namespaces/"+url.PathEscape(namespace)+"/services", query, "", nil, &list)
	return list.Items, err
}

// Secret returns one as it is now.
func (c *Client) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	var s corev1.Secret
	err := c.do(ctx, http.MethodGet, secretsPath(namespace)+"/"+url.PathEscape(name), nil, "", nil, &s)
	return &s, err
}

// CreateSecret makes s. An error that IsAlreadyExists says that somebody was
// faster.
func (c *Client) CreateSecret(ctx context.Context, s *corev1.Secret) error {
	return c.do(ctx, http.MethodPost, secretsPath(s.Namespace), nil, "application/json", s, &corev1.Secret{})
}

// UpdateSecret replaces the Secret that s was read from. An error that
// IsConflict says that somebody changed it since.
func (c *Client) UpdateSecret(ctx context.Context, s *corev1.Secret) error {
	return c.do(ctx, http.MethodPut, secretsPath(s.Namespace)+"/"+url.PathEscape(s.Name), nil, "application/json", s, &corev1.Secret{})
}

func secretsPath(namespace string) string {
	return "api/v1/namespaces/" + url.PathEscape(namespace) + "/secrets"
}

// Bundles returns the CA bundle of each webhook of a
// MutatingWebhookConfiguration, by the webhook's name.
func (c *Client) Bundles(ctx context.Context, configuration string) (map[string][]byte, error) {
	var m admissionregistrationv1.MutatingWebhookConfiguration
	if err := c.do(ctx, http.MethodGet, webhooksPath(configuration), nil, "", nil, &m); err != nil {
		return nil, err
	}
	bundles := make(map[string][]byte, len(m.Webhooks))
	for _, w := range m.Webhooks {
		bundles[w.Name] = w.ClientConfig.CABundle
	}
	return bundles, nil
}

// SetBundles writes CA bundles of webhooks, by their names, and touches nothing
// else: a strategic merge finds list entries by name, so that it does not
// matter who reorders them meanwhile.
func (c *Client) SetBundles(ctx context.Context, configuration string, bundles map[string][]byte) error {
	type clientConfig struct {
		CABundle []byte `json:"caBundle"`
	}
	type webhook struct {
		Name         string       `json:"name"`
		ClientConfig clientConfig `json:"clientConfig"`
	}
	var patch struct {
		Webhooks []webhook `json:"webhooks"`
	}
	for name, bundle := range bundles {
		patch.Webhooks = append(patch.Webhooks, webhook{name, clientConfig{bundle}})
	}
	return c.do(ctx, http.MethodPatch, webhooksPath(configuration), nil, string(types.StrategicMergePatchType), patch,
		&admissionregistrationv1.MutatingWebhookConfiguration{})
}

func webhooksPath(name string) string {
	return "apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/" + url.PathEscape(name)
}

// createEvent records e in the namespace that it names.
func (c *Client) createEvent(ctx context.Context, e *eventsv1.Event) error {
	return c.do(ctx, http.MethodPost, "apis/events.k8s.io/v1/namespaces/"+url.PathEscape(e.Namespace)+"/events", nil,
		"application/json", e, &eventsv1.Event{})
}
