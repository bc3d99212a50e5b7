package cluster

import (
	"context"
	"net/http"
	"net/url"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
)

// podsAtOnce is how many pods are asked for at a time: with 60 KiB each, which is much,
// they fit into maxAnswer.
const podsAtOnce = "250"

// Pod returns one.
func (c *Client) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	var p corev1.Pod
	err := c.do(ctx, call{path: podsPath(namespace) + "/" + url.PathEscape(name)}, &p)
	return &p, err
}

// Pods returns those of all namespaces.
func (c *Client) Pods(ctx context.Context) (pods []corev1.Pod, err error) {
	query := url.Values{"limit": {podsAtOnce}}
	for {
		var list corev1.PodList
		if err := c.do(ctx, call{path: "api/v1/pods", query: query}, &list); err != nil {
			return nil, err
		}
		if pods = append(pods, list.Items...); list.Continue == "" {
			return pods, nil
		}
		query.Set("continue", list.Continue)
	}
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
