package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// stopGrace is what a process gets between SIGTERM and SIGKILL: more than a
// drain takes.
const stopGrace = 30 * time.Second

// A child is a running process. Its standard input ends with this program.
type child struct {
	name  string
	log   string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	over  chan struct{} // closed when the process ended
	err   error         // of Wait, valid once over is closed
}

// start runs a command with its log in a file of its own.
func (l *lab) start(name string, cmd *exec.Cmd) (*child, error) {
	l.started++
	path := filepath.Join(l.dir, fmt.Sprintf("%03d-%s.log", l.started, name))
	log, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	mortal(cmd)
	c := &child{name: name, log: path, cmd: cmd, over: make(chan struct{})}
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("chaos: start %s: %w", name, err)
	}
	go func() {
		c.err = cmd.Wait()
		close(c.over)
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// ended tells whether the process is gone.
func (c *child) ended() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

// kill is kill -9, and returns when the process is gone.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.over
}

// terminate is SIGTERM, and tells whether the process ended well and in time.
func (c *child) terminate() error {
	_ = c.cmd.Process.Signal(sigterm)
	select {
	case <-c.over:
	case <-time.After(stopGrace):
		c.kill()
		return fmt.Errorf("chaos: %s: did not end within %v of SIGTERM, see %s", c.name, stopGrace, c.log)
	}
	if c.err != nil {
		return fmt.Errorf("chaos: %s: after SIGTERM: %w, see %s", c.name, c.err, c.log)
	}
	return nil
}
