package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopGrace is what a process gets between SIGTERM and SIGKILL: the sidecar's
// own grace for its journal is shorter.
const stopGrace = 15 * time.Second

// logTail bounds what is shown of a failed process's log.
const logTail = 4 << 10

// A rig starts the processes of a run. What it started ends with ctx.
type rig struct {
	ctx     context.Context
	dir     string // scratch, removed at the end
	self    string // this program, for the roles
	sidecar string // the sidecar's binary; empty with -self
	nginx   string // empty if it is not installed
	haproxy string // only of the comparison
	started int

	// patience caps how long a process may settle before it is weighed.
	patience time.Duration
}

// A child is a running process. It is for one goroutine.
type child struct {
	name string
	log  string
	cmd  *exec.Cmd
	over chan struct{} // closed when the process ended
	err  error         // of Wait, valid once over is closed
}

// start runs a command with its log in a file of its own. Unless the command
// brings an environment it gets none: the caller's GOGC or GOMAXPROCS would
// bend what is measured.
func (r *rig) start(name string, cmd *exec.Cmd) (*child, error) {
	r.started++
	path := filepath.Join(r.dir, fmt.Sprintf("%d-%s.log", r.started, name))
	log, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	cmd.Stderr = log
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: start %s: %w", name, err)
	}
	c := &child{name: name, log: path, cmd: cmd, over: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.over)
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop ends the process and returns when it is gone.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.over:
	case <-time.After(stopGrace):
		_ = c.cmd.Process.Kill()
		<-c.over
	}
}

// kill ends the process without a word, as an out-of-memory killer does. It is
// also the quick end of a sidecar that has sessions, which a clean stop moves
// away first.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.over
}

// failure describes why a process is of no use, with the end of its log.
func (c *child) failure(why string) error {
	b, _ := os.ReadFile(c.log)
	if len(b) > logTail {
		b = b[len(b)-logTail:]
	}
	return fmt.Errorf("bench: %s: %s; the end of its log:\n%s", c.name, why, b)
}

// startRole runs this program again in a role, see runRole. It returns the
// address that the role listens on.
func (r *rig) startRole(args ...string) (*child, string, error) {
	cmd := exec.CommandContext(r.ctx, r.self, append([]string{roleArg}, args...)...)
	out, in, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer out.Close()
	cmd.Stdout = in
	c, err := r.start(args[0], cmd)
	in.Close()
	if err != nil {
		return nil, "", err
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		c.stop()
		return nil, "", c.failure(fmt.Sprint("said no address: ", err))
	}
	return c, strings.TrimSpace(addr), nil
}

// buildSidecar builds the command into the scratch folder.
func (r *rig) buildSidecar(out io.Writer) error {
	r.sidecar = filepath.Join(r.dir, "wsresilience-sidecar")
	cmd := exec.CommandContext(r.ctx, "go", "build", "-o", r.sidecar, sidecarPackage)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("bench: build %s: %w", sidecarPackage, err)
	}
	return nil
}
