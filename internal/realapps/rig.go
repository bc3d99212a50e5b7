package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	module  = "github.com/wsresilience/wsresilience"
	command = module + "/cmd/wsresilience-sidecar"
)

// A rig is what all stories share: the built sidecar, the installed packages,
// a scratch folder. What is started with it ends with its context.
type rig struct {
	ctx     context.Context
	dir     string // scratch, removed at the end
	js      string // the folder of the scripts
	sidecar string // the binary
	verbose bool
}

// newRig builds and installs. npm fetches the packages, exactly those of the
// lock file, and runs no script of theirs.
func newRig(ctx context.Context, sidecar string, verbose bool) (*rig, error) {
	dir, err := os.MkdirTemp("", "wsresilience-realapps")
	if err != nil {
		return nil, err
	}
	r := &rig{ctx: ctx, dir: dir, sidecar: sidecar, verbose: verbose}
	here, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", module+"/internal/realapps").Output()
	if err != nil {
		r.close()
		return nil, fmt.Errorf("realapps: go list: %w: run it inside the repository", err)
	}
	r.js = filepath.Join(strings.TrimSpace(string(here)), "js")
	work := []*exec.Cmd{
		exec.CommandContext(ctx, "npm", "ci", "--prefix", r.js, "--ignore-scripts", "--no-audit", "--no-fund"),
	}
	if sidecar == "" {
		r.sidecar = filepath.Join(dir, "sidecar")
		work = append(work, exec.CommandContext(ctx, "go", "build", "-o", r.sidecar, command))
	}
	for _, cmd := range work {
		ownGroup(cmd)
		if out, err := cmd.CombinedOutput(); err != nil {
			r.close()
			return nil, fmt.Errorf("realapps: %s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
		}
	}
	return r, nil
}

func (r *rig) close() { _ = os.RemoveAll(r.dir) }

// tracer logs under a name, or nothing.
func (r *rig) tracer(name string) func(string, ...any) {
	if !r.verbose {
		return func(string, ...any) {}
	}
	l := log.New(os.Stderr, name+" ", log.Ltime|log.Lmicroseconds|log.Lmsgprefix)
	return l.Printf
}

// freeAddr is a loopback address that nobody listens on at the moment.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
