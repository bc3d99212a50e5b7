package main

import (
	"strings"
	"testing"
)

// TestDemoIsElsewhere: without the demo's program it says where that is.
func TestDemoIsElsewhere(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	t.Setenv("PATH", folder)
	var stdout, stderr strings.Builder
	if code := command(t.Context(), []string{"demo"}, nil, &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "no wsresilience-demo beside") {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
}
