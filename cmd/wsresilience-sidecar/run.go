package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/observe"
)

// runCommand runs the sidecar until ctx ends.
func runCommand(ctx context.Context, environ []string, stderr io.Writer) int {
	hangup, ignore := hangups()
	defer ignore()
	cfg := load(environ, stderr)
	if cfg == nil {
		return exitUsage
	}
	used := contents(cfg.WatchedFiles())
	collectOften()
	out := observe.NewWriter(stderr)
	defer func() { _ = out.Close() }() // lines that cannot be written are lost, and so would be an error
	level := new(slog.LevelVar)
	level.Set(cfg.LogLevel)
	log := observe.NewLogger(out, level, string(cfg.LogFormat), isTerminal(stderr))
	for _, w := range cfg.Warnings() {
		log.Warn(w)
	}
	metrics := observe.New()
	metrics.WatchLog(out)
	s, err := newSidecar(ctx, environ, cfg, log, metrics)
	if err == nil {
		reloading, stop := context.WithCancel(ctx)
		go s.newReloader(environ, level, used).run(reloading, hangup)
		err = s.run(ctx)
		stop()
	}
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		fmt.Fprintf(stderr, "wsresilience-sidecar: the settings cannot be used:\n%v\n", problems)
		return exitUsage
	case err != nil:
		log.Error("stopped", "error", err.Error())
		return exitFailed
	}
	log.Info("stopped")
	return exitOK
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
