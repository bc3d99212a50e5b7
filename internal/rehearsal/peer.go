package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/rehearse/load"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// A peer is a program that is a server of its kind, or its clients.
type peer struct {
	server  func(addr string) *exec.Cmd
	clients func() *exec.Cmd
}

const (
	nodeFolder     = "internal/rehearsal/testdata/socketio"
	anycableFolder = "internal/rehearsal/testdata/anycable"
)

// inNode returns what runs a script of a folder whose packages are installed.
func inNode(folder, script string) (func(args ...string) *exec.Cmd, error) {
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		return nil, fmt.Errorf("%w: make rehearse-peers installs it", err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("node is missing: install it")
	}
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command(node, append([]string{script}, args...)...)
		cmd.Dir = folder
		return cmd
	}, nil
}

func nodePeer(context.Context) (*peer, error) {
	command, err := inNode(nodeFolder, "peer.mjs")
	if err != nil {
		return nil, err
	}
	return &peer{
		server:  func(addr string) *exec.Cmd { return command("server", addr[strings.LastIndexByte(addr, ':')+1:]) },
		clients: func() *exec.Cmd { return command("clients") },
	}, nil
}

// build makes a program of a module of its own, below testdata.
func (b *runner) build(ctx context.Context, name string) (string, error) {
	file := filepath.Join(b.dir, name)
	if text, err := exec.CommandContext(ctx, "go", "build", "-C", "internal/rehearsal/testdata/"+name, "-o", file, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, text)
	}
	return file, nil
}

// anycablePeer is a server of AnyCable, and its own client, which is one of
// JavaScript.
func (b *runner) anycablePeer(ctx context.Context) (*peer, error) {
	clients, err := inNode(anycableFolder, "clients.mjs")
	if err != nil {
		return nil, err
	}
	file, err := b.build(ctx, "anycable")
	if err != nil {
		return nil, err
	}
	return &peer{
		server:  func(addr string) *exec.Cmd { return exec.Command(file, "server", addr) },
		clients: func() *exec.Cmd { return clients() },
	}, nil
}

func (b *runner) centrifugePeer(ctx context.Context) (*peer, error) {
	file, err := b.build(ctx, "centrifuge")
	if err != nil {
		return nil, err
	}
	return &peer{
		server:  func(addr string) *exec.Cmd { return exec.Command(file, "server", addr) },
		clients: func() *exec.Cmd { return exec.Command(file, "clients") },
	}, nil
}

// A line is what clients of a peer say: what became of a connection, or an answer.
type line struct {
	C  int    `json:"c"`
	Is string `json:"is"`
	N  *int   `json:"n"`
}

// startPeer starts a server, and one program with all of its clients. It returns
// what ends both, also after an error.
func (b *runner) startPeer(ctx context.Context, c *contender) (stop func(), err error) {
	var started []*proc.Process
	stop = func() {
		for _, p := range started {
			p.Kill()
		}
	}
	p, err := c.of(ctx)
	if err != nil {
		return stop, err
	}
	free, err := proc.FreeAddrs(1)
	if err != nil {
		return stop, err
	}
	c.addr = free[0]
	server, err := b.starter.Start("peer-server", p.server(c.addr))
	if err != nil {
		return stop, err
	}
	started = append(started, server)
	if err := proc.Until(ctx, nginxWait, 20*time.Millisecond, func() bool { return server.Ended() || proc.Listens(c.addr) }); err != nil || server.Ended() {
		return stop, server.Failure("does not listen")
	}
	f := &foreigners{byNumber: map[int]*load.Foreign{}}
	cmd := p.clients()
	cmd.Stdout = proc.Lines(f.hear)
	if f.clients, err = b.starter.Start("peer-clients", cmd); err != nil {
		return stop, err
	}
	started = append(started, f.clients)
	c.foreign = f.fly
	return stop, nil
}

// foreigners are all clients of a peer, in one program.
type foreigners struct {
	clients *proc.Process

	mu       sync.Mutex
	byNumber map[int]*load.Foreign
}

// fly begins one client.
func (f *foreigners) fly(_ context.Context, one *load.Foreign) (func(int, []byte), error) {
	f.mu.Lock()
	f.byNumber[one.Number] = one
	f.mu.Unlock()
	f.clients.Tell(fmt.Sprintf(`{"c":%d,"connect":%q}`, one.Number, one.Addr))
	return func(n int, _ []byte) { f.clients.Tell(fmt.Sprintf(`{"c":%d,"n":%d}`, one.Number, n)) }, nil
}

// hear takes a line of the clients.
func (f *foreigners) hear(text string) {
	var l line
	if json.Unmarshal([]byte(text), &l) != nil {
		return
	}
	f.mu.Lock()
	one := f.byNumber[l.C]
	f.mu.Unlock()
	switch {
	case one == nil:
	case l.N != nil:
		one.Answered(*l.N)
	case l.Is == "down":
		one.Down()
	case l.Is == "lost":
		one.Lost()
	case l.Is == "resumed":
		one.Up(tally.Resumed)
	case l.Is == "up":
		one.Up(tally.Reconnect)
	}
}
