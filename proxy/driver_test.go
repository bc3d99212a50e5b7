package proxy

import (
	"os"
	"testing"
)

// testedDriver is what these tests run on: WSR_TEST_DRIVER, or DriverAuto.
func testedDriver(t testing.TB) Driver {
	t.Helper()
	switch d := Driver(os.Getenv("WSR_TEST_DRIVER")); d {
	case "":
		return DriverAuto
	case DriverEpoll, DriverGoroutine:
		return d
	default:
		t.Fatalf("WSR_TEST_DRIVER is %q, want %s or %s", d, DriverEpoll, DriverGoroutine)
		return ""
	}
}
