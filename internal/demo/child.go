package demo

import (
	"bufio"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// A child is a process of the sidecar's program: what is killed in the demo is
// killed as it would be anywhere else. It dies with the demo.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	over  chan struct{} // closed when it has ended and all that it said was taken
}

// startChild runs the sidecar's program. Each line that it writes is handed on.
func startChild(program string, args, environ []string, stdout, stderr func(line string)) (*child, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = append([]string{}, environ...) // nil would be ours, with its WSR_ settings
	bindToDemo(cmd)
	c := &child{cmd: cmd, over: make(chan struct{})}
	var err error
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var readers sync.WaitGroup
	readers.Go(func() { eachLine(out, stdout) })
	readers.Go(func() { eachLine(errs, stderr) })
	go func() {
		readers.Wait()
		_ = cmd.Wait() // how it ended is seen by what it did not do
		close(c.over)
	}()
	return c, nil
}

func eachLine(r io.Reader, take func(string)) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		take(lines.Text())
	}
	_, _ = io.Copy(io.Discard, r) // after a line that is too long
}

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
	_ = c.stdin.Close()
	<-c.over
}

// stop is SIGTERM, and kill when that does not help in time.
func (c *child) stop(limit time.Duration) {
	if c.cmd.Process.Signal(syscall.SIGTERM) == nil {
		t := time.NewTimer(limit)
		defer t.Stop()
		select {
		case <-c.over:
		case <-t.C:
		}
	}
	c.kill()
}
