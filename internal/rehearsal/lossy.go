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
	"github.com/wsresilience/wsresilience/internal/rehearse/plan"
	"github.com/wsresilience/wsresilience/internal/rehearse/profile"
	"github.com/wsresilience/wsresilience/internal/rehearse/report"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// lossyPlan is a poor mobile network for all of the time: 200 ms there and back,
// 5 % of the packets of each direction lost, and every 20 s some of the clients
// come into another network.
const lossyPlan = `
0s  loss percent=5% latency=100ms for=230s
every 20s until=220s  cut drop-client share=2%
`

const (
	lossyClients = 100
	lossySeed    = 15
	lossyThink   = 35 * time.Second // on average; from 0 to twice that
)

// A setting is what stands between the clients and the app.
type setting struct {
	name      string
	conf      string // of nginx
	sidecar   bool
	out       *report.Run
	err       error
	published [2]string // what is claimed: retention, mean time to come back
}

// lossy measures three settings at the same time, each on a lossy network of its
// own with the same weather and the same clients.
func (b *runner) lossy(ctx context.Context) (bool, error) {
	app, err := lab.StartApp(ctx, &b.starter, lab.AppSpec{Number: 1}, func(ledger.Record) {})
	if err != nil {
		return false, err
	}
	defer app.Kill()
	side, err := lab.NewSidecar("")
	if err != nil {
		return false, err
	}
	side.Program, side.Upstream = b.sidecar, "http://"+app.Addr
	side.Settings = []string{"WSR_DATA_DIR=" + filepath.Join(b.dir, "lossy")}
	if err := side.Start(ctx, &b.starter); err != nil {
		return false, err
	}
	defer side.Kill()
	directives, err := documented()
	if err != nil {
		return false, err
	}
	list := []*setting{
		{name: "nginx with its defaults, plain WebSocket", conf: defaults, published: [2]string{"68 %", "3.8 s"}},
		{name: "nginx with the directives of PROXIES.md, plain WebSocket", conf: directives, published: [2]string{"", ""}},
		{name: "the same nginx, sidecar and resilient client", conf: directives, sidecar: true, published: [2]string{"99.2 %", "1.3 s"}},
	}
	var all sync.WaitGroup
	for _, s := range list {
		upstream := app.Addr
		if s.sidecar {
			upstream = side.Addr
		}
		n, err := b.startNginx(ctx, s.conf, upstream)
		if err != nil {
			return false, err
		}
		defer n.Kill()
		all.Go(func() { s.out, s.err = b.measure(ctx, s, n.addr) })
	}
	b.say("three times %d clients on networks that lose packets", lossyClients)
	all.Wait()
	return b.reportLossy(list)
}

// measure runs the clients of one setting.
func (b *runner) measure(ctx context.Context, s *setting, addr string) (*report.Run, error) {
	p := profile.Echo()
	p.Plain, p.Resilient = lossyClients, 0
	if s.sidecar {
		p.Plain, p.Resilient = 0, lossyClients
	}
	p.Think, p.Spread = profile.Duration(lossyThink), 1
	p.Patience = 3 * p.Think
	faults, err := plan.Parse(lossyPlan)
	if err != nil {
		return nil, err
	}
	return rehearse.Run(ctx, rehearse.Spec{
		Title: s.name, Target: &url.URL{Scheme: "ws", Host: addr, Path: "/echo"}, Profile: p, Seed: lossySeed,
		Faults: faults, After: time.Second, Settle: 20 * time.Second,
	})
}

func (b *runner) reportLossy(list []*setting) (bool, error) {
	var text strings.Builder
	text.WriteString("# Behind nginx, over a network that loses packets\n\n" +
		"200 ms there and back, and 5 % of the packets of each direction lost: truly, below the kernel's TCP. " +
		fmt.Sprintf("Three times %d clients of an echo app at the same time, each three on a network of their own with the same weather. ", lossyClients) +
		fmt.Sprintf("They are quiet: a message every %v on average, at times none for %v. ", lossyThink, 2*lossyThink) +
		"Every 20 s two of a hundred come into another network: their connection is gone, and the server is not told. Nearly four minutes. nginx with its defaults has the three lines without which no WebSocket passes at all, and nothing else.\n\n")
	for _, n := range b.notes() {
		text.WriteString(n + "\n\n")
	}
	t := table.Table{{"", "retention", "claimed", "connections that ended", "back, mean", "claimed", "back, P99", "messages lost", "wait, P50", "wait, P99"}}
	packets := table.Table{{"", "packets"}}
	for _, s := range list {
		if s.err != nil {
			return false, fmt.Errorf("%s: %w", s.name, s.err)
		}
		m := &s.out.Sides[0]
		back, late := "-", "-"
		if m.Away.N > 0 {
			back, late = tally.Millis(m.Away.Mean), tally.Millis(m.Away.P99)
		}
		t = append(t, []string{
			s.name, report.Percent(m.Retention), dash(s.published[0]), fmt.Sprint(m.Breaks), back, dash(s.published[1]), late,
			fmt.Sprintf("%d of %d", m.Lost, m.Judged), tally.Millis(m.Whole.P50), tally.Millis(m.Whole.P99),
		})
		packets = append(packets, []string{s.name, strings.Join(s.out.Notes, " ")})
	}
	text.WriteString(t.Markdown() + "\nRetention is the share of clients that had at the end the connection, or the session, that they began with. Back is the time from when a client noticed that its connection was gone until it had another. Claimed is what was published for such settings, with a load that is not known: what plain clients keep behind the defaults depends above all on how often they are silent for more than the 60 s of `proxy_read_timeout`.\n\n" + packets.Markdown() + "\n")
	for _, e := range list[0].out.Environment {
		fmt.Fprintf(&text, "- %s: %s\n", e[0], e[1])
	}
	text.WriteString("\n`make rehearsal` measures this again.\n")
	for _, line := range t.Lines() {
		fmt.Println(line)
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return false, err
	}
	kept := list[2].out.Sides[0].Retention
	return kept >= 0.99, os.WriteFile(filepath.Join(b.out, "lossy.md"), []byte(text.String()), 0o644)
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
