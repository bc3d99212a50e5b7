// Chaos runs sidecars, apps and a NATS cluster as processes of their own,
// breaks them one way after the other, and counts what a thousand sessions
// lost, got twice or got out of order. It needs Linux.
//
//	go run ./internal/chaos [flags]
//
// It exits 1 when a scenario is beyond what DESIGN §4 promises, and 2
// when it could not measure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const (
	exitFailed = 1
	exitBroken = 2
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == roleArg {
		if err := runRole(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exitBroken)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		code = 0
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		code = exitBroken
	}
	os.Exit(code)
}

// run plays the chosen scenarios, each on a fresh stage, and returns the exit
// code.
func run(ctx context.Context, args []string) (int, error) {
	o, err := parseOptions(args, os.Stderr)
	if err != nil {
		return 0, err
	}
	if err := raiseLimits(); err != nil {
		return 0, err
	}
	lab, err := newLab(ctx, o)
	if err != nil {
		return 0, err
	}
	code := 0
	var results []*result
	for _, s := range scenarios {
		if !o.run.MatchString(s.name) || ctx.Err() != nil {
			continue
		}
		r := lab.play(ctx, &s)
		results = append(results, r)
		if !r.Pass {
			code = exitFailed
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
		_ = os.RemoveAll(lab.dir)
	} else {
		fmt.Fprintln(os.Stderr, "chaos: logs are in", lab.dir)
	}
	return code, ctx.Err()
}
