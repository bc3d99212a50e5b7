// Package proc runs the processes of an experiment: it starts them, keeps what
// they write, and ends them as operators and crashes do.
package proc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Grace is what a process gets between SIGTERM and SIGKILL unless its test says
// otherwise: more than a drain takes.
const Grace = 30 * time.Second

// A Starter starts processes with the log of each in a file of its own. It is
// safe for concurrent use.
type Starter struct {
	Dir     string // of the logs; "": the end of each log is kept in memory
	started atomic.Int32
}

// A Process is a running one. It dies with this program, however that ends,
// and its standard input is closed then. It is safe for concurrent use.
type Process struct {
	Name string

	cmd  *exec.Cmd
	log  string // file; "": tail
	tail tail
	over chan struct{} // closed when the process ended
	err  error         // of Wait, valid once over is closed

	mu    sync.Mutex // makes of each Tell one line
	stdin io.WriteCloser
}

// Start runs a command. What it writes is its log, unless cmd takes it
// somewhere else. Unless cmd brings an environment it gets none: the caller's
// settings would bend what is measured.
func (s *Starter) Start(name string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{Name: name, cmd: cmd, over: make(chan struct{})}
	var log io.Writer = &p.tail
	if s.Dir != "" {
		p.log = filepath.Join(s.Dir, fmt.Sprintf("%03d-%s.log", s.started.Add(1), name))
		f, err := os.Create(p.log)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		log = f
	}
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = log
	}
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	bind(cmd)
	cmd.WaitDelay = time.Second // what it started may hold its output open
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("proc: start %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.over)
	}()
	return p, nil
}

// Pid returns the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Over is closed when the process has ended and all that it wrote was taken.
func (p *Process) Over() <-chan struct{} { return p.over }

// Ended reports whether the process is gone.
func (p *Process) Ended() bool {
	select {
	case <-p.over:
		return true
	default:
		return false
	}
}

// Err returns how the process ended. It waits for that.
func (p *Process) Err() error {
	<-p.over
	return p.err
}

// Tell writes a line to its standard input. One that is gone does not read it.
func (p *Process) Tell(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.stdin, line+"\n")
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Kill is kill -9 of the process and what it started, and returns when it is
// gone. One that has ended is left alone: its number may be another's by now.
func (p *Process) Kill() {
	if !p.Ended() {
		kill(p.cmd)
	}
	<-p.over
}

// Terminate is SIGTERM, with SIGKILL after grace. It returns when the process
// is gone; the error says that it did not end well or in time.
func (p *Process) Terminate(grace time.Duration) error {
	_ = p.Signal(sigterm)
	limit := time.NewTimer(grace)
	defer limit.Stop()
	select {
	case <-p.over:
	case <-limit.C:
		p.Kill()
		return p.Failure(fmt.Sprintf("did not end within %v of SIGTERM", grace))
	}
	if p.err != nil {
		return p.Failure(fmt.Sprintf("after SIGTERM: %v", p.err))
	}
	return nil
}

// Pause stops the process as a suspended machine does; Resume lets it go on.
func (p *Process) Pause() error  { return p.Signal(sigstop) }
func (p *Process) Resume() error { return p.Signal(sigcont) }

// tailBytes bounds what is kept of a log in memory and shown of one.
const tailBytes = 16 << 10

// Log returns the end of the log.
func (p *Process) Log() string {
	if p.log == "" {
		return p.tail.String()
	}
	b, _ := os.ReadFile(p.log) // it was there
	return string(b[max(0, len(b)-tailBytes):])
}

// Failure describes why a process is of no use, with the end of its log or
// where that is.
func (p *Process) Failure(why string) error {
	if p.log != "" {
		return fmt.Errorf("proc: %s: %s; its log is %s and ends:\n%s", p.Name, why, p.log, p.Log())
	}
	return fmt.Errorf("proc: %s: %s; its log ends:\n%s", p.Name, why, p.Log())
}

// WaitReady asks url until the answer is 200, and returns how long that took
// since began. It fails when the process ends first or limit is over. ask is
// the pause between two questions, and bounds the error of the time.
func (p *Process) WaitReady(ctx context.Context, began time.Time, url string, ask, limit time.Duration) (time.Duration, error) {
	err := Until(ctx, limit, ask, func() bool { return p.Ended() || Answers(ctx, url) })
	took := time.Since(began)
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case p.Ended():
		return 0, p.Failure(fmt.Sprint("ended at its start: ", p.err))
	case err != nil:
		return 0, p.Failure("is not ready: " + err.Error())
	}
	return took, nil
}

// answerLimit is what one answer may take.
const answerLimit = 500 * time.Millisecond

var asker = http.Client{Timeout: answerLimit, Transport: &http.Transport{DisableKeepAlives: true}}

// Answers reports whether a GET of url is answered with 200.
func Answers(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	answer, err := asker.Do(r)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// Listens reports whether addr accepts connections.
func Listens(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// Until looks every pace whether done is true, for at most limit.
func Until(ctx context.Context, limit, pace time.Duration, done func() bool) error {
	for deadline := time.Now().Add(limit); !done(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v", limit)
		}
		if err := Sleep(ctx, pace); err != nil {
			return err
		}
	}
	return nil
}

// Sleep returns after d, or with its error when ctx ends.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// FreeAddrs returns so many loopback addresses that are free now.
func FreeAddrs(n int) ([]string, error) {
	var free []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that they differ
		free = append(free, l.Addr().String())
	}
	return free, nil
}

// Lines returns a writer that hands each whole line on.
func Lines(take func(line string)) io.Writer { return &lines{take: take} }

type lines struct {
	take func(string)
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte{'\n'})
		if !ok {
			l.rest = l.rest[max(0, len(l.rest)-tailBytes):] // what has no end is no line
			return len(p), nil
		}
		l.take(string(line))
		l.rest = append(l.rest[:0], rest...)
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	end []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, p...)
	if over := len(t.end) - tailBytes; over > 0 {
		t.end = append(t.end[:0], t.end[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.end)
}
