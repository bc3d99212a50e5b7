package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
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

// A script is a running one. It is safe for concurrent use.
type script struct{ *proc.Process }

// script starts a script with its settings, and hands its lines to take, one
// after the other.
func (r *runner) script(name string, settings map[string]any, take func(line)) (script, error) {
	text, err := json.Marshal(settings)
	if err != nil {
		return script{}, err
	}
	cmd := exec.Command("node", filepath.Join(r.js, name), string(text))
	cmd.Env = cmd.Environ()
	cmd.Stdout = proc.Lines(func(text string) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			l = line{Failed: fmt.Sprintf("%s said %q", name, text)}
		}
		take(l)
	})
	p, err := r.Start(name, cmd)
	return script{p}, err
}

// tell gives a command. One that is gone does not hear it.
func (s script) tell(name string, args map[string]any) {
	text, err := json.Marshal(merged(args, "do", name))
	if err != nil {
		panic(err) // strings and numbers only
	}
	s.Tell(string(text))
}

func merged(args map[string]any, key string, value any) map[string]any {
	all := map[string]any{key: value}
	for k, v := range args {
		all[k] = v
	}
	return all
}
