// Command wsresilience-injector puts the sidecar into pods: as an admission
// webhook of a cluster, or on manifests in a pipe. It only wires the packages
// together.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // a bad setting or argument: nothing was done
)

const usage = `wsresilience-injector puts the wsresilience sidecar into pods.

usage: wsresilience-injector <command> [flags]

commands:
  inject    read manifests, print them with the sidecar (-f file, - for standard input)
  uninject  read manifests, print them without it
  webhook   run the admission webhook of a cluster (what the Helm chart runs)
  check     ask a webhook for an injection that is not carried out (what helm test runs);
            -pod NAMESPACE/NAME: say why that pod has no sidecar;
            -old: list the workloads whose pods have an old one
  redirect  turn connections to the app's port to the sidecar (an init container runs this)
  version   print the version
  help      print this; "<command> -help" prints its flags

try:
  wsresilience-injector inject -image ghcr.io/wsresilience/wsresilience:1.0.0 -f deployment.yaml | kubectl apply -f -
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command runs one command line and returns the exit code.
func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	name, args := args[0], args[1:]
	switch name {
	case "inject":
		return injectCommand(args, stdin, stdout, stderr)
	case "uninject":
		return uninjectCommand(args, stdin, stdout, stderr)
	case "webhook":
		return webhookCommand(ctx, args, stderr)
	case "check":
		return checkCommand(ctx, args, stdout, stderr)
	case "redirect":
		return redirectCommand(args, stderr)
	case "version", "--version", "-version":
		fmt.Fprintln(stdout, version())
		return exitOK
	case "help", "--help", "-help", "-h":
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	fmt.Fprintf(stderr, "wsresilience-injector: there is no command %q\n\n%s", name, usage)
	return exitUsage
}

// version is what the build recorded of its source.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "wsresilience-injector (no build information)"
	}
	return fmt.Sprintf("wsresilience-injector %s %s", info.Main.Version, info.GoVersion)
}
