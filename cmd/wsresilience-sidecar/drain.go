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

// Implementation limits of commands that ask a running sidecar.
const (
	// adminDial is for a port of this pod, which answers at once or never.
	adminDial = 5 * time.Second

	// drainSlack is what the sidecar may take beyond WSR_DRAIN_SECONDS before
	// the command stops waiting, unless -timeout says otherwise.
	drainSlack = 10 * time.Second
)

// drainCommand drains the sidecar of this pod, and returns when that is done.
func drainCommand(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("drain", flag.ContinueOnError)
	flags.SetOutput(stderr)
	timeout := flags.Duration("timeout", 0, "how long to wait at most (default WSR_DRAIN_SECONDS and 10 s)")
	undo := flags.Bool("undo", false, "take a drain back, as long as the sidecar is not stopping: clients are taken again")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case flags.NArg() > 0 || *timeout < 0:
		fmt.Fprintln(stderr, "wsresilience-sidecar: drain takes no argument but -timeout, a duration such as 30s, and -undo")
		return exitUsage
	}
	cfg := loadAdmin(environ, stderr)
	if cfg == nil {
		return exitUsage
	}
	if *timeout == 0 {
		*timeout = cfg.DrainTime() + drainSlack
	}
	within, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	address := adminAddress(cfg.AdminListen)
	call := adminCall{method: http.MethodPost, url: "http://" + address + "/drain", token: cfg.OperatorToken()}
	var err error
	if *undo {
		call.method = http.MethodDelete
		err = call.undrain(within)
	} else {
		err = call.drain(within, stdout)
	}
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "wsresilience-sidecar: interrupted; the drain goes on without this command")
	case within.Err() != nil:
		fmt.Fprintf(stderr, "wsresilience-sidecar: not done after %s; if it has begun, the drain goes on\n", *timeout)
	case noSidecar(err):
		tellNoSidecar(stderr, address, err)
	default:
		what := "the drain failed"
		if *undo {
			what = "the drain was not taken back"
		}
		fmt.Fprintf(stderr, "wsresilience-sidecar: %s: %v\n", what, err)
	}
	return exitFailed
}

// noSidecar reports whether nobody answers at the admin port.
func noSidecar(err error) bool {
	var unreachable *net.OpError
	return errors.As(err, &unreachable) && unreachable.Op == "dial"
}

func tellNoSidecar(stderr io.Writer, address string, err error) {
	fmt.Fprintf(stderr, "wsresilience-sidecar: no sidecar answers at %s (%v): is one running in this pod, with the same WSR_ADMIN_LISTEN as this command?\n", address, err)
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

// An adminCall is a request to the admin port.
type adminCall struct{ method, url, token string }

func (a adminCall) do(ctx context.Context) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, a.method, a.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "text/plain")
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	// A proxy that the environment names for the app has no place here.
	client := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: adminDial}).DialContext, DisableKeepAlives: true}}
	return client.Do(r)
}

// undrain takes a drain back.
func (a adminCall) undrain(ctx context.Context) error {
	resp, err := a.do(ctx)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // what came says enough
		return fmt.Errorf("the admin port answered %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// drain asks for a drain, and copies its progress until it is done.
func (a adminCall) drain(ctx context.Context, progress io.Writer) error {
	resp, err := a.do(ctx)
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
