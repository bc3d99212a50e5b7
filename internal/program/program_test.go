package program

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Outside the source only PATH is left, and then a word on where to get it.
func TestFind(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	t.Setenv("PATH", folder)
	if got, err := Find(t.Context(), "wsresilience-some"); err == nil || !strings.Contains(err.Error(), "go install ") {
		t.Errorf("found %q, %v", got, err)
	}
	file := filepath.Join(folder, "wsresilience-some")
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(t.Context(), "wsresilience-some"); err != nil || got != file {
		t.Errorf("found %q, %v, want %s", got, err, file)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(self), "wsresilience-some")
	if err := os.WriteFile(beside, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(beside)
	if got, err := Find(t.Context(), "wsresilience-some"); err != nil || got != beside {
		t.Errorf("found %q, %v, want %s", got, err, beside)
	}
}

func TestBuild(t *testing.T) {
	if !isSource(t.Context()) {
		t.Error("the source is not found")
	}
	if err := Build(t.Context(), "wsresilience-nothing", filepath.Join(t.TempDir(), "x")); err == nil || !strings.Contains(err.Error(), "wsresilience-nothing") {
		t.Errorf("built what there is not: %v", err)
	}
}
