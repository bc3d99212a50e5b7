package main

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/wsresilience/wsresilience/internal/rehearse"
	"github.com/wsresilience/wsresilience/internal/rehearse/plan"
	"github.com/wsresilience/wsresilience/internal/rehearse/profile"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// chapterPlan breaks the network in every way, and then what is behind it.
const chapterPlan = `
0s     cut rst share=50%
8s     cut fin share=50%
16s    silence for=5s
28s    cut drop-target share=30%
46s    cut drop-client share=30%
54s    offline for=20s share=20%
82s    loss percent=5% latency=100ms jitter=10ms for=25s
114s   slow for=8s rate=2000 share=20%
128s   storm
138s   do restart-app
148s   do kill-pod timeout=90s
164s   do kill-nats timeout=90s
176s   do roll timeout=150s
`

// chapterObjectives are what is promised of these faults: a pod that is killed
// takes with it what its app had in hand.
var chapterObjectives = []string{
	"lost.share<=0.1%", "doubled<=10", "reordered<=0", "retention>=99%", "errors<=0", "baseline.p99<=900ms", "back.p99<=30s",
}

const (
	chapterClients = 150 // of each kind
	chapterSeed    = 2026
)

// chapter rehearses on a fleet of our own.
func (b *runner) chapter(ctx context.Context) (bool, error) {
	b.say("three pods, three servers of NATS, a balancer")
	f, err := b.newFleet(ctx)
	defer f.close()
	if err != nil {
		return false, err
	}
	p := profile.Echo()
	p.Plain, p.Resilient = chapterClients, chapterClients
	s := rehearse.Spec{
		Title: "Rehearsal of three pods with an echo app", Command: "make rehearsal",
		Target: &url.URL{Scheme: "ws", Host: f.balancer.Addr(0), Path: "/echo"}, Profile: p, Seed: chapterSeed,
		Baseline: 20 * time.Second, After: 15 * time.Second, Settle: 45 * time.Second, Metrics: f.metrics(), Traces: f.traces, Notes: b.notes(),
		Actions: map[string]func(context.Context) (string, error){
			"restart-app": f.restartApp, "kill-pod": f.killPod, "kill-nats": f.killNATS, "roll": f.roll,
		},
		Say: func(_ time.Duration, text string) { b.say("%s", text) },
	}
	if s.Faults, err = plan.Parse(chapterPlan); err != nil {
		return false, err
	}
	if s.Objectives, err = tally.ParseObjectives(chapterObjectives); err != nil {
		return false, err
	}
	out, err := rehearse.Run(ctx, s)
	if err != nil {
		return false, err
	}
	fmt.Print(out.Summary())
	return out.Met(), out.Write(filepath.Join(b.out, "fleet"), nil)
}
