// Command wsresilience-demo shows what the sidecar is for: two pods, two
// clients, and everything that goes wrong between them. It is not part of the
// sidecar, since a fault injector does not belong into production.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/wsresilience/wsresilience/internal/demo"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

func main() {
	proc.RunRole(lab.Roles)
	log.SetOutput(io.Discard) // net/http's complaints would scatter over the dashboard
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(demo.Command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
