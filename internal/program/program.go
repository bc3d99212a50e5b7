// Package program finds the other commands of this repository: beside the
// running one, built from the source if that is at hand, or in PATH.
package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// module is the path that commands are built from.
const module = "github.com/wsresilience/wsresilience"

// Build builds a command of this repository into file, with flags of go build. The
// working directory must be inside the module.
func Build(ctx context.Context, name, file string, flags ...string) error {
	pkg := module + "/cmd/" + name
	args := append(append([]string{"build"}, flags...), "-o", file, pkg)
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("program: build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// Find returns the path of a command. One that it builds stays in the user's
// cache, where the next build finds most of its work done.
func Find(ctx context.Context, name string) (string, error) {
	file := name
	if runtime.GOOS == "windows" {
		file += ".exe"
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), file)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	if isSource(ctx) {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("program: build %s: %w", name, err)
		}
		built := filepath.Join(cache, "wsresilience", file)
		return built, Build(ctx, name, built)
	}
	if path, err := exec.LookPath(name); err == nil || errors.Is(err, exec.ErrDot) {
		return path, err
	}
	return "", fmt.Errorf("program: no %s beside this command or in PATH: go install %s/cmd/%s@latest, or run this in the source tree", name, module, name)
}

// isSource reports whether the working directory is inside the module, and
// the Go toolchain there to build it.
func isSource(ctx context.Context) bool {
	out, err := exec.CommandContext(ctx, "go", "list", "-m").Output()
	return err == nil && strings.TrimSpace(string(out)) == module
}
