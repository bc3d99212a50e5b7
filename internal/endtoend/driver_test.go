package endtoend

import (
	"os"
	"testing"

	"github.com/wsresilience/wsresilience/proxy"
)

// testedDriver is what these tests run on: WSR_TEST_DRIVER, or proxy.DriverAuto.
func testedDriver(t testing.TB) proxy.Driver {
	t.Helper()
	switch d := proxy.Driver(os.Getenv("WSR_TEST_DRIVER")); d {
	case "":
		return proxy.DriverAuto
	case proxy.DriverEpoll, proxy.DriverGoroutine:
		return d
	default:
		t.Fatalf("WSR_TEST_DRIVER is %q, want %s or %s", d, proxy.DriverEpoll, proxy.DriverGoroutine)
		return ""
	}
}
