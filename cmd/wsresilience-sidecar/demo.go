package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/wsresilience/wsresilience/internal/program"
)

// demoName is the command that the demo is.
const demoName = "wsresilience-demo"

// demoCommand becomes the demo, with this program as its sidecar. The demo is a
// program of its own: it breaks networks, which nothing in production should be
// able to.
func demoCommand(ctx context.Context, args, environ []string, stderr io.Writer) int {
	self, err := os.Executable()
	if err == nil {
		var files []string
		if files, err = program.Find(ctx, stderr, demoName); err == nil {
			var code int
			if code, err = program.Become(files[0], append([]string{"-sidecar", self}, args...), environ); err == nil {
				return code
			}
		}
	}
	fmt.Fprintf(stderr, "wsresilience-sidecar: demo: %v\n", err)
	return exitFailed
}
