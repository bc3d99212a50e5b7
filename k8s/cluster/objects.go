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

	"github.com/wsresilience/wsresilience/k8s"
)

// maxServices bounds what is read to warn of Services that pass the sidecar by.
// Few namespaces have as many, and the pod works without the warning.
const maxServices = 500

// cached lets the API server answer from its cache, not from etcd.
func cached() url.Values { return url.Values{"resourceVersion": {"0"}} }

// Minor returns y of the server's version 1.y.
func (c *Client) Minor(ctx context.Context) (int, error) {
	var v version.Info
	if err := c.do(ctx, call{path: "version"}, &v); err != nil {
		return 0, err
	}
	// Some providers append a plus sign to it.
	minor, err := strconv.Atoi(strings.TrimSuffix(v.Minor, "+"))
	if err != nil || v.Major != "1" || minor <= 0 {
		return 0, fmt.Errorf("cluster: the server's version is %q.%q, not 1.x; name it in sidecar.cluster.minor", v.Major, v.Minor)
	}
	return minor, nil
}

// Namespace returns one. It may be a moment old unless fresh is set.
func (c *Client) Namespace(ctx context.Context, name string, fresh bool) (*corev1.Namespace, error) {
	query := cached()
	if fresh {
		query = nil
	}
	var n corev1.Namespace
	err := c.do(ctx, call{path: "api/v1/namespaces/" + url.PathEscape(name), query: query}, &n)
	return &n, err
}

// Namespaces returns those with one of the values of the label LabelInject, or
// all where none is given. They may be a moment old.
func (c *Client) Namespaces(ctx context.Context, values ...string) ([]corev1.Namespace, error) {
	query := cached()
	if len(values) > 0 {
		query.Set("labelSelector", k8s.LabelInject+" in ("+strings.Join(values, ",")+")")
	}
	var list corev1.NamespaceList
	err := c.do(ctx, call{path: "api/v1/namespaces", query: query}, &list)
	return list.Items, err
}

// Services returns those of a namespace, 500 at most. They may be a moment old.
func (c *Client) Services(ctx context.Context, namespace string) ([]corev1.Service, error) {
	query := cached()
	query.Set("limit", strconv.Itoa(maxServices))
	var list corev1.ServiceList
	err := c.do(ctx, call{path: "api/v1/namespaces/" + url.PathEscape(namespace) + "/services", query: query}, &list)
	return list.Items, err
}

// Secret returns one, not from the cache.
func (c *Client) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	var s corev1.Secret
	err := c.do(ctx, call{path: secretsPath(namespace) + "/" + url.PathEscape(name)}, &s)
	return &s, err
}

// CreateSecret makes s. An error that IsAlreadyExists says that another client
// was faster.
func (c *Client) CreateSecret(ctx context.Context, s *corev1.Secret) error {
	return c.do(ctx, call{method: http.MethodPost, path: secretsPath(s.Namespace), body: s}, &corev1.Secret{})
}

// UpdateSecret replaces the Secret that s was read from. An error that
// IsConflict says that another client changed it since.
func (c *Client) UpdateSecret(ctx context.Context, s *corev1.Secret) error {
	return c.do(ctx, call{method: http.MethodPut, path: secretsPath(s.Namespace) + "/" + url.PathEscape(s.Name), body: s}, &corev1.Secret{})
}

func secretsPath(namespace string) string {
	return "api/v1/namespaces/" + url.PathEscape(namespace) + "/secrets"
}

// Bundles returns the CA bundle of each webhook of a
// MutatingWebhookConfiguration, by the webhook's name.
func (c *Client) Bundles(ctx context.Context, configuration string) (map[string][]byte, error) {
	var m admissionregistrationv1.MutatingWebhookConfiguration
	if err := c.do(ctx, call{path: webhooksPath(configuration)}, &m); err != nil {
		return nil, err
	}
	bundles := make(map[string][]byte, len(m.Webhooks))
	for _, w := range m.Webhooks {
		bundles[w.Name] = w.ClientConfig.CABundle
	}
	return bundles, nil
}

// SetBundles writes CA bundles of webhooks, by their names, and nothing else: a
// strategic merge finds webhooks by name, whatever their order has become.
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
	return c.do(ctx, call{
		method: http.MethodPatch, path: webhooksPath(configuration),
		body: patch, contentType: string(types.StrategicMergePatchType),
	}, &admissionregistrationv1.MutatingWebhookConfiguration{})
}

func webhooksPath(name string) string {
	return "apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/" + url.PathEscape(name)
}

// createEvent records e in the namespace that it names.
func (c *Client) createEvent(ctx context.Context, e *eventsv1.Event) error {
	return c.do(ctx, call{
		method: http.MethodPost, path: "apis/events.k8s.io/v1/namespaces/" + url.PathEscape(e.Namespace) + "/events", body: e,
	}, &eventsv1.Event{})
}
