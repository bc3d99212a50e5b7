package program

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Outside the source only PATH is left, and then a word on where to get it.
func TestFind(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	t.Setenv("PATH", folder)
	if got, err := Find(t.Context(), io.Discard, "wsresilience-some"); err == nil || !strings.Contains(err.Error(), "go install ") {
		t.Errorf("found %q, %v", got, err)
	}
	file := filepath.Join(folder, "wsresilience-some")
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(t.Context(), io.Discard, "wsresilience-some"); err != nil || got[0] != file {
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
	if got, err := Find(t.Context(), io.Discard, "wsresilience-some"); err != nil || got[0] != beside {
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

// A program of a release is of a version that go install knows; one from a source
// tree is not.
func TestRelease(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "v1.2.3", "v0.0.0-20260101000000-0123456789ab": "v0.0.0-20260101000000-0123456789ab",
		"(devel)": "", "": "", "v1.2.3+dirty": "",
	} {
		got := release(func() (*debug.BuildInfo, bool) {
			return &debug.BuildInfo{Main: debug.Module{Path: module, Version: version}}, true
		})
		if got != want {
			t.Errorf("%q: %q, want %q", version, got, want)
		}
	}
	if got := release(func() (*debug.BuildInfo, bool) {
		return &debug.BuildInfo{Main: debug.Module{Path: "example.com/other", Version: "v1.0.0"}}, true
	}); got != "" {
		t.Errorf("another module's version: %q", got)
	}
}

// A long build says how far it is, a short one nothing, and one that fails why.
func TestTeller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		tell := newTeller(&out, "wsresilience-some")
		say := func(text string) { _, _ = io.WriteString(tell, text) }
		say("go: downloading example.com/a v1.0.0\ninternal/go")
		say("arch\n")
		tell.end(true)
		if out.Len() > 0 {
			t.Errorf("a short build says %q", out.String())
		}
		time.Sleep(3 * time.Second)
		say("runtime\n")
		time.Sleep(time.Second)
		say("os\n") // too soon for a word
		time.Sleep(5 * time.Second)
		say("go: downloading example.com/b v1.0.0\n# example.com/b\nb.go:1:1: undefined: x\nno end")
		tell.end(true)
		const want = "building wsresilience-some, which takes minutes the first time and a moment after that\n" +
			"    3 s: 1 packages compiled, now runtime\n    9 s: downloading example.com/b v1.0.0\n    9 s: done\n"
		if out.String() != want {
			t.Errorf("says %q", out.String())
		}
		if got := tell.complaints(); got != "# example.com/b\nb.go:1:1: undefined: x\nno end" {
			t.Errorf("complaints %q", got)
		}
	})
}

// A program that cannot be is an error, and not an exit code.
func TestBecome(t *testing.T) {
	if _, err := Become(filepath.Join(t.TempDir(), "nothing"), nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("became what there is not: %v", err)
	}
}
