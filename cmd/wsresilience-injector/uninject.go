package main

import (
	"flag"
	"fmt"
	"io"

	"github.com/wsresilience/wsresilience/k8s/manifest"
)

const uninjectUsage = `usage: wsresilience-injector uninject -f file [-f file]

Prints the manifests without the sidecar, as they were before it was put in.
Everything else comes out as it is.

`

// uninjectCommand prints manifests without the sidecar.
func uninjectCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var files fileList
	flags := flag.NewFlagSet("uninject", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, uninjectUsage); flags.PrintDefaults() }
	flags.Var(&files, "f", "`file` with manifests, - is standard input; may be repeated")
	if code, done := parseFiles(flags, args, files.given, stderr); done {
		return code
	}
	return files.rewrite("uninject", stdin, stdout, stderr, manifest.Uninject)
}
