package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/otlp"
)

// load reads the settings, or says everything that is wrong with them.
func load(environ []string, stderr io.Writer) *config.Config {
	cfg, err := config.Load(environ)
	if err == nil {
		err = checkRules(cfg) // so that nothing is opened, and config tells too
	}
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-sidecar: the settings cannot be used:\n%v\n", err)
		return nil
	}
	return cfg
}

// loadAdmin reads the settings by which a running sidecar is reached, or says what is
// wrong with them.
func loadAdmin(environ []string, stderr io.Writer) *config.Config {
	cfg, err := config.LoadAdmin(environ)
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-sidecar: the settings cannot be used:\n%v\n", err)
		return nil
	}
	for _, w := range cfg.Warnings() {
		fmt.Fprintln(stderr, "warning:", w)
	}
	return cfg
}

func configCommand(environ []string, stdout, stderr io.Writer) int {
	cfg := load(environ, stderr)
	if cfg == nil {
		return exitUsage
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, s := range cfg.Effective() {
		fmt.Fprintf(w, "%s\t%s\t(%s)\n", s.Name, s.Value, s.Source)
	}
	_ = w.Flush()
	traces := otlp.FromEnviron(environ)
	fmt.Fprintf(stdout, "\ntraces: %s\n", traces)
	for _, warning := range slices.Concat(cfg.Warnings(), traces.Warnings) {
		fmt.Fprintln(stderr, "warning:", warning)
	}
	return exitOK
}

// help prints what there is, with all settings.
func help(stdout io.Writer) {
	fmt.Fprint(stdout, usage, "\nsettings, all of them environment variables, or lines of the file of WSR_CONFIG_FILE:\n\n", config.Help(),
		"\ntraces are sent where OpenTelemetry's variables say (docs/TRACES.md), such as\n  OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318\n")
}
