package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/table"
	"github.com/wsresilience/wsresilience/internal/rehearse"
	"github.com/wsresilience/wsresilience/internal/rehearse/load"
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
	foreign func(context.Context, *load.Foreign) (func(int, []byte), error)
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
		{name: "AnyCable, reliable streams", of: b.anycablePeer},
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
		"the server library of Centrifugo and its Go client, a channel with history and `Recoverable` for each client, into which the client publishes one message after the other; AnyCable 1.5 with its broker in memory and its own client (`actioncable-v1-ext-json`), which performs an action of an app beside it, which publishes to the stream of that client. "+
		"The plain client connects again after 10 s without a message; the others notice by their own heartbeats, which come every 25 s, AnyCable's every 3 s. Nobody sends a message again by itself; Socket.IO's client can (`retries`), if it is told to. Lost is a message whose answer never came, also where a library told its program that it gave up, as Centrifugo's client does after 5 s without a connection, and AnyCable's at once, with each action that is performed without one; what was lost is in none of the times.\n\n", peersClients)
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
	text.WriteString("\n`make rehearse-peers` measures this again.\n")
	for _, line := range t.Lines() {
		fmt.Println(line)
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return false, err
	}
	return list[len(list)-1].out.Sides[0].Lost == 0, os.WriteFile(filepath.Join(b.out, "peers.md"), []byte(text.String()), 0o644)
}
