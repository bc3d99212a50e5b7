// Package cluster is a client of the Kubernetes API server for the few calls that
// the injector makes.
//
// It speaks JSON over the authenticated HTTP client of client-go, with the types
// of k8s.io/api. The client sets of client-go would link every API group,
// and limit us to five requests a second.
package cluster

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Implementation limits.
const (
	// maxAnswer is far above any object, which etcd bounds to 1.5 MiB, and
	// above a list of maxServices Services.
	maxAnswer = 16 << 20

	// requestTimeout is for callers whose context has no deadline: a connection
	// that died silently must not block them for ever.
	requestTimeout = 15 * time.Second
)

// Client calls one API server. It is safe for concurrent use. Errors that the
// server answered satisfy the predicates of apimachinery's api/errors; all others
// mean that there was no answer.
type Client struct {
	http *http.Client
	base *url.URL
}

// Connect prepares a client for the cluster that this process runs in or, when
// it runs in none, for the one that KUBECONFIG names. It sends nothing.
func Connect() (*Client, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("cluster: neither a pod's service account nor KUBECONFIG leads to an API server: %w", err)
	}
	return New(config)
}

// New prepares a client from settings of client-go. It sends nothing.
func New(config *rest.Config) (*Client, error) {
	config = rest.CopyConfig(config)
	config.Timeout = requestTimeout
	if config.UserAgent == "" {
		config.UserAgent = "wsresilience-injector"
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("cluster: address of the API server: %w", err)
	}
	return &Client{http: client, base: base}, nil
}

// A call is one request to the API server.
type call struct {
	method      string // default GET
	path        string
	query       url.Values
	body        any    // nil: none
	contentType string // of the body; default application/json
}

// do sends r and decodes the answer into out.
func (c *Client) do(ctx context.Context, r call, out any) error {
	method, path := cmp.Or(r.method, http.MethodGet), r.path
	var content io.Reader
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			return fmt.Errorf("cluster: %s %s: %w", method, path, err)
		}
		content = bytes.NewReader(raw)
	}
	// A name that is empty, or dots, would lead to another object.
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("cluster: %s %q: a name in it is none", method, path)
		}
	}
	target := c.base.JoinPath(path)
	target.RawQuery = r.query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, target.String(), content)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	if r.body != nil {
		request.Header.Set("Content-Type", cmp.Or(r.contentType, "application/json"))
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("cluster: %s %s: %w", method, path, err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return failure(method, path, response.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("cluster: the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// failure is the error of the server's Status, or names the HTTP status if
// something in front of the server answered.
func failure(method, path string, code int, answer []byte) error {
	var status metav1.Status
	if json.Unmarshal(answer, &status) == nil && status.Kind == "Status" && status.Status == metav1.StatusFailure {
		return fmt.Errorf("cluster: %s %s: %w", method, path, &apierrors.StatusError{ErrStatus: status})
	}
	return fmt.Errorf("cluster: %s %s: HTTP status %d", method, path, code)
}
