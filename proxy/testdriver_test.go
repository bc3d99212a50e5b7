package proxy

import (
	"os"
	"testing"

	"github.com/wsresilience/wsresilience/internal/transport"
)

// testedDriver is what these tests run on: WSR_TEST_DRIVER, or DriverAuto.
func testedDriver(t testing.TB) transport.Driver {
	t.Helper()
	switch d := transport.Driver(os.Getenv("WSR_TEST_DRIVER")); d {
	case "":
		return transport.DriverAuto
	case transport.DriverEpoll, transport.DriverGoroutine:
		return d
	default:
		t.Fatalf("WSR_TEST_DRIVER is %q, want %s or %s", d, transport.DriverEpoll, transport.DriverGoroutine)
		return ""
	}
}
