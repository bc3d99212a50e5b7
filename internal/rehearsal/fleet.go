package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

const (
	podCount     = 3
	natsCount    = 3
	drainSeconds = 10
	appPort      = "8080"

	// readyPace and readyFailures are those of an endpoint controller, which
	// believes the third failure in a row; a kubelet asks every ten seconds.
	readyPace     = 250 * time.Millisecond
	readyFailures = 3

	// replaced is how long a pod that was killed is away, and a server of NATS.
	replaced = 3 * time.Second
)

// A fleet is three pods with an app each that share a journal, behind a balancer.
type fleet struct {
	b         *runner
	nats      *lab.NATS
	pods      []*lab.Pod
	endpoints lab.Endpoints
	balancer  *lab.Balancer
	stop      context.CancelFunc
	tasks     sync.WaitGroup
	traces    string // where spans are taken
	apps      int

	mu sync.Mutex // held while something is done to a pod
}

// newFleet returns a fleet, which is to be closed also after an error.
func (b *runner) newFleet(ctx context.Context) (*fleet, error) {
	f := &fleet{b: b}
	var err error
	if f.nats, err = lab.StartNATS(ctx, &b.starter, natsCount, b.dir, &b.hosts); err != nil {
		return f, err
	}
	if f.balancer, err = lab.NewBalancer(f.endpoints.Random, b.hosts.Next()); err != nil {
		return f, err
	}
	free, err := proc.FreeAddrs(1)
	if err != nil {
		return f, err
	}
	f.traces = free[0]
	key := base64.StdEncoding.EncodeToString(keyring.Generate())
	for range podCount {
		host := b.hosts.Next()
		p, err := lab.NewPod(&b.starter, host)
		if err != nil {
			return f, err
		}
		f.pods = append(f.pods, p)
		p.Program, p.Name = b.sidecar, "pod-"+host
		p.Settings = append(f.nats.Settings(),
			"WSR_TOKEN_KEYS="+key, "WSR_DATA_DIR="+filepath.Join(b.dir, p.Name), "WSR_LEASE_TTL=5s",
			fmt.Sprint("WSR_DRAIN_SECONDS=", drainSeconds), "WSR_UPSTREAM_RETRY=10s",
			"OTEL_EXPORTER_OTLP_ENDPOINT=http://"+f.traces, "OTEL_BSP_SCHEDULE_DELAY=500", "WSR_TRACE_MESSAGES=100")
		if err := f.start(ctx, p); err != nil {
			return f, err
		}
	}
	watching, stop := context.WithCancel(ctx)
	f.stop = stop
	f.tasks.Go(func() { f.watch(watching) })
	return f, nil
}

// start starts an app and its sidecar, at the pod's addresses.
func (f *fleet) start(ctx context.Context, p *lab.Pod) error {
	if err := f.startApp(ctx, p); err != nil {
		return err
	}
	if err := p.StartSidecar(ctx); err != nil {
		return err
	}
	f.endpoints.Set(p.Addr, true)
	return nil
}

func (f *fleet) startApp(ctx context.Context, p *lab.Pod) error {
	host, _, err := net.SplitHostPort(p.Addr)
	if err != nil {
		return err
	}
	f.apps++
	return p.StartApp(ctx, lab.AppSpec{Addr: net.JoinHostPort(host, appPort), Number: f.apps}, func(ledger.Record) {})
}

// watch tells the balancer which pods are ready.
func (f *fleet) watch(ctx context.Context) {
	failed := make([]int, len(f.pods))
	for proc.Sleep(ctx, readyPace) == nil {
		for i, p := range f.pods {
			if failed[i]++; p.Ready(ctx) {
				failed[i] = 0
			}
			f.endpoints.Set(p.Addr, failed[i] < readyFailures)
		}
	}
}

// killPod is the crash of a pod, and its replacement a while later.
func (f *fleet) killPod(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.pods[0]
	p.Kill()
	p.App().Kill()
	if err := proc.Sleep(ctx, replaced); err != nil {
		return "", err
	}
	return p.Name + " was killed, and is back", f.start(ctx, p)
}

// restartApp kills an app under its sidecar and starts it again.
func (f *fleet) restartApp(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.pods[1]
	p.App().Kill()
	if err := proc.Sleep(ctx, time.Second); err != nil {
		return "", err
	}
	return "the app of " + p.Name + " was restarted", f.startApp(ctx, p)
}

// killNATS kills a server of NATS, and starts it again a while later.
func (f *fleet) killNATS(ctx context.Context) (string, error) {
	node := f.nats.Nodes[0]
	node.Kill()
	if err := proc.Sleep(ctx, replaced); err != nil {
		return "", err
	}
	return node.Name() + " was killed, and is back", node.Start()
}

// roll replaces one pod after the other, as a rolling update does.
func (f *fleet) roll(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.pods {
		err := p.Drain(ctx, 2*drainSeconds*time.Second)
		err = errors.Join(err, p.Terminate(2*drainSeconds*time.Second), p.App().Terminate(time.Second))
		if p.App().Ended() && p.Ended() {
			err = errors.Join(ctx.Err(), f.start(ctx, p)) // however its app took SIGTERM
		}
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d pods were drained and replaced", len(f.pods)), nil
}

func (f *fleet) metrics() []string {
	var list []string
	for _, p := range f.pods {
		list = append(list, "http://"+p.Admin+"/metrics")
	}
	return list
}

func (f *fleet) close() {
	if f.stop != nil {
		f.stop()
	}
	f.tasks.Wait()
	for _, p := range f.pods {
		p.Close()
	}
	if f.balancer != nil {
		f.balancer.Close()
	}
	if f.nats != nil {
		f.nats.Close()
	}
}
