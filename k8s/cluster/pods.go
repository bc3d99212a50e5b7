package cluster

import (
	"context"
	"net/http"
	"net/url"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
)

// Pod returns one.
func (c *Client) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	var p corev1.Pod
	err := c.do(ctx, call{path: podsPath(namespace) + "/" + url.PathEscape(name)}, &p)
	return &p, err
}

// TryPod asks what would become of p if it were created, webhooks included.
// Nothing is made.
func (c *Client) TryPod(ctx context.Context, p *corev1.Pod) (*corev1.Pod, error) {
	var made corev1.Pod
	err := c.do(ctx, call{method: http.MethodPost, path: podsPath(p.Namespace), query: url.Values{"dryRun": {"All"}}, body: p}, &made)
	return &made, err
}

// Webhooks returns all configurations of mutating webhooks.
func (c *Client) Webhooks(ctx context.Context) ([]admissionregistrationv1.MutatingWebhookConfiguration, error) {
	var list admissionregistrationv1.MutatingWebhookConfigurationList
	err := c.do(ctx, call{path: "apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"}, &list)
	return list.Items, err
}

func podsPath(namespace string) string {
	return "api/v1/namespaces/" + url.PathEscape(namespace) + "/pods"
}
