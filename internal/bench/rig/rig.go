// Package rig starts the processes of a benchmark: the sidecar and its rivals, the
// app or echo server behind them, and pods that share a journal.
package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/program"
)

// readyLimit is when a start counts as failed.
const readyLimit = 30 * time.Second

const (
	// SettleFresh lets a process finish its start before it is weighed.
	SettleFresh = 2 * time.Second

	// SettleIdle is beyond the first heartbeat of every session (5 s), so
	// that what a heartbeat allocates is in the sum.
	SettleIdle = 8 * time.Second

	// SettleQuick caps both in a quick run.
	SettleQuick = time.Second
)

// A Rig starts the processes of a run.
type Rig struct {
	proc.Starter // its Dir is scratch, removed at the end

	Ctx     context.Context
	Sidecar string // the sidecar's binary; empty with -self
	Nginx   string // empty if it is not installed
	Haproxy string // only of the comparison

	// TLS is what proxies that are started show to clients; the zero value is none.
	TLS TLS

	// Patience caps how long a process may settle before it is weighed.
	Patience time.Duration
}

// NewRig makes a rig with a scratch folder; Close removes it.
func NewRig(ctx context.Context) (*Rig, error) {
	dir, err := os.MkdirTemp("", "wsr-bench-")
	if err != nil {
		return nil, err
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "" // optional, and said so in the output
	}
	return &Rig{Starter: proc.Starter{Dir: dir}, Ctx: ctx, Nginx: nginx, Patience: SettleIdle}, nil
}

// Close removes the scratch folder.
func (r *Rig) Close() { _ = os.RemoveAll(r.Dir) }

// Scratch makes a folder for one process.
func (r *Rig) Scratch(name string) (string, error) { return os.MkdirTemp(r.Dir, name+"-") }

// StartRole runs this program again in a role, see Roles. It returns the
// address that the role listens on.
func (r *Rig) StartRole(role string, args ...string) (*proc.Process, string, error) {
	cmd, err := proc.InRole(role, args...)
	if err != nil {
		return nil, "", err
	}
	addr := make(chan string, 1)
	cmd.Stdout = proc.Lines(func(line string) {
		select {
		case addr <- line:
		default:
		}
	})
	p, err := r.Start(role, cmd)
	if err != nil {
		return nil, "", err
	}
	select {
	case a := <-addr:
		return p, a, nil
	case <-p.Over():
		return nil, "", p.Failure("said no address")
	}
}

// AwaitListener waits until the process listens at addr. If it does not, it is
// stopped.
func (r *Rig) AwaitListener(p *proc.Process, addr string) error {
	err := proc.Until(r.Ctx, readyLimit, ReadyPoll, func() bool { return p.Ended() || listens(addr) })
	switch {
	case p.Ended():
		return p.Failure(fmt.Sprint("ended at its start: ", p.Err()))
	case err != nil:
		Stop(p)
		return p.Failure("does not listen: " + err.Error())
	}
	return nil
}

// listens is quicker than proc.Listens to see that nothing listens.
func listens(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	return err == nil && conn.Close() == nil
}

// Stop ends a process as an operator does. How it ends does not matter any
// more: what was to be measured is.
func Stop(p *proc.Process) { _ = p.Terminate(proc.Grace) }

// BuildSidecar builds the command into the scratch folder.
func (r *Rig) BuildSidecar() error {
	r.Sidecar = filepath.Join(r.Dir, lab.SidecarName)
	return program.Build(r.Ctx, lab.SidecarName, r.Sidecar)
}

// Settle lets what was started come to rest, for at most the run's patience.
func (r *Rig) Settle(d time.Duration) error {
	select {
	case <-time.After(min(d, r.Patience)):
		return nil
	case <-r.Ctx.Done():
		return r.Ctx.Err()
	}
}

// RequireProxies wants nginx and HAProxy.
func (r *Rig) RequireProxies() error {
	haproxy, err := exec.LookPath("haproxy")
	if r.Haproxy = haproxy; err != nil || r.Nginx == "" {
		return errors.New("rig: nginx and haproxy are needed to compare with: apt-get install nginx-light haproxy")
	}
	return nil
}
