package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
)

// The ports of every pod; each has an address of its own.
const (
	proxyPort = 15801
	adminPort = 15802
	appPort   = 8080
)

// A pod is a sidecar and its app, with a link between it and each of its
// neighbours that can be cut.
type pod struct {
	stage *stage
	name  string
	host  string
	peer  *faultlink.Link   // by which other sidecars reach it, if they are to be cut off
	nats  []*faultlink.Link // by which it reaches NATS

	sidecar, app *child
}

func (p *pod) addr(port int) string { return fmt.Sprint(p.host, ":", port) }

// addPod starts a new pod and waits until it is ready.
func (s *stage) addPod(ctx context.Context) error {
	p := &pod{stage: s, host: s.lab.host()}
	p.name = fmt.Sprint("pod-", p.host)
	var err error
	if s.linked { // a link accepts also for a pod that is gone, so it is not there for nothing
		if p.peer, err = faultlink.New(p.host+":0", p.addr(proxyPort), rand.Float64); err != nil {
			return err
		}
	}
	for _, n := range s.nodes {
		link, err := faultlink.New(p.host+":0", n.addr(), rand.Float64)
		if err != nil {
			return err
		}
		p.nats = append(p.nats, link)
	}
	if err := errors.Join(p.startApp(ctx), p.startSidecar(ctx)); err != nil {
		return err
	}
	s.mu.Lock()
	s.pods = append(s.pods, p)
	s.mu.Unlock()
	s.balancer.set(p.addr(proxyPort), true)
	return nil
}

// startApp starts an app that counts its sockets anew.
func (p *pod) startApp(ctx context.Context) (err error) {
	s := p.stage
	s.lab.apps++
	number := s.lab.apps
	file := filepath.Join(s.dir, fmt.Sprintf("app-%d.records", number))
	p.app, err = s.lab.start("app-"+p.host, exec.Command(s.lab.self, roleArg, "app", p.addr(appPort), fmt.Sprint(number), file))
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.records = append(s.records, file)
	s.mu.Unlock()
	return s.until(ctx, natsWait, "the app listens", func() bool { return p.app.ended() || reachable(p.addr(appPort)) })
}

// startSidecar starts the sidecar, anew if there was one, and waits until it
// is ready.
func (p *pod) startSidecar(ctx context.Context) (err error) {
	s := p.stage
	var urls []string
	for _, link := range p.nats {
		urls = append(urls, "nats://"+link.Addr())
	}
	advertise := p.addr(proxyPort)
	if p.peer != nil {
		advertise = p.peer.Addr()
	}
	cmd := exec.Command(s.lab.sidecar)
	cmd.Env = s.lab.environ(
		"WSR_LISTEN="+p.addr(proxyPort), "WSR_ADMIN_LISTEN="+p.addr(adminPort),
		"WSR_UPSTREAM=http://"+p.addr(appPort), "WSR_ADVERTISE="+advertise,
		"WSR_NATS_URL="+strings.Join(urls, ","), "WSR_NATS_REPLICAS=3", "WSR_TOKEN_KEYS="+s.key,
		"WSR_DATA_DIR="+filepath.Join(s.dir, p.name), "WSR_ADOPT=auto",
		"WSR_LEASE_TTL="+s.lab.o.lease.String(), "WSR_SESSION_TTL=2m",
		fmt.Sprint("WSR_DRAIN_SECONDS=", s.lab.o.drain),
		"WSR_UPSTREAM_RETRY=10s", "WSR_HEARTBEAT_BASE=1s", "WSR_HEARTBEAT_MIN=500ms", "WSR_HEARTBEAT_MAX=3s",
		"WSR_LOG_LEVEL=debug",
	)
	if p.sidecar, err = s.lab.start(p.name, cmd); err != nil {
		return err
	}
	return s.until(ctx, natsWait, p.name+" is ready", func() bool { return p.sidecar.ended() || p.ready() })
}

// probe is how readiness is asked for: often, since a kubelet's ten seconds
// would only make the scenarios longer.
var probe = http.Client{Timeout: 500 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}

func (p *pod) ready() bool {
	answer, err := probe.Get("http://" + p.addr(adminPort) + "/readyz")
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// watchReadiness is the endpoint controller: it tells the balancer. Like a
// kubelet it believes the third failure in a row.
func (s *stage) watchReadiness(ctx context.Context) {
	const pace, threshold = 250 * time.Millisecond, 3
	failed := map[*pod]int{}
	for wait(ctx, pace) == nil {
		for _, p := range s.present() {
			if failed[p]++; p.ready() {
				failed[p] = 0
			}
			s.mu.Lock()
			if slices.Contains(s.pods, p) { // it may have been removed meanwhile
				s.balancer.set(p.addr(proxyPort), failed[p] < threshold)
			}
			s.mu.Unlock()
		}
	}
}

// drain asks for a drain by the admin port, which answers when it is done.
func (p *pod) drain() error {
	client := http.Client{Timeout: 2 * time.Duration(p.stage.lab.o.drain) * time.Second}
	answer, err := client.Post("http://"+p.addr(adminPort)+"/drain", "", nil)
	if err != nil {
		return fmt.Errorf("chaos: %s: drain: %w", p.name, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		return fmt.Errorf("chaos: %s: drain: %s %s", p.name, answer.Status, text)
	}
	return nil
}

// retire takes the pod away, and ends what may still run of it.
func (p *pod) retire() {
	s := p.stage
	s.mu.Lock()
	for i, q := range s.pods {
		if p == q {
			s.pods = append(s.pods[:i:i], s.pods[i+1:]...)
			break
		}
	}
	s.balancer.remove(p.addr(proxyPort))
	s.mu.Unlock()
	p.close()
}

// close kills both processes, a stopped one too.
func (p *pod) close() {
	p.app.kill()
	p.sidecar.kill()
	if p.peer != nil {
		p.peer.Close()
	}
	for _, link := range p.nats {
		link.Close()
	}
}

// kill is kill -9 of the sidecar alone.
func (p *pod) kill() {
	p.stage.mu.Lock()
	p.stage.peaks = append(p.stage.peaks, peakMemory(p.sidecar.pid()))
	p.stage.mu.Unlock()
	p.sidecar.kill()
}

// freeze stops the sidecar as a suspended machine does; thaw lets it go on.
func (p *pod) freeze() error { return p.sidecar.cmd.Process.Signal(sigstop) }
func (p *pod) thaw() error   { return p.sidecar.cmd.Process.Signal(sigcont) }
