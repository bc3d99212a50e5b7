// Package program finds the other commands of this repository: beside the
// running one, built from the source if that is at hand, in PATH, or built from
// the release that the running one is of.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
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

// Find returns the paths of commands, in their order. Those that it builds stay in the
// user's cache, where the next build finds most of its work done. What it does that
// takes long it tells progress.
func Find(ctx context.Context, progress io.Writer, names ...string) ([]string, error) {
	if files, ok := all(names, beside); ok {
		return files, nil
	}
	if isSource(ctx) {
		return build(ctx, progress, "", names)
	}
	if files, ok := all(names, inPath); ok {
		return files, nil
	}
	if version := release(debug.ReadBuildInfo); version != "" && hasGo() {
		return build(ctx, progress, version, names)
	}
	return nil, fmt.Errorf("program: no %s beside this command or in PATH: go install %s/cmd/...@latest, or run this in the source tree",
		strings.Join(names, " and "), module)
}

// all looks for each of the names in the same way.
func all(names []string, look func(file string) (string, bool)) (files []string, ok bool) {
	for _, name := range names {
		file, ok := look(executable(name))
		if !ok {
			return nil, false
		}
		files = append(files, file)
	}
	return files, true
}

func executable(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

func beside(file string) (string, bool) {
	self, err := os.Executable()
	if err != nil {
		return "", false
	}
	path := filepath.Join(filepath.Dir(self), file)
	info, err := os.Stat(path)
	return path, err == nil && info.Mode().IsRegular()
}

func inPath(file string) (string, bool) {
	path, err := exec.LookPath(file)
	return path, err == nil || errors.Is(err, exec.ErrDot)
}

// build makes commands in the user's cache: of the source that is at hand, or of a
// version.
func build(ctx context.Context, progress io.Writer, version string, names []string) ([]string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("program: build %s: %w", strings.Join(names, ", "), err)
	}
	folder := filepath.Join(cache, "wsresilience", version)
	args, env := []string{"build", "-v", "-o", folder + string(filepath.Separator)}, os.Environ()
	if version != "" {
		args, env = []string{"install", "-v"}, append(env, "GOBIN="+folder)
		version = "@" + version
	}
	var files []string
	for _, name := range names {
		args = append(args, module+"/cmd/"+name+version)
		files = append(files, filepath.Join(folder, executable(name)))
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("program: build %s: %w", strings.Join(names, ", "), err)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = env
	told := newTeller(progress, strings.Join(names, " and "))
	cmd.Stderr = told
	err = cmd.Run()
	told.end(err == nil)
	if err != nil {
		return nil, fmt.Errorf("program: go %s: %w\n%s", strings.Join(args, " "), err, told.complaints())
	}
	return files, nil
}

// release returns the version that this program is built from as a module of a
// release, which go install can build again; "" if it is from a source tree.
func release(read func() (*debug.BuildInfo, bool)) string {
	info, ok := read()
	if !ok || info.Main.Path != module || !strings.HasPrefix(info.Main.Version, "v") || strings.HasSuffix(info.Main.Version, "+dirty") {
		return ""
	}
	return info.Main.Version
}

// isSource reports whether the working directory is inside the module, and
// the Go toolchain there to build it.
func isSource(ctx context.Context) bool {
	out, err := exec.CommandContext(ctx, "go", "list", "-m").Output()
	return err == nil && strings.TrimSpace(string(out)) == module
}

func hasGo() bool {
	_, err := exec.LookPath("go")
	return err == nil
}
