package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/program"
)

// A runner runs scenarios, and has what they share.
type runner struct {
	o       *options
	starter proc.Starter // its folder has logs, records and journals
	hosts   lab.Hosts
	sidecar string // the binary
	help    string // its help text, which lists its settings
	apps    int    // numbers given out
}

func newRunner(ctx context.Context, o *options) (*runner, error) {
	b := &runner{o: o, sidecar: o.sidecar}
	var err error
	if b.starter.Dir, err = os.MkdirTemp("", "wsr-chaos-"); err != nil {
		return nil, err
	}
	if b.sidecar == "" {
		b.sidecar = filepath.Join(b.starter.Dir, lab.SidecarName)
		if err := program.Build(ctx, lab.SidecarName, b.sidecar); err != nil {
			return nil, err
		}
	}
	help, err := exec.CommandContext(ctx, b.sidecar, "help").Output()
	if err != nil {
		return nil, fmt.Errorf("chaos: %s help: %w", b.sidecar, err)
	}
	b.help = string(help)
	return b, nil
}

// run runs one scenario on a testbed of its own.
func (b *runner) run(ctx context.Context, sc *scenario) *result {
	r := &result{Scenario: sc.name, Resets: map[string]int{}, Answers: map[string]*answers{}}
	s, err := newTestbed(ctx, b, sc)
	if err == nil {
		watch := lab.StartWatch()
		began := time.Now()
		if err = s.perform(ctx, sc); err == nil {
			err = s.judge(r)
		}
		r.Seconds = time.Since(began).Seconds()
		r.Late, r.Busy = watch.Stop()
	}
	r.Faults, r.Notes = append(r.Faults, s.faults...), append(r.Notes, s.notes...)
	s.addPeaks(r)
	s.close()
	if err != nil {
		r.fault("%v", err)
	}
	r.conclude(sc)
	return r
}

// known drops the settings that this sidecar does not know, so that scenarios
// also run against an older or a newer one.
func (b *runner) known(settings ...string) []string {
	var known []string
	for _, s := range settings {
		if name, _, _ := strings.Cut(s, "="); strings.Contains(b.help, name) {
			known = append(known, s)
		}
	}
	return known
}
