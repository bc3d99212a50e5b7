// Chaos runs sidecars, apps and a NATS cluster as processes of their own,
// breaks them one way after the other, and counts what a thousand sessions
// lost, got twice or got out of order. It needs Linux.
//
//	go run ./internal/chaos [flags]
//
// It exits 1 when a scenario is beyond what DESIGN §4 promises, and 2 when it
// could not measure.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/wsresilience/wsresilience/internal/lab"
)

// minFiles is what a run of the storm has open at once: three sockets a
// session in this process.
const minFiles = 18_000

func main() { lab.Main(run) }

// run runs the chosen scenarios, each on a fresh testbed, and returns the exit
// code.
func run(ctx context.Context, args []string) (int, error) {
	o, err := parseOptions(args, os.Stderr)
	if err != nil {
		return 0, err
	}
	if err := lab.RaiseFileLimit(minFiles); err != nil {
		return 0, err
	}
	b, err := newRunner(ctx, o)
	if err != nil {
		return 0, err
	}
	code := 0
	var results []*result
	for _, s := range scenarios {
		if !o.run.MatchString(s.name) || ctx.Err() != nil {
			continue
		}
		r := b.run(ctx, &s)
		results = append(results, r)
		if !r.Pass {
			code = lab.ExitFailed
		}
		fmt.Print(r.text())
		if err := writeResults(o.out, results); err != nil {
			return 0, err
		}
	}
	if len(results) == 0 {
		return 0, fmt.Errorf("chaos: -run %s: no scenario has such a name", o.run)
	}
	if code == 0 && !o.keep {
		_ = os.RemoveAll(b.starter.Dir)
	} else {
		fmt.Fprintln(os.Stderr, "chaos: logs are in", b.starter.Dir)
	}
	return code, ctx.Err()
}
