package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/program"
)

// readyLimit is when a start counts as failed.
const readyLimit = 30 * time.Second

// A rig starts the processes of a run.
type rig struct {
	proc.Starter // its Dir is scratch, removed at the end

	ctx     context.Context
	sidecar string // the sidecar's binary; empty with -self
	nginx   string // empty if it is not installed
	haproxy string // only of the comparison

	// patience caps how long a process may settle before it is weighed.
	patience time.Duration
}

// scratch makes a folder for one process.
func (r *rig) scratch(name string) (string, error) { return os.MkdirTemp(r.Dir, name+"-") }

// startRole runs this program again in a role, see roles. It returns the
// address that the role listens on.
func (r *rig) startRole(role string, args ...string) (*proc.Process, string, error) {
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

// awaitListener waits until the process listens at addr. If it does not, it is
// stopped.
func (r *rig) awaitListener(p *proc.Process, addr string) error {
	err := proc.Until(r.ctx, readyLimit, readyPoll, func() bool { return p.Ended() || listens(addr) })
	switch {
	case p.Ended():
		return p.Failure(fmt.Sprint("ended at its start: ", p.Err()))
	case err != nil:
		stop(p)
		return p.Failure("does not listen: " + err.Error())
	}
	return nil
}

// listens is quicker than proc.Listens to see that nobody does.
func listens(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	return err == nil && conn.Close() == nil
}

// stop ends a process as an operator does. How it ends does not matter any
// more: what was to be measured is.
func stop(p *proc.Process) { _ = p.Terminate(proc.Grace) }

// buildSidecar builds the command into the scratch folder.
func (r *rig) buildSidecar() error {
	r.sidecar = filepath.Join(r.Dir, lab.SidecarName)
	return program.Build(r.ctx, lab.SidecarName, r.sidecar)
}
