package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wsresilience/wsresilience/internal/bench/rig"
)

// idleSessions are weighed at once.
const idleSessions = 9000

// compareOptions are the flags of the comparison.
type compareOptions struct {
	only     string
	quick    bool
	rounds   int
	out      string
	sidecars []string // binaries; the first has the rows that goals are judged by
	rivals   string
	loads    string
	also     []string
}

// compareParts are the names for -only.
var compareParts = []string{"cpu", "open", "away", "resume", "latency", "lateness", "idle", "profile"}

func parseComparison(args []string, out io.Writer) (compareOptions, error) {
	var o compareOptions
	f := flag.NewFlagSet("bench proxy", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&o.only, "only", "", "comma-separated parts of "+strings.Join(compareParts, ",")+"; empty: all")
	f.BoolVar(&o.quick, "quick", false, "a short run, to try it; not for numbers")
	f.IntVar(&o.rounds, "rounds", 0, "interleaved rounds; 0: 5, or 2 if quick")
	f.StringVar(&o.out, "out", "docs/benchmarks", "folder of the page and the plot; empty: only print")
	f.Func("sidecar", "sidecar binary; may be given several times, to have them side by side; none: build it", func(path string) error {
		if path == "" {
			return errors.New("a path is missing")
		}
		o.sidecars = append(o.sidecars, path)
		return nil
	})
	f.StringVar(&o.rivals, "rivals", "", "parts of the names of rivals, separated by semicolons, such as \"resilient\"; nginx is always among them; empty: all")
	f.StringVar(&o.loads, "loads", "", "parts of the names of workloads of the part cpu, separated by semicolons, such as \"fan-out\"; empty: all")
	f.Func("also", "command of another forwarder, for the echo and flood workloads: the last two of its arguments will be its address and the app's; may be given several times", func(command string) error {
		if len(strings.Fields(command)) == 0 {
			return errors.New("a command is missing")
		}
		o.also = append(o.also, command)
		return nil
	})
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("bench: argument %q: only flags are known", f.Arg(0))
	}
	if o.rounds < 0 {
		return o, errors.New("bench: -rounds must not be negative")
	}
	if o.rounds == 0 {
		o.rounds = 5
		if o.quick {
			o.rounds = 2
		}
	}
	for name := range strings.SplitSeq(o.only, ",") {
		if o.only != "" && !slices.Contains(compareParts, name) {
			return o, fmt.Errorf("bench: -only %s: the parts are %s", name, strings.Join(compareParts, ","))
		}
	}
	return o, nil
}

// named reports whether a name has one of the parts in it, which semicolons separate. No part
// is in every name.
func named(name, parts string) bool {
	if parts == "" {
		return true
	}
	for part := range strings.SplitSeq(parts, ";") {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

func (o *compareOptions) wants(name string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), name)
}

// compare runs the comparison with other proxies, writes its page, and
// returns the exit code.
func compare(ctx context.Context, args []string) (int, error) {
	o, err := parseComparison(args, os.Stderr)
	if err != nil {
		return 0, err
	}
	if err := raiseDescriptors(descriptorRoom); err != nil {
		return 0, err
	}
	r, err := rig.NewRig(ctx)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if err := r.RequireProxies(); err != nil {
		return 0, err
	}
	if len(o.sidecars) == 0 {
		if err := r.BuildSidecar(); err != nil {
			return 0, err
		}
		o.sidecars = []string{r.Sidecar}
	}
	r.Sidecar = o.sidecars[0]
	pg := newPage(r, args, &o)
	if err := contend(r, pg, &o); err != nil {
		return 0, err
	}
	fmt.Print(pg.markdown())
	if slices.ContainsFunc(pg.goals, func(g goal) bool { return !g.reached }) {
		return 1, nil
	}
	return 0, nil
}

// write keeps what is known so far.
func (pg *page) write(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if len(pg.panels) > 0 {
		if err := os.WriteFile(filepath.Join(dir, plotFile), []byte(pg.plot()), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, pageFile), []byte(pg.markdown()), 0o644)
}

// contend runs the parts in order, and writes the page after each: a run takes
// long enough to be interrupted.
func contend(r *rig.Rig, pg *page, o *compareOptions) error {
	steps := []struct {
		name string
		run  func(*rig.Rig, *page, *compareOptions) error
	}{
		{"cpu", compareCPU},
		{"open", compareOpening},
		{"away", compareAway},
		{"resume", compareResume},
		{"latency", compareLatency},
		{"lateness", compareLateness},
		{"idle", compareIdle},
		{"profile", compareProfile},
	}
	for _, step := range steps {
		if !o.wants(step.name) {
			continue
		}
		if err := step.run(r, pg, o); err != nil {
			return err
		}
		if err := pg.write(o.out); err != nil {
			return err
		}
	}
	return nil
}

func compareCPU(r *rig.Rig, pg *page, o *compareOptions) error {
	list := o.contestants()
	for _, command := range o.also {
		list = append(list, another(strings.Fields(command)))
	}
	for _, c := range workloads(o) {
		if !named(c.name, o.loads) {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench:", c.name)
		scores, err := runWorkload(r, &c, list)
		if err != nil {
			return err
		}
		pg.addWorkload(&c, scores)
		if err := pg.write(o.out); err != nil {
			return err
		}
	}
	return nil
}
