// Command wsresilience-sidecar is a proxy that runs beside a WebSocket app and
// keeps its clients' sessions alive across broken connections. It only wires
// the packages together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/wsresilience/wsresilience/internal/rehearse"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // a bad setting or argument: nothing was started
)

const usage = `wsresilience-sidecar keeps WebSocket sessions alive across broken connections.

usage: wsresilience-sidecar [command]

commands:
  run       run the sidecar of the app at WSR_UPSTREAM (the default command)
  drain     hand all sessions of the sidecar in this pod over and wait until that
            is done: for a preStop hook ([-timeout 30s]); -undo takes that back
  sessions  list the sessions of the sidecar in this pod ([-path P] [-client A]
            [-state S] [-sort held] [-ended] [-json]; -h tells all)
  session   show one session, and what happened to it: session ID ([-json])
  doctor    say what is wrong between here and a WebSocket app, and which line of
            which proxy to change (doctor wss://app.example.com/ws; doctor -h)
  demo      show it here: two pods and two clients, while the network breaks and
            pods are killed and drained (runs wsresilience-demo)
  rehearse  put a load with faults on your own app, and report what plain and
            resilient clients lose (-h says more)
  config    print the effective settings, secrets masked, and check them
  version   print the version
  help      print this and all settings

try:
  wsresilience-sidecar demo
  WSR_UPSTREAM=http://127.0.0.1:8080 WSR_DATA_DIR=/tmp/wsr wsresilience-sidecar
  curl http://127.0.0.1:15802/readyz
`

func main() {
	// net/http's transport prints bytes of a broken app's answer to the
	// standard logger (I9). Ours is slog.
	log.SetOutput(io.Discard)
	code := command(untilSignal(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	os.Exit(code)
}

// untilSignal returns a context that ends with the first signal; a second one
// ends the process. A user who presses ctrl-C does not want to wait; an
// orchestrator's SIGTERM leaves time for a drain.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		got := <-signals
		signal.Stop(signals)
		if got == os.Interrupt {
			cancel(errInterrupted)
			return
		}
		cancel(errors.New("stopped by " + got.String()))
	}()
	return ctx
}

// command runs one command line and returns the exit code.
func command(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	name := "run"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "run":
		if refuseArgs(name, args, stderr) {
			return exitUsage
		}
		return runCommand(ctx, environ, stderr)
	case "drain":
		return drainCommand(ctx, args, environ, stdout, stderr)
	case "sessions":
		return sessionsCommand(ctx, args, environ, stdout, stderr)
	case "session":
		return sessionCommand(ctx, args, environ, stdout, stderr)
	case "doctor":
		return doctorCommand(ctx, args, environ, stdout, stderr)
	case "demo":
		return demoCommand(ctx, args, environ, stderr)
	case "rehearse":
		return rehearse.Command(ctx, args, stdout, stderr)
	case "config":
		if refuseArgs(name, args, stderr) {
			return exitUsage
		}
		return configCommand(environ, stdout, stderr)
	case "version", "--version", "-version":
		fmt.Fprintln(stdout, version())
		return exitOK
	case "help", "--help", "-help", "-h":
		help(stdout)
		return exitOK
	}
	fmt.Fprintf(stderr, "wsresilience-sidecar: there is no command %q\n\n%s", name, usage)
	return exitUsage
}

// refuseArgs reports whether there are arguments where none belong: everything
// is set by environment variables.
func refuseArgs(name string, args []string, stderr io.Writer) bool {
	if len(args) == 0 {
		return false
	}
	fmt.Fprintf(stderr, "wsresilience-sidecar: %s takes no arguments, given %q; settings are environment variables (wsresilience-sidecar help)\n",
		name, strings.Join(args, " "))
	return true
}

// version is what the build recorded of its source.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "wsresilience-sidecar (no build information)"
	}
	revision := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return fmt.Sprintf("wsresilience-sidecar %s%s %s", info.Main.Version, revision, info.GoVersion)
}
