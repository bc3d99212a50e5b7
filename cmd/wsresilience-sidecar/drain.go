package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/observe"
)

// Implementation limits of the drain command.
const (
	// drainDial is for a port of this pod, which answers at once or never.
	drainDial = 5 * time.Second

	// drainSlack is what the sidecar may take beyond WSR_DRAIN_SECONDS before
	// the command stops waiting, unless -timeout says otherwise.
	drainSlack = 10 * time.Second
)

// drainCommand drains the sidecar of this pod, and returns when that is done.
func drainCommand(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("drain", flag.ContinueOnError)
	flags.SetOutput(stderr)
	timeout := flags.Duration("timeout", 0, "how long to wait at most (default WSR_DRAIN_SECONDS and 10 s)")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case flags.NArg() > 0 || *timeout < 0:
		fmt.Fprintln(stderr, "wsresilience-sidecar: drain takes no argument but -timeout, a duration such as 30s")
		return exitUsage
	}
	cfg := load(environ, stderr)
	if cfg == nil {
		return exitUsage
	}
	if *timeout == 0 {
		*timeout = cfg.DrainTime() + drainSlack
	}
	within, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	address := adminAddress(cfg.AdminListen)
	err := drainAt(within, "http://"+address+"/drain", stdout)
	var unreachable *net.OpError
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "wsresilience-sidecar: interrupted; the drain goes on without this command")
	case within.Err() != nil:
		fmt.Fprintf(stderr, "wsresilience-sidecar: not done after %s; if it has begun, the drain goes on\n", *timeout)
	case errors.As(err, &unreachable) && unreachable.Op == "dial":
		fmt.Fprintf(stderr, "wsresilience-sidecar: no sidecar answers at %s (%v): is one running in this pod, with the same WSR_ADMIN_LISTEN as this command?\n", address, err)
	default:
		fmt.Fprintf(stderr, "wsresilience-sidecar: the drain failed: %v\n", err)
	}
	return exitFailed
}

// adminAddress is how to reach the admin port from this pod.
func adminAddress(listen config.Address) string {
	ip, err := netip.ParseAddr(listen.Host())
	switch {
	case listen.Host() == "" || err == nil && ip.IsUnspecified() && ip.Is4():
		return net.JoinHostPort("127.0.0.1", listen.Port())
	case err == nil && ip.IsUnspecified():
		return net.JoinHostPort("::1", listen.Port())
	}
	return string(listen)
}

// drainAt asks for a drain, and copies its progress until it is done.
func drainAt(ctx context.Context, url string, progress io.Writer) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/plain")
	// A proxy that the environment names for the app has no place here.
	client := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: drainDial}).DialContext, DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	last := ""
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		last = lines.Text()
		if resp.StatusCode == http.StatusOK {
			fmt.Fprintln(progress, last)
		}
	}
	switch err := lines.Err(); {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("the admin port answered %s: %s", resp.Status, last)
	case last == observe.DrainDone:
		return nil
	case strings.HasPrefix(last, "failed: "):
		return errors.New(strings.TrimPrefix(last, "failed: "))
	case err != nil:
		return fmt.Errorf("the sidecar ended before it said that it was done: %w", err)
	}
	return errors.New("the sidecar ended before it said that it was done")
}
