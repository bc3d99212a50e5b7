package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"

	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/redirect"
)

const redirectUsage = `usage: wsresilience-injector redirect -from port [-to port] [-probe port]

Turns connections that come into this pod from the app's port to the sidecar, by
nftables, and those to the probe port to the app. It replaces what it did
before. An init container runs this, with the capability NET_ADMIN.
`

// redirectCommand makes the rules in the network namespace it runs in.
func redirectCommand(args []string, stderr io.Writer) int {
	rules, err := parseRedirect(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "wsresilience-injector: %v\n", err)
		return exitUsage
	}
	if err := redirect.Apply(rules); err != nil {
		fmt.Fprintf(stderr, "wsresilience-injector: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(stderr, "wsresilience-injector: connections to port %d go to %d, those to %d to %d\n", rules.From, rules.To, rules.Probe, rules.From)
	return exitOK
}

// parseRedirect reads the flags. With flag.ErrHelp the help is printed.
func parseRedirect(args []string, stderr io.Writer) (redirect.Rules, error) {
	rules := redirect.Rules{To: k8s.ProxyPort, Probe: k8s.ProbePort}
	flags := flag.NewFlagSet("redirect", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller prints an error, once
	for _, p := range []struct {
		name, usage string
		port        *uint16
	}{
		{"from", "`port` of the app", &rules.From},
		{"to", "`port` of the sidecar (default 15801)", &rules.To},
		{"probe", "`port` that leads to the app past the sidecar, for probes (default 15804)", &rules.Probe},
	} {
		flags.Func(p.name, p.usage, func(s string) (err error) {
			*p.port, err = parsePort(s)
			return err
		})
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, redirectUsage)
		flags.SetOutput(stderr)
		flags.PrintDefaults()
		return redirect.Rules{}, err
	case err != nil:
		return redirect.Rules{}, fmt.Errorf("redirect: %w", err)
	case flags.NArg() > 0:
		return redirect.Rules{}, fmt.Errorf("redirect: argument %q: only flags are known", flags.Arg(0))
	case rules.From == 0:
		return redirect.Rules{}, errors.New("redirect: -from is missing: it is the port that the app listens on")
	}
	return rules, rules.Check()
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("a port is a number from 1 to 65535")
	}
	return uint16(n), nil
}
