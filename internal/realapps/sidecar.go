package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"
)

// A stock is an app by the names of its scripts, with what an operator would
// set for it.
type stock struct {
	preset string // WSR_APP_PROTOCOL
	rules  string // WSR_SNAPSHOT_RULES, for what the app itself invented
}

var stocks = map[string]stock{
	"graphql": {preset: "graphql-transport-ws"},
	// Rooms are the app's own: which of its events join and leave them, no
	// preset can know.
	"socketio": {preset: "socket.io", rules: `{"rules": [{
		"path": "/socket.io/",
		"select": {"regexp": "^42\\[\"subscribe\",\"(\\w+)\"\\]$"},
		"drop": {"regexp": "^42\\[\"unsubscribe\",\"(\\w+)\"\\]$"}
	}]}`},
	"mqtt": {preset: "mqtt"},
}

// startSidecar runs the real command in front of an app and returns its
// address once it is ready. Heartbeats are frequent, so that a cut is found
// in a second and a story stays short; the rest is at its default.
func (r *rig) startSidecar(s stock, upstream, story string) (*process, string, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	admin, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(r.ctx, r.sidecar)
	cmd.Env = []string{
		"WSR_UPSTREAM=http://" + upstream, "WSR_LISTEN=" + addr, "WSR_ADMIN_LISTEN=" + admin,
		"WSR_DATA_DIR=" + filepath.Join(r.dir, story), "WSR_APP_PROTOCOL=" + s.preset, "WSR_UPSTREAM_RETRY=30s",
		"WSR_HEARTBEAT_BASE=200ms", "WSR_HEARTBEAT_MIN=100ms", "WSR_HEARTBEAT_MAX=500ms", "WSR_LOG_LEVEL=debug",
	}
	if s.rules != "" {
		cmd.Env = append(cmd.Env, "WSR_SNAPSHOT_RULES="+s.rules)
	}
	cmd.Stderr = new(bytes.Buffer)
	p, err := start(cmd)
	if err != nil {
		return nil, "", err
	}
	go p.wait()
	probe := http.Client{Timeout: time.Second}
	if err := r.until(readyLimit, "the sidecar is ready", func() bool {
		answer, err := probe.Get("http://" + admin + "/readyz")
		if err != nil {
			return p.ended()
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}); err != nil || p.ended() {
		_ = p.cmd.Process.Kill()
		<-p.over
		return nil, "", fmt.Errorf("realapps: the sidecar did not start: %w\n%s", errors.Join(err, p.err), p.log())
	}
	return p, addr, nil
}

// ended tells whether the process is over.
func (p *process) ended() bool {
	select {
	case <-p.over:
		return true
	default:
		return false
	}
}
