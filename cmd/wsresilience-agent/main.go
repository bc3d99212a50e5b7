// Command wsresilience-agent stands beside a program that is a WebSocket client
// and cannot be changed, and gives it sessions that survive broken connections.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/wsresilience/wsresilience/internal/agent"
	"github.com/wsresilience/wsresilience/internal/agent/settings"
)

const usage = `wsresilience-agent gives a WebSocket client that cannot be changed sessions that
survive broken connections.

usage: wsresilience-agent [run|help|version]

try:
  WSR_AGENT_TARGET=wss://app.example.com wsresilience-agent
and let the program connect to ws://127.0.0.1:15880 and its path.

settings:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command runs one command, and returns the exit code: 0, 1 for a failure, 2 for
// a wrong argument or setting.
func command(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	name := "run"
	if len(args) > 0 {
		name = args[0]
	}
	switch {
	case len(args) > 1:
		fmt.Fprintf(stderr, "wsresilience-agent: %q: one command at most; see wsresilience-agent help\n", args[1])
		return 2
	case name == "help" || name == "-h" || name == "--help":
		help(stdout)
		return 0
	case name == "version":
		info, _ := debug.ReadBuildInfo()
		fmt.Fprintln(stdout, info.Main.Version)
		return 0
	case name == "run":
		return run(ctx, environ, stderr)
	}
	fmt.Fprintf(stderr, "wsresilience-agent: %q: want run, help or version\n", name)
	return 2
}

func help(out io.Writer) {
	fmt.Fprint(out, usage)
	for _, v := range settings.Variables() {
		standard := v.Default
		if standard == "" {
			standard = "-"
		}
		fmt.Fprintf(out, "  %s (%s)\n      %s\n", v.Name, standard, v.Doc)
	}
}

func run(ctx context.Context, environ []string, stderr io.Writer) int {
	chosen, err := settings.Load(environ)
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-agent: the settings cannot be used:\n%v\n", err)
		return 2
	}
	var level slog.Level
	_ = level.UnmarshalText([]byte(chosen.LogLevel)) // Load has checked it
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	a, err := agent.New(chosen, log)
	if err == nil {
		err = a.Run(ctx)
	}
	if err != nil {
		log.Error("stopped", "error", err.Error())
		return 1
	}
	log.Info("stopped")
	return 0
}
