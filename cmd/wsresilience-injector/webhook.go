package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"time"
)

const webhookUsage = `usage: wsresilience-injector webhook [flags]

Runs the admission webhook of a cluster, until SIGTERM. The API server is that of
the pod it runs in, or the one that KUBECONFIG names.
`

// gcPercent is how much of the live heap may be garbage.
const gcPercent = 40

// webhookFlags are the flags of the command.
type webhookFlags struct {
	config, listen, admin string
	shutdownDelay         time.Duration
	level                 slog.Level
}

// webhookCommand runs the webhook until ctx ends.
func webhookCommand(ctx context.Context, args []string, stderr io.Writer) int {
	f := webhookFlags{}
	flags := flag.NewFlagSet("webhook", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, webhookUsage); flags.PrintDefaults() }
	flags.StringVar(&f.config, "config", "/etc/wsresilience/injector.yaml", "settings (YAML)")
	flags.StringVar(&f.listen, "listen", ":8443", "address for the API server (TLS)")
	flags.StringVar(&f.admin, "admin", ":15802", "address for /livez, /readyz and /metrics (plain)")
	flags.DurationVar(&f.shutdownDelay, "shutdown-delay", 5*time.Second, "how long to serve after SIGTERM, while the endpoints of the Service are updated")
	flags.TextVar(&f.level, "log-level", slog.LevelInfo, "debug, info, warn or error")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		flags.Usage()
		return exitUsage
	}
	config, err := readConfig(f.config)
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-injector: webhook: the settings cannot be used:\n%v\n", err)
		return exitUsage
	}
	boundHeap()
	log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: f.level}))
	s, err := newServer(config, log)
	if err == nil {
		err = s.run(ctx, f)
	}
	if err != nil {
		log.Error("stopped", "error", err.Error())
		return exitFailed
	}
	log.Info("stopped")
	return exitOK
}

// boundHeap makes the collector run before the memory of the reviews under way,
// which package admission bounds, and what they left behind are more than the
// container may have. GOGC says otherwise.
func boundHeap() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	// The chart sets GOMEMLIMIT to all that the container may have, which is
	// more than the heap: stacks and the program itself are not in it.
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
}
