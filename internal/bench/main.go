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

	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

func main() {
	proc.RunRole(rig.Roles())
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
	r, err := rig.NewRig(ctx)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	switch {
	case o.sidecar != "":
		r.Sidecar = o.sidecar
	case !o.self:
		if err := r.BuildSidecar(); err != nil {
			return 0, err
		}
	}
	rep := &report{w: os.Stdout}
	rep.header(args)
	if o.quick {
		r.Patience = rig.SettleQuick
		rep.note("a quick run: these numbers are not to be quoted")
	}
	if r.Nginx == "" {
		rep.note("nginx is not installed, so its rows are missing")
	}
	if err := measureAll(r, rep, &o); err != nil {
		return 0, err
	}
	return rep.verdict(), nil
}
