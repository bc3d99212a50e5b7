package main

import (
	"path/filepath"

	"github.com/wsresilience/wsresilience/internal/lab"
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
	"mqtt":   {preset: "mqtt"},
	"single": {}, // one connection per user, of which no preset knows
}

// startSidecar runs the real command in front of an app, and returns when it
// is ready. Heartbeats are frequent, so that a cut is found in a second and a
// scenario stays short; the rest is at its default.
func (r *runner) startSidecar(s stock, upstream, scenario string) (*lab.Sidecar, error) {
	side, err := lab.NewSidecar("")
	if err != nil {
		return nil, err
	}
	side.Program, side.Upstream = r.sidecar, "http://"+upstream
	side.Settings = []string{
		"WSR_DATA_DIR=" + filepath.Join(r.dir, scenario), "WSR_UPSTREAM_RETRY=30s",
		"WSR_HEARTBEAT_BASE=200ms", "WSR_HEARTBEAT_MIN=100ms", "WSR_HEARTBEAT_MAX=500ms", "WSR_LOG_LEVEL=debug",
	}
	if s.preset != "" {
		side.Settings = append(side.Settings, "WSR_APP_PROTOCOL="+s.preset)
	}
	if s.rules != "" {
		side.Settings = append(side.Settings, "WSR_SNAPSHOT_RULES="+s.rules)
	}
	return side, side.Start(r.ctx, &r.Starter)
}
