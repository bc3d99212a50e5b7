package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// stopLimit is what a process gets after SIGTERM.
const stopLimit = 5 * time.Second

// A line is what a script says. Each has one meaning, see the scripts.
type line struct {
	Ready   bool           `json:"ready"`
	Gone    string         `json:"gone"`   // server: a client is gone
	Topics  map[string]int `json:"topics"` // server: subscribers by topic
	Topic   string         `json:"topic"`  // client: event n of the topic
	N       int            `json:"n"`
	Reply   string         `json:"reply"`   // client: a request was answered
	Noticed string         `json:"noticed"` // client: the library told of trouble
	Detail  string         `json:"detail"`
	Failed  string         `json:"failed"` // a command failed
}

// A process is a running one. Its methods are safe for concurrent use.
type process struct {
	cmd  *exec.Cmd
	over chan struct{} // closed when it ended
	err  error         // of Wait, valid once over is closed

	mu sync.Mutex
	in io.WriteCloser // nil for a process that takes no commands
}

// start runs a command and keeps its standard error in a buffer. Whoever calls
// it has to call wait.
func start(cmd *exec.Cmd) (*process, error) {
	ownGroup(cmd)
	if cmd.Stderr == nil {
		cmd.Stderr = new(bytes.Buffer)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("realapps: start %s: %w", cmd.Path, err)
	}
	return &process{cmd: cmd, over: make(chan struct{})}, nil
}

// wait reaps the process, once nothing more is read from it.
func (p *process) wait() {
	p.err = p.cmd.Wait()
	close(p.over)
}

// script starts a script with its settings, and hands its lines to take, one
// after the other.
func (r *rig) script(name string, settings map[string]any, take func(line)) (*process, error) {
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(r.ctx, "node", filepath.Join(r.js, name), string(text))
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := start(cmd)
	if err != nil {
		return nil, err
	}
	p.in = in
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var l line
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
				l = line{Failed: fmt.Sprintf("%s said %q", name, lines.Bytes())}
			}
			take(l)
		}
		p.wait()
	}()
	return p, nil
}

// tell gives a command. One that is gone does not hear it.
func (p *process) tell(name string, args map[string]any) {
	text, err := json.Marshal(merged(args, "do", name))
	if err != nil {
		panic(err) // strings and numbers only
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.in.Write(append(text, '\n'))
}

func merged(args map[string]any, key string, value any) map[string]any {
	all := map[string]any{key: value}
	for k, v := range args {
		all[k] = v
	}
	return all
}

// stop sends a signal and returns when the process is gone.
func (p *process) stop(s os.Signal) {
	_ = p.cmd.Process.Signal(s)
	select {
	case <-p.over:
	case <-time.After(stopLimit):
		_ = p.cmd.Process.Kill()
		<-p.over
	}
}

// log is what the process wrote to standard error. It must be over.
func (p *process) log() string {
	b, ok := p.cmd.Stderr.(*bytes.Buffer)
	if !ok {
		return ""
	}
	return b.String()
}
