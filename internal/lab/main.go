package lab

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// Exit codes of an instrument.
const (
	ExitFailed = 1 // what it found is beyond what is promised
	ExitBroken = 2 // it could not measure
)

// Main is an instrument's main function: it plays a role of the lab if the
// arguments say so, or else runs it until it ends or a signal comes, and exits
// with its code.
func Main(run func(ctx context.Context, args []string) (code int, err error)) {
	proc.RunRole(Roles)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		code = 0
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		code = ExitBroken
	}
	os.Exit(code)
}
