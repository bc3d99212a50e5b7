package proxytest

import (
	"os"
	"testing"
)

// Driver is what tests of sockets run on: WSR_TEST_DRIVER, or auto.
func Driver(t testing.TB) string {
	t.Helper()
	switch d := os.Getenv("WSR_TEST_DRIVER"); d {
	case "":
		return "auto"
	case "auto", "epoll", "goroutine":
		return d
	default:
		t.Fatalf("WSR_TEST_DRIVER is %q, want auto, epoll or goroutine", d)
		return ""
	}
}
