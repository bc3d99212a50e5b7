package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/wsresilience/wsresilience/internal/program"
)

// demoName is the command that the demo is.
const demoName = "wsresilience-demo"

// demoCommand becomes the demo, with this program as its sidecar. The demo is a
// program of its own: it breaks networks, which nothing in production should be
// able to. It returns only after an error.
func demoCommand(ctx context.Context, args, environ []string, stderr io.Writer) int {
	self, err := os.Executable()
	if err == nil {
		var file string
		if file, err = program.Find(ctx, demoName); err == nil {
			err = syscall.Exec(file, append([]string{file, "-sidecar", self}, args...), environ)
		}
	}
	fmt.Fprintf(stderr, "wsresilience-sidecar: demo: %v\n", err)
	return exitFailed
}
