package rehearse

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/rehearse/plan"
	"github.com/wsresilience/wsresilience/internal/rehearse/profile"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string { return strings.Join(*l, ", ") }

func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// options are the flags.
type options struct {
	profile             string
	echo                bool
	plain, resilient    int
	think, ramp         time.Duration
	faults              string
	baseline, after     time.Duration
	settle              time.Duration
	seed                uint64
	objectives, metrics list
	traces              string
	out, against, title string
	insecure            bool
	ca                  string
	target              string
}

const unset = -1

func parse(args []string, stdout io.Writer) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("rehearse", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.BoolVar(&o.echo, "echo", false, "the app answers each message with itself")
	f.StringVar(&o.profile, "profile", "", "`file` that says what clients send and what is the answer")
	f.IntVar(&o.plain, "plain", unset, "`number` of plain clients; -1: as the profile says, or 50")
	f.IntVar(&o.resilient, "resilient", unset, "`number` of resilient clients; -1: as the profile says, or 50")
	f.DurationVar(&o.think, "think", 0, "`time` between two messages of a client; 0: as the profile says, or 1s")
	f.DurationVar(&o.ramp, "ramp", 0, "`time` over which clients come; 0: as the profile says, or 5s")
	f.StringVar(&o.faults, "faults", "default", "`file` of what is broken when; default: 95 s of everything; none: only the load")
	f.DurationVar(&o.baseline, "baseline", 15*time.Second, "`time` before the first fault")
	f.DurationVar(&o.after, "after", 15*time.Second, "`time` after the last one")
	f.DurationVar(&o.settle, "settle", 30*time.Second, "`time` that what is under way may take at the end")
	f.Uint64Var(&o.seed, "seed", 0, "`number` that a run can be repeated by; 0: another one each time")
	f.Var(&o.objectives, "objective", "what must be kept, such as lost<=0, retention>=99%, p99<=900ms; may be given more than once, and replaces the profile's. Default: "+strings.Join(tally.Defaults, " ")+". Names: "+tally.Names())
	f.Var(&o.metrics, "metrics", "`URL` of metrics (Prometheus), whose slowest times the report names; may be given more than once")
	f.StringVar(&o.traces, "traces", "", "`address` to listen at for traces (OTLP over HTTP), such as :4318, whose slowest spans the report names: set OTEL_EXPORTER_OTLP_ENDPOINT of sidecars and apps to it")
	f.StringVar(&o.out, "out", "", "`folder` of the report; default rehearsal-DATE-TIME here")
	f.StringVar(&o.against, "against", "", "`folder` of the report of a former run, to compare with")
	f.StringVar(&o.title, "title", "", "of the report")
	f.BoolVar(&o.insecure, "insecure", false, "take any certificate of the server")
	f.StringVar(&o.ca, "ca", "", "`file` of certificates (PEM) to check the server's against")
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		f.SetOutput(stdout)
		f.PrintDefaults()
		return o, err
	}
	if err == nil && f.NArg() != 1 {
		err = fmt.Errorf("%q: want one URL, behind the flags", f.Args())
	}
	o.target = f.Arg(0)
	return o, err
}

// spec makes a rehearsal of the flags.
func (o *options) spec(args []string) (*Spec, error) {
	s := &Spec{
		Title: o.title, Command: "wsresilience-sidecar rehearse " + quoted(args), Seed: o.seed,
		Baseline: o.baseline, After: o.after, Settle: o.settle, Metrics: o.metrics, Traces: o.traces,
	}
	for _, d := range []struct {
		name string
		is   time.Duration
	}{{"think", o.think}, {"ramp", o.ramp}, {"baseline", o.baseline}, {"after", o.after}, {"settle", o.settle}} {
		if d.is < 0 {
			return nil, fmt.Errorf("-%s %v: less than no time", d.name, d.is)
		}
	}
	var err error
	if s.Target, err = parseTarget(o.target); err != nil {
		return nil, err
	}
	if s.Profile, err = o.load(); err != nil {
		return nil, err
	}
	if s.Faults, err = plan.Load(o.faults); err != nil {
		return nil, err
	}
	if s.Objectives, err = objectives(o.objectives, s.Profile.Objectives); err != nil {
		return nil, err
	}
	if s.TLS, err = o.tls(); err != nil {
		return nil, err
	}
	if s.Title == "" {
		s.Title = "Rehearsal of " + s.Target.Host
	}
	if s.Seed == 0 {
		s.Seed = rand.Uint64N(1e9) + 1
		s.Command = strings.Replace(s.Command, "rehearse ", fmt.Sprintf("rehearse -seed %d ", s.Seed), 1)
	}
	return s, nil
}

// parseTarget reads the URL; one of HTTP is meant for a WebSocket.
func parseTarget(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q: want a URL such as wss://example.com/chat", text)
	}
	switch u.Scheme {
	case "http", "https":
		u.Scheme = "ws" + strings.TrimPrefix(u.Scheme, "http")
	case "ws", "wss":
	default:
		return nil, fmt.Errorf("%q: want a URL that begins with ws:// or wss://", text)
	}
	return u, nil
}

// load returns the profile, with what the flags say of it.
func (o *options) load() (*profile.Profile, error) {
	var p *profile.Profile
	var err error
	switch {
	case o.echo == (o.profile != ""):
		return nil, errors.New("want either -echo or -profile FILE: what does the app answer?")
	case o.echo:
		p = profile.Echo()
	default:
		if p, err = profile.Load(o.profile); err != nil {
			return nil, err
		}
		if p.Name == "" {
			p.Name = filepath.Base(o.profile)
		}
	}
	if o.plain != unset {
		p.Plain = o.plain
	}
	if o.resilient != unset {
		p.Resilient = o.resilient
	}
	if o.think != 0 {
		p.Think = profile.Duration(o.think)
		p.Patience = max(p.Patience, 3*p.Think)
	}
	if o.ramp != 0 {
		p.Ramp = profile.Duration(o.ramp)
	}
	return p, p.Check()
}

// objectives takes those of the flags, or else the profile's, or the defaults.
func objectives(flags, profiled []string) ([]tally.Objective, error) {
	texts := flags
	if len(texts) == 0 {
		texts = profiled
	}
	if len(texts) == 0 {
		texts = tally.Defaults
	}
	return tally.ParseObjectives(texts)
}

func (o *options) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.insecure} //nolint:gosec // the user asked for it
	if o.ca == "" {
		return t, nil
	}
	pem, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, fmt.Errorf("-ca: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("-ca %s: no certificate in it", o.ca)
	}
	return t, nil
}

// quoted is a command line that a shell reads as these arguments. What a URL
// brings beside its path may be secret.
func quoted(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		if u, err := url.Parse(a); err == nil && u.Host != "" {
			a = shown(u)
		}
		words[i] = a
		if strings.ContainsAny(a, " <>|&;$'\"*?()") {
			words[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}
