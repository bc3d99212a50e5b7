package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/program"
)

const module = "github.com/wsresilience/wsresilience"

// A runner runs scenarios, and has what they share: the built sidecar, the installed packages,
// a scratch folder. What is started with it ends with its context.
type runner struct {
	proc.Starter // it keeps the end of each log in memory

	ctx     context.Context
	dir     string // scratch, removed at the end
	js      string // the folder of the scripts
	sidecar string // the binary
	verbose bool
}

// newRunner builds and installs. npm fetches the packages, exactly those of the
// lock file, and runs no script of theirs.
func newRunner(ctx context.Context, sidecar string, verbose bool) (*runner, error) {
	dir, err := os.MkdirTemp("", "wsresilience-realapps")
	if err != nil {
		return nil, err
	}
	r := &runner{ctx: ctx, dir: dir, sidecar: sidecar, verbose: verbose}
	here, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", module+"/internal/realapps").Output()
	if err != nil {
		r.close()
		return nil, fmt.Errorf("realapps: go list: %w: run it inside the repository", err)
	}
	r.js = filepath.Join(strings.TrimSpace(string(here)), "js")
	if err := r.install(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *runner) install() error {
	npm, err := r.Start("npm", npmCommand("ci", "--prefix", r.js, "--ignore-scripts", "--no-audit", "--no-fund"))
	if err != nil {
		return err
	}
	select {
	case <-npm.Over():
	case <-r.ctx.Done():
		npm.Kill()
	}
	if err := npm.Err(); err != nil {
		return npm.Failure(err.Error())
	}
	if r.sidecar != "" {
		return nil
	}
	r.sidecar = filepath.Join(r.dir, lab.SidecarName)
	return program.Build(r.ctx, lab.SidecarName, r.sidecar)
}

// npmCommand is npm with the caller's environment, which says where packages
// come from.
func npmCommand(args ...string) *exec.Cmd {
	cmd := exec.Command("npm", args...)
	cmd.Env = cmd.Environ()
	return cmd
}

func (r *runner) close() { _ = os.RemoveAll(r.dir) }

// tracer logs under a name, or nothing.
func (r *runner) tracer(name string) func(string, ...any) {
	if !r.verbose {
		return func(string, ...any) {}
	}
	l := log.New(os.Stderr, name+" ", log.Ltime|log.Lmicroseconds|log.Lmsgprefix)
	return l.Printf
}
