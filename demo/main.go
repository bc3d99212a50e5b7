// Command demo is the short way to the demo: go run ./demo, or go run
// github.com/wsresilience/wsresilience/demo@latest. It is compiled in seconds,
// and says how far it is while the demo and the sidecar are, which takes minutes
// on an empty cache.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/wsresilience/wsresilience/internal/program"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	files, err := program.Find(ctx, os.Stderr, "wsresilience-demo", "wsresilience-sidecar")
	stop()
	var code int
	if err == nil {
		code, err = program.Become(files[0], append([]string{"-sidecar", files[1]}, os.Args[1:]...), os.Environ())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		code = 1
	}
	os.Exit(code)
}
