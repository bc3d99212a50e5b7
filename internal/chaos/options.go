package main

import (
	"flag"
	"fmt"
	"io"
	"regexp"
	"time"
)

// options are the command line.
type options struct {
	run      *regexp.Regexp
	sessions int
	rate     float64 // messages per second, session and direction
	fast     int     // sessions of which the app sends at fastRate
	fastRate float64
	rounds   int
	storm    int // sessions of the storm
	lease    time.Duration
	drain    int // seconds
	hang     time.Duration
	sidecar  string // a built one; empty: it is built
	out      string
	keep     bool
}

// parseOptions reads the flags. Their defaults suit two processors.
func parseOptions(args []string, out io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(out)
	run := f.String("run", ".", "regular `expression` of the scenarios to run")
	f.IntVar(&o.sessions, "sessions", 1000, "sessions, beside those of storm and race")
	f.Float64Var(&o.rate, "rate", 2, "messages per second, session and direction")
	f.IntVar(&o.fast, "fast", 50, "sessions on which gaps are measured: their app sends at -fastrate")
	f.Float64Var(&o.fastRate, "fastrate", 20, "messages per second of those")
	f.IntVar(&o.rounds, "rounds", 10, "rounds of rolling replacement")
	f.IntVar(&o.storm, "storm", 5000, "sessions of the storm")
	f.DurationVar(&o.lease, "lease", 12*time.Second, "WSR_LEASE_TTL; the sidecar warns of less")
	f.IntVar(&o.drain, "drain", 15, "WSR_DRAIN_SECONDS")
	f.DurationVar(&o.hang, "hang", 5*time.Minute, "how long NATS hangs")
	f.StringVar(&o.sidecar, "sidecar", "", "a built sidecar `binary`; built from the tree if empty")
	f.StringVar(&o.out, "out", "", "`file` for the results as JSON")
	f.BoolVar(&o.keep, "keep", false, "keep the logs of the processes also when all is well")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var err error
	if o.run, err = regexp.Compile(*run); err != nil {
		return nil, fmt.Errorf("chaos: -run: %w", err)
	}
	if f.NArg() > 0 || o.sessions < 1 || o.storm < 1 || o.rounds < 1 || o.drain < 1 || o.rate <= 0 || o.fastRate <= 0 || o.fast < 0 {
		return nil, fmt.Errorf("chaos: arguments %q: want no words, and numbers above zero", args)
	}
	return o, nil
}
