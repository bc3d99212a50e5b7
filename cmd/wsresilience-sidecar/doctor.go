package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/doctor"
	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
)

const doctorUsage = `usage: wsresilience-sidecar doctor [flags] ws://host[:port]/path
       wsresilience-sidecar doctor [-json] [-silent]

With a URL: looks for what is wrong between here and a WebSocket app, with or
without a sidecar, and says who is to blame and which line to change. It makes
handshakes and sends pings; a message reaches the app only with -echo or -message.
It takes as long as -idle; with -quick some ten seconds. Ctrl-C prints what is
known by then.

Without a URL: looks at what the sidecar of this pod needs, with the settings of
the environment: the settings, the app, NATS with rights and streams, the other
sidecars, clocks, limits. It changes nothing. In Kubernetes:
kubectl exec POD -c wsresilience -- /wsresilience-sidecar doctor

exit codes: 0 nothing is wrong, 1 there are findings, 2 it could not run

flags:
`

// doctorCommand examines a URL, or the surroundings of this sidecar.
func doctorCommand(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	o := doctor.Options{Header: http.Header{}, UserAgent: "wsresilience-doctor"}
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, doctorUsage); flags.PrintDefaults() }
	flags.BoolVar(&o.Quick, "quick", false, "take seconds, not minutes: silences up to 7s, fewer bytes")
	flags.DurationVar(&o.Idle, "idle", 0, "the longest silence to try (default 10m1s, with -quick 7s)")
	flags.DurationVar(&o.Timeout, "timeout", 0, "how long a handshake may take (default 10s, with -quick 5s)")
	flags.Func("H", "a header of the handshake, 'Name: value'; may be repeated", headerFlag(o.Header))
	flags.Func("cookie", "cookies, 'name=value; …'", func(s string) error { o.Header.Set("Cookie", s); return nil })
	flags.StringVar(&o.Origin, "origin", "", "the Origin (default that of the URL); none leaves it out")
	flags.Func("subprotocol", "subprotocols that clients offer, comma-separated; one of them should be chosen", func(s string) error {
		for p := range strings.SplitSeq(s, ",") {
			o.Subprotocols = append(o.Subprotocols, strings.TrimSpace(p))
		}
		return nil
	})
	ca := flags.String("ca", "", "file with authorities (PEM) that certificates are checked against (default the system's)")
	cert := flags.String("cert", "", "file with a certificate of the client (PEM), for servers that want one")
	key := flags.String("key", "", "file with its private key (PEM)")
	flags.BoolVar(&o.Insecure, "insecure", false, "go on behind a certificate that is not good; it is told all the same")
	flags.StringVar(&o.Issuer, "issuer", "", "part of the name of the authority that should have issued the certificate")
	flags.StringVar(&o.ServerName, "servername", "", "name for TLS (default the URL's host)")
	flags.Func("resolve", "addresses instead of those of the name, comma-separated: 192.0.2.7 or 192.0.2.7:8443", func(s string) error {
		o.Resolve = append(o.Resolve, strings.Split(s, ",")...)
		return nil
	})
	flags.StringVar(&o.Unix, "unix", "", "path of a Unix socket to dial instead")
	flags.StringVar(&o.Direct, "direct", "", "URL of the same behind the proxies, such as the pod's own, to compare with")
	flags.BoolVar(&o.Sidecar, "sidecar", false, "there should be a sidecar")
	flags.BoolVar(&o.Compression, "compression", false, "compression should be agreed upon")
	flags.BoolVar(&o.Echo, "echo", false, "the app sends messages back: send it some, up to 1 MiB")
	flags.StringVar(&o.Message, "message", "", "a text to send to the app first on each connection, such as a login; it should answer")
	flags.StringVar(&o.Stream, "stream", "", "path of a GET whose answer comes bit by bit (server-sent events), to see whether it does")
	asJSON := flags.Bool("json", false, "print JSON")
	silent := flags.Bool("silent", false, "print no progress")
	args, err := mixed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case len(args) > 1:
		fmt.Fprintf(stderr, "wsresilience-sidecar: doctor takes one URL, given %q\n", strings.Join(args, " "))
		return exitUsage
	case o.Idle < 0 || o.Timeout < 0:
		fmt.Fprintln(stderr, "wsresilience-sidecar: doctor: -idle and -timeout are durations above 0, such as 60s")
		return exitUsage
	}
	if *ca != "" {
		if o.Roots, err = authorities(*ca); err != nil {
			fmt.Fprintf(stderr, "wsresilience-sidecar: doctor: -ca: %v\n", err)
			return exitUsage
		}
	}
	if *cert != "" || *key != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			fmt.Fprintf(stderr, "wsresilience-sidecar: doctor: -cert and -key: %v\n", err)
			return exitUsage
		}
		o.Certificate = &pair
	}
	if !*silent {
		o.Progress = progress(stderr)
	}
	var report *diagnosis.Report
	if len(args) == 0 {
		given := ""
		flags.Visit(func(f *flag.Flag) {
			if f.Name != "json" && f.Name != "silent" {
				given += " -" + f.Name
			}
		})
		if given != "" {
			fmt.Fprintf(stderr, "wsresilience-sidecar: doctor:%s: for a URL only, and none is given\n", given)
			return exitUsage
		}
		return printReport(surroundings(ctx, environ, o.Progress), *asJSON, stdout, stderr)
	}
	o.URL = args[0]
	if report, err = doctor.Examine(ctx, o); err != nil {
		fmt.Fprintf(stderr, "wsresilience-sidecar: %v\n", err)
		return exitUsage
	}
	return printReport(report, *asJSON, stdout, stderr)
}

// mixed parses flags before and behind the URL.
func mixed(flags *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, flags.Arg(0)), flags.Args()[1:]
	}
}

func headerFlag(h http.Header) func(string) error {
	return func(s string) error {
		name, value, ok := strings.Cut(s, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return errors.New("allowed is 'Name: value'")
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		return nil
	}
}

func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it; allowed is PEM with one or more", file)
	}
	return pool, nil
}

// progress prints a line for each step, with the time since the first.
func progress(w io.Writer) func(string) {
	began := time.Now()
	return func(step string) {
		fmt.Fprintf(w, "%6.1fs  %s\n", time.Since(began).Seconds(), step)
	}
}

// printReport prints a report, and returns the exit code.
func printReport(r *diagnosis.Report, asJSON bool, stdout, stderr io.Writer) int {
	if asJSON {
		if err := doctor.WriteJSON(stdout, r); err != nil {
			fmt.Fprintf(stderr, "wsresilience-sidecar: doctor: %v\n", err)
			return exitUsage
		}
	} else {
		doctor.WriteText(stdout, r)
	}
	if len(r.Bad()) > 0 {
		return exitFailed
	}
	return exitOK
}
