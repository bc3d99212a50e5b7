package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/lab/table"
	"github.com/wsresilience/wsresilience/internal/rehearse"
	"github.com/wsresilience/wsresilience/internal/rehearse/plan"
	"github.com/wsresilience/wsresilience/internal/rehearse/profile"
	"github.com/wsresilience/wsresilience/internal/rehearse/report"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// peersPlan breaks the network only: what a server does that dies, each promises
// for itself.
const peersPlan = `
0s   cut rst share=50%
8s   cut fin
16s  silence for=4s
28s  cut drop-target share=50%
60s  cut drop-client share=50%
70s  offline for=10s share=30%
90s  offline for=3s
100s storm
`

const (
	peersClients = 50
	peersSeed    = 17
)

// A contender is one way to carry an app's messages.
type contender struct {
	name    string
	of      func(context.Context) (*peer, error) // its programs; nil: it is WebSockets to addr
	addr    string
	session bool // of our own clients
	foreign func(context.Context, *rehearse.Foreign) (func(int, []byte), error)
	out     *report.Run
	err     error
}

// peers puts the same load with the same faults on others that recover, each in
// its own way, all at the same time.
func (b *runner) peers(ctx context.Context) (bool, error) {
	var closers []func()
	defer func() {
		for _, f := range closers {
			f()
		}
	}()
	app, err := lab.StartApp(ctx, &b.starter, lab.AppSpec{Number: 9}, func(ledger.Record) {})
	if err != nil {
		return false, err
	}
	closers = append(closers, app.Kill)
	side, err := lab.NewSidecar("")
	if err != nil {
		return false, err
	}
	side.Program, side.Upstream = b.sidecar, "http://"+app.Addr
	side.Settings = []string{"WSR_DATA_DIR=" + filepath.Join(b.dir, "peers")}
	if err := side.Start(ctx, &b.starter); err != nil {
		return false, err
	}
	closers = append(closers, side.Kill)
	list := []*contender{
		{name: "plain WebSocket that connects again", addr: app.Addr},
		{name: "Socket.IO, connection state recovery", of: nodePeer},
		{name: "Centrifugo's library, recovery", of: b.centrifugePeer},
		{name: "this sidecar, resilient client", addr: side.Addr, session: true},
	}
	for _, c := range list {
		if c.of == nil {
			continue
		}
		stop, err := b.startPeer(ctx, c)
		closers = append(closers, stop)
		if err != nil {
			return false, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	b.say("%d clients each of %d kinds", peersClients, len(list))
	var all sync.WaitGroup
	for _, c := range list {
		all.Go(func() { c.out, c.err = b.contend(ctx, c) })
	}
	all.Wait()
	for _, c := range list {
		if c.err != nil {
			return false, fmt.Errorf("%s: %w", c.name, c.err)
		}
	}
	return b.reportPeers(list)
}

// contend runs the load on one of them.
func (b *runner) contend(ctx context.Context, c *contender) (*report.Run, error) {
	p := profile.Echo()
	p.Plain, p.Resilient = peersClients, 0
	if c.session {
		p.Plain, p.Resilient = 0, peersClients
	}
	faults, err := plan.Parse(peersPlan)
	if err != nil {
		return nil, err
	}
	return rehearse.Run(ctx, rehearse.Spec{
		Title: c.name, Target: &url.URL{Scheme: "ws", Host: c.addr, Path: "/echo"}, Profile: p, Seed: peersSeed, Faults: faults,
		Baseline: 5 * time.Second, After: 10 * time.Second, Settle: 60 * time.Second, Foreign: c.foreign,
	})
}

func (b *runner) reportPeers(list []*contender) (bool, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "# Beside others that recover\n\n"+
		"The same load and the same faults of the network, all at the same time: %d clients each, a numbered message a second of each, which its server sends back. "+
		"Each is configured for its own recovery, and otherwise as it comes: Socket.IO 4.8 with `connectionStateRecovery`, its clients' answers sent by `socket.emit`; "+
		"the server library of Centrifugo and its Go client, a channel with history and `Recoverable` for each client, into which the client publishes. "+
		"The plain client connects again after 10 s without a message; the others notice by their own heartbeats, which come every 25 s. Nobody sends a message again by itself. Lost is a message whose answer never came, also where a library told its program that it gave up, as Centrifugo's client does after 5 s without a connection; what was lost is in none of the times.\n\n", peersClients)
	for _, n := range b.notes() {
		text.WriteString(n + "\n\n")
	}
	t := table.Table{{"", "messages", "lost", "answered twice", "out of order", "retention", "back, mean", "back, P99", "wait, P50", "wait, P99"}}
	for _, c := range list {
		m := &c.out.Sides[0]
		t = append(t, []string{
			c.name, fmt.Sprint(m.Judged), fmt.Sprint(m.Lost), fmt.Sprint(m.Doubled), fmt.Sprint(m.Reordered), report.Percent(m.Retention),
			tally.Millis(m.Away.Mean), tally.Millis(m.Away.P99), tally.Millis(m.Whole.P50), tally.Millis(m.Whole.P99),
		})
	}
	text.WriteString(t.Markdown() + "\nRetention is the share of clients whose server knew them all along. What each fault took:\n\n")
	lost := table.Table{{"lost messages"}}
	for _, c := range list {
		lost[0] = append(lost[0], c.name)
	}
	for i := range list[0].out.Faults {
		row := []string{list[0].out.Faults[i].Text}
		for _, c := range list {
			row = append(row, fmt.Sprint(c.out.Faults[i].Effects[0].Lost))
		}
		lost = append(lost, row)
	}
	text.WriteString(lost.Markdown() + "\n")
	for _, e := range list[0].out.Environment {
		fmt.Fprintf(&text, "- %s: %s\n", e[0], e[1])
	}
	text.WriteString("\n`make rehearse-peers` measures this again. AnyCable is not among them yet.\n")
	for _, line := range t.Lines() {
		fmt.Println(line)
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return false, err
	}
	return list[len(list)-1].out.Sides[0].Lost == 0, os.WriteFile(filepath.Join(b.out, "peers.md"), []byte(text.String()), 0o644)
}

// A peer is a program that is a server of its kind, or its clients.
type peer struct {
	server  func(addr string) *exec.Cmd
	clients func() *exec.Cmd
}

const nodeFolder = "internal/rehearsal/testdata/socketio"

func nodePeer(context.Context) (*peer, error) {
	if _, err := os.Stat(filepath.Join(nodeFolder, "node_modules")); err != nil {
		return nil, fmt.Errorf("%w: make rehearse-peers installs it", err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("node is missing: install it")
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(node, append([]string{"peer.mjs"}, args...)...)
		cmd.Dir = nodeFolder
		return cmd
	}
	return &peer{
		server:  func(addr string) *exec.Cmd { return command("server", addr[strings.LastIndexByte(addr, ':')+1:]) },
		clients: func() *exec.Cmd { return command("clients") },
	}, nil
}

func (b *runner) centrifugePeer(ctx context.Context) (*peer, error) {
	file := filepath.Join(b.dir, "centrifuge")
	if text, err := exec.CommandContext(ctx, "go", "build", "-C", "internal/rehearsal/testdata/centrifuge", "-o", file, ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w: %s", err, text)
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
	f := &foreigners{byNumber: map[int]*rehearse.Foreign{}}
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
	byNumber map[int]*rehearse.Foreign
}

// fly begins one client.
func (f *foreigners) fly(_ context.Context, one *rehearse.Foreign) (func(int, []byte), error) {
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
