package load

import (
	"errors"
	"fmt"
	"net/url"
	"testing"
)

// Reasons are the same for all clients, and name no URL, whose query may be a
// secret.
func TestReason(t *testing.T) {
	for want, err := range map[string]error{
		"the client is offline":                    fmt.Errorf("client: dial h: %w", ErrOffline),
		"connection refused":                       fmt.Errorf("failed: %w", &url.Error{Op: "Get", URL: "http://h/?token=secret", Err: errors.New("connection refused")}),
		"read tcp 127.0.0.1:*->127.0.0.1:*: reset": errors.New("client: read tcp 127.0.0.1:43210->127.0.0.1:80: reset"),
	} {
		if got := Reason(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
