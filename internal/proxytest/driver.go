package proxytest

import (
	"os"
	"testing"
)

// Driver is what tests of sockets run on: WSR_DRIVER, or auto.
func Driver(t testing.TB) string {
	t.Helper()
	switch d := os.Getenv("WSR_DRIVER"); d {
	case "":
		return "auto"
	case "auto", "aio", "epoll", "goroutine":
		return d
	default:
		t.Fatalf("WSR_DRIVER is %q, want auto, aio, epoll or goroutine", d)
		return ""
	}
}
