package cluster

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/wsresilience/wsresilience/k8s/cluster/clustertest"
)

// start returns a fake cluster and a client of it.
func start(t *testing.T) (*clustertest.Server, *Client) {
	t.Helper()
	server := clustertest.New(t)
	client, err := New(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

func TestConnectByKubeconfig(t *testing.T) {
	server := clustertest.New(t)
	t.Setenv("KUBECONFIG", server.Kubeconfig(t))
	client, err := Connect()
	if err != nil {
		t.Fatal(err)
	}
	if minor, err := client.Minor(t.Context()); minor != 34 || err != nil {
		t.Errorf("minor %d, %v", minor, err)
	}
}

// TestErrors: what the server says is told from silence.
func TestErrors(t *testing.T) {
	server, client := start(t)
	server.Before(func(string) int { return http.StatusForbidden })
	if _, err := client.Minor(t.Context()); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "GET version") {
		t.Errorf("%v", err)
	}
	release := make(chan struct{})
	defer close(release)
	server.Before(func(string) int { <-release; return 0 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := client.Minor(ctx); err == nil || ctx.Err() == nil {
		t.Errorf("%v", err)
	}
}
