// Kubetest installs the chart on a real cluster, puts a stock app with three
// replicas behind the sidecar, connects many clients through its Service,
// and does to it what clusters do: rolling updates, deletions, scaling,
// restarts of NATS, upgrades, and the uninstall.
//
//	go run ./internal/kubetest -kubeconfig ... -image-tar image.tar -import "ctr -n k8s.io images import"
//
// It exits 1 when a promise is broken, and 2 when it could not measure. It uses
// kubectl and helm as a person does.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/wsresilience/wsresilience/internal/lab"
)

// Arguments that make this command something in a pod: the clients, or a tenant
// that tries what it can, and one that asks the webhook as fast as it can.
const (
	roleClients  = "clients"
	roleIntruder = "intruder"
	roleFlood    = "flood"
)

func main() { lab.Main(command) }

func command(ctx context.Context, args []string) (int, error) {
	if len(args) > 0 && args[0] == roleClients {
		return 0, runClients(ctx, args[1:])
	}
	if len(args) > 0 && args[0] == roleIntruder {
		return 0, runIntruder(ctx, args[1:])
	}
	if len(args) > 0 && args[0] == roleFlood {
		return 0, runFlood(ctx, args[1:])
	}
	o, err := parseOptions(args, os.Stderr)
	if err != nil {
		return 0, err
	}
	return run(ctx, o)
}

// run plays the scenarios in their order, since each stands on those before.
func run(ctx context.Context, o *options) (int, error) {
	c := &cluster{options: o, say: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }}
	if err := c.prepare(ctx); err != nil {
		c.explain(ctx)
		return 0, err
	}
	if !o.keep {
		defer c.clean()
	}
	code := 0
	for _, sc := range scenarios {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if o.run != nil && !o.run.MatchString(sc.name) {
			continue
		}
		r := c.play(ctx, sc)
		c.say("%s", r.line())
		c.results = append(c.results, r)
		if r.broken != nil {
			c.explain(ctx)
			return 0, fmt.Errorf("kubetest: %s: %w", sc.name, r.broken)
		}
		if len(r.failures) > 0 {
			code = lab.ExitFailed
		}
	}
	fmt.Print(list(c.results))
	return code, nil
}
