package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/wsresilience/wsresilience/internal/bench/fake"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// TestMain lets the test binary be the subprocesses of a run: a role, or a
// sidecar, which is recognised by its settings.
func TestMain(m *testing.M) {
	proc.RunRole(rig.Roles())
	if os.Getenv("WSR_LISTEN") == "" {
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, fake.Run())
	os.Exit(1)
}
