package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const sidecarPackage = "github.com/wsresilience/wsresilience/cmd/wsresilience-sidecar"

// A lab is what the scenarios of a run share.
type lab struct {
	o       *options
	dir     string // of logs, records and journals
	self    string // this program, for the roles
	sidecar string // the binary
	knows   string // its help text, which lists its settings
	started int    // processes
	hosts   int    // addresses given out
	apps    int    // numbers given out
}

func newLab(ctx context.Context, o *options) (*lab, error) {
	l := &lab{o: o, sidecar: o.sidecar}
	var err error
	if l.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if l.dir, err = os.MkdirTemp("", "wsr-chaos-"); err != nil {
		return nil, err
	}
	if l.sidecar == "" {
		l.sidecar = filepath.Join(l.dir, "wsresilience-sidecar")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", l.sidecar, sidecarPackage).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("chaos: build %s: %w\n%s", sidecarPackage, err, out)
		}
	}
	help, err := exec.CommandContext(ctx, l.sidecar, "help").Output()
	if err != nil {
		return nil, fmt.Errorf("chaos: %s help: %w", l.sidecar, err)
	}
	l.knows = string(help)
	return l, nil
}

// host returns a loopback address that nothing of this run has used, as a
// new pod's is. The second number keeps runs side by side apart.
func (l *lab) host() string {
	const perNet = 250
	l.hosts++
	return fmt.Sprintf("127.%d.%d.%d", 1+os.Getpid()%perNet, l.hosts/perNet, 1+l.hosts%perNet)
}

// play runs one scenario on a stage of its own.
func (l *lab) play(ctx context.Context, sc *scenario) *result {
	r := &result{Scenario: sc.name, Resets: map[string]int{}, Adopted: map[string]int{}}
	s, err := newStage(ctx, l, sc)
	if err == nil {
		watch := startWatch()
		began := time.Now()
		if err = s.perform(ctx, sc); err == nil {
			err = s.judge(r)
		}
		r.Seconds = time.Since(began).Seconds()
		r.Late, r.Busy = watch.stop()
	}
	if s != nil {
		r.Faults, r.Notes = append(r.Faults, s.faults...), append(r.Notes, s.notes...)
		s.weigh(r)
		s.close()
	}
	if err != nil {
		r.fault("%v", err)
	}
	r.conclude(sc)
	return r
}

// environ drops the settings that this binary does not know, so that the
// harness also runs against an older or a newer one.
func (l *lab) environ(settings ...string) []string {
	var known []string
	for _, s := range settings {
		if name, _, _ := strings.Cut(s, "="); strings.Contains(l.knows, name) {
			known = append(known, s)
		}
	}
	return known
}

// reachable tells whether somebody listens.
func reachable(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
