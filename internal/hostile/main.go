// Hostile runs a party that tries all it can against sidecars as processes of
// their own, while innocent clients talk through them: these must notice nothing,
// and what the sidecars hold must be given back. It needs Linux.
//
//	go run ./internal/hostile [-for 10m] [-sidecar file] [party ...]
//	go run ./internal/hostile -half 30000 -detached 10000 -hang 5m storm
//
// The parties are those of the threat model (SECURITY.md); without any, each has its
// turn. It exits 1 when one of them did harm, and 2 when it could not measure.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/hostile/pod"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// minFiles is what the parties have open at once.
const minFiles = 8_000

// A party tries all it can until ctx ends.
type party struct {
	name  string
	about string
	run   func(ctx context.Context, s *stage) error

	peerTLS bool // the sidecars speak mutual TLS with each other

	// turn is all of its turn, of a party with a stage of its own.
	turn func(ctx context.Context, o options) (harm []string, err error)
}

var parties = []party{
	{name: "peer", about: "reaches the port that sidecars reach each other at, records what they say, and has none of the keys", run: peer},
	{name: "peer-tls", about: "the same where sidecars speak mutual TLS; it has certificates of all kinds, once the sidecars' own", run: peer, peerTLS: true},
	{name: "peer-tls-near", about: "the same from the address of a sidecar, as an app in its pod is", run: peerNear, peerTLS: true},
	{name: "tenant", about: "shares NATS with the sidecars, may do everything there, and has none of the keys", run: tenant},
	{name: "client", about: "makes handshakes by the thousand, begins messages and does not end them, reads nothing, floods, resumes", turn: attackPod("client", false)},
	{name: "app", about: "floods, reads nothing, closes, answers what is none, or nothing, to clients that are its accomplices", turn: attackPod("app", false)},
	{name: "client-tls", about: "makes handshakes of TLS that do not end, or says in them what has no end, to a sidecar that speaks TLS", turn: attackTLS},
	{name: "storm", about: "half handshakes, full windows, sessions that come back all at once, while NATS hangs: the flags say how much", turn: storm},
	{name: "client-embedded", about: "the same as client, and the journal is in the sidecar", turn: attackPod("client", true)},
	{name: "app-embedded", about: "the same as app, and the journal is in the sidecar", turn: attackPod("app", true)},
}

func attackPod(attacker string, embedded bool) func(context.Context, options) ([]string, error) {
	return func(ctx context.Context, o options) ([]string, error) {
		return pod.Turn(ctx, pod.Options{Attackers: []string{attacker}, Lasts: o.lasts, Embedded: embedded, Sidecar: o.sidecar})
	}
}

func attackTLS(ctx context.Context, o options) ([]string, error) {
	return pod.Turn(ctx, pod.Options{Attackers: []string{"tls"}, TLS: true, Lasts: o.lasts, Sidecar: o.sidecar})
}

// storm is the whole of what a sidecar of the usual size has to stand.
func storm(ctx context.Context, o options) (harm []string, err error) {
	if err := lab.RaiseFileLimit(uint64(o.sizes.Files())); err != nil {
		return nil, err
	}
	return pod.Storm(ctx, pod.Options{Sidecar: o.sidecar, Fair: true, Out: os.Stdout}, o.sizes)
}

// options are those of all turns.
type options struct {
	lasts   time.Duration
	sizes   pod.Sizes
	sidecar string // the binary; "": it is built
}

func main() {
	roles := pod.Roles()
	roles[intruderRole] = intrude
	proc.RunRole(roles)
	lab.Main(run)
}

func run(ctx context.Context, args []string) (code int, err error) {
	flags := flag.NewFlagSet("hostile", flag.ContinueOnError)
	var o options
	flags.DurationVar(&o.lasts, "for", 10*time.Minute, "how long each party tries")
	flags.IntVar(&o.sizes.HalfOpen, "half", 30_000, "storm: handshakes that stop in the middle")
	flags.IntVar(&o.sizes.Detached, "detached", 10_000, "storm: sessions whose clients are away, and come back all at once")
	flags.DurationVar(&o.sizes.Hang, "hang", 5*time.Minute, "storm: how long NATS hangs")
	flags.StringVar(&o.sidecar, "sidecar", "", "the sidecar's binary (default: it is built)")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: hostile [-for 10m] [-half 30000 -detached 10000 -hang 5m] [-sidecar file] [party ...]")
		flags.PrintDefaults()
		for _, p := range parties {
			fmt.Fprintf(flags.Output(), "  %-16s %s\n", p.name, p.about)
		}
	}
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	for _, name := range flags.Args() {
		if !slices.ContainsFunc(parties, func(p party) bool { return p.name == name }) {
			return 0, fmt.Errorf("hostile: no party %q", name)
		}
	}
	if err := lab.RaiseFileLimit(minFiles); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "hostile-")
	if err != nil {
		return 0, err
	}
	for _, p := range parties {
		if flags.NArg() > 0 && !slices.Contains(flags.Args(), p.name) {
			continue
		}
		harm, err := turn(ctx, dir, p, o)
		if err != nil {
			return 0, fmt.Errorf("hostile: %s: %w; logs are in %s", p.name, err, dir)
		}
		verdict := "nobody noticed"
		if len(harm) > 0 {
			code, verdict = lab.ExitFailed, "HARM: "+strings.Join(harm, "; ")
		}
		fmt.Printf("%s: %s\n", p.name, verdict)
	}
	if code == 0 {
		return 0, os.RemoveAll(dir)
	}
	fmt.Println("logs are in", dir)
	return code, nil
}

// turn is one party's, on a stage of its own.
func turn(ctx context.Context, dir string, p party, o options) (harm []string, err error) {
	if p.turn != nil {
		return p.turn(ctx, o)
	}
	s, err := newStage(ctx, dir, o.sidecar, p.peerTLS)
	defer s.close()
	if err != nil {
		return nil, err
	}
	// The same time without the party says what is usual on this machine.
	before, err := s.measure(ctx, min(o.lasts, maxReference), func(context.Context) error { return nil })
	if err != nil {
		return nil, err
	}
	fmt.Printf("%s: without it: %v\n", p.name, before)
	during, err := s.measure(ctx, o.lasts, func(ctx context.Context) error { return p.run(ctx, s) })
	if err != nil {
		return nil, err
	}
	fmt.Printf("%s: with it: %v\n", p.name, during)
	after, err := s.settled(ctx, before.memory)
	if err != nil {
		return nil, err
	}
	fmt.Printf("%s: afterwards: %d MiB\n", p.name, after>>20)
	return s.harm(before, during, after), nil
}
