package tidy

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// pure packages decide and compute: no clock, no goroutine, no lock, no I/O.
// The time comes in as an argument, so tests need none.
var pure = []string{
	"seqwindow", "dedupe", "heartbeat", "internal/backoff", "internal/frame", "internal/deflate", "internal/keyring",
	"internal/pathpattern", "internal/appaddr", "internal/jsonpointer", "internal/match", "internal/keepalive", "internal/budget", "internal/otlp",
	"wire", "session", "event", "internal/admission", "internal/drain", "internal/redial", "internal/reauth", "internal/idempotency", "snapshot", "snapshot/presets",
	"snapshot/actioncable", "snapshot/centrifuge", "snapshot/graphql", "snapshot/jupyter", "snapshot/mqtt", "snapshot/phoenix", "snapshot/signalr", "snapshot/socketio", "snapshot/stomp", "snapshot/ywebsocket",
}

// clocks are what package time has beside arithmetic.
var clocks = []string{
	"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Timer", "Ticker",
}

// outside are packages that reach outside the process, or log.
var outside = []string{"context", "log", "log/slog", "math/rand", "net", "net/http", "os", "os/exec", "syscall"}

func TestPurePackages(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if s.test || !slices.Contains(pure, s.dir) {
			continue
		}
		seen[s.dir] = true
		names := s.imports()
		for _, p := range names {
			if slices.Contains(outside, p) {
				t.Errorf("%s imports %s", s.file, p)
			}
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if why := impure(n, names); why != "" {
				t.Errorf("%s: %s", s.line(n), why)
			}
			return true
		})
	}
	for _, p := range pure {
		if exists(p) && !seen[p] {
			t.Errorf("%s exists and was not looked at", p)
		}
	}
}

// impure tells what a node does that a pure package must not.
func impure(n ast.Node, names map[string]string) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "starts a goroutine"
	case *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
		return "uses a channel"
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			return "uses a channel"
		}
	case *ast.SelectorExpr:
		x, ok := n.X.(*ast.Ident)
		if !ok {
			return ""
		}
		switch from, name := names[x.Name], n.Sel.Name; {
		case from == "time" && slices.Contains(clocks, name):
			return "uses time." + name + "; take now as an argument"
		case from == "sync" && name != "Pool":
			// A pool shares memory between sessions and holds no lock
			// while anybody else's code runs.
			return "uses sync." + name
		}
	}
	return ""
}

// TestFilesAreShort: the field's common disease is one file that holds the
// central object.
func TestFilesAreShort(t *testing.T) {
	const most = 500
	for _, s := range sources(t) {
		if lines := strings.Count(read(t, s.file), "\n"); !s.test && lines > most {
			t.Errorf("%s has %d lines, at most %d", s.file, lines, most)
		}
	}
}
