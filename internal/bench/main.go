// Bench measures what the sidecar costs, in one run beside what it is held
// against: a plain goroutine TCP forwarder, and nginx if it is installed. It
// needs Linux, and a machine with nothing else to do.
//
//	go run ./internal/bench [flags]
//	go run ./internal/bench proxy [flags]
//
// The second compares it with nginx, HAProxy and a plain forwarder under many
// loads and writes a page with a table and a plot.
//
// -only picks some of the parts. It exits 1 when a number is beyond what is
// allowed, and 2 when it could not measure.
package main

import (
	"context"
	"os"
	"os/exec"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

func main() {
	proc.RunRole(roles())
	lab.Main(func(ctx context.Context, args []string) (int, error) {
		if len(args) > 0 && args[0] == "proxy" {
			return compare(ctx, args[1:])
		}
		return run(ctx, args)
	})
}

// run measures and returns the exit code.
func run(ctx context.Context, args []string) (int, error) {
	o, err := parseOptions(args, os.Stderr)
	if err != nil {
		return 0, err
	}
	r, err := newRig(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(r.Dir) }()
	switch {
	case o.sidecar != "":
		r.sidecar = o.sidecar
	case !o.self:
		if err := r.buildSidecar(); err != nil {
			return 0, err
		}
	}
	rep := &report{w: os.Stdout}
	rep.header(args)
	if o.quick {
		r.patience = settleQuick
		rep.note("a quick run: these numbers are not to be quoted")
	}
	if r.nginx == "" {
		rep.note("nginx is not installed, so its rows are missing")
	}
	if err := r.measure(rep, &o); err != nil {
		return 0, err
	}
	return rep.verdict(), nil
}

func newRig(ctx context.Context) (*rig, error) {
	dir, err := os.MkdirTemp("", "wsr-bench-")
	if err != nil {
		return nil, err
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "" // optional, and said so in the output
	}
	return &rig{Starter: proc.Starter{Dir: dir}, ctx: ctx, nginx: nginx, patience: settleIdle}, nil
}
