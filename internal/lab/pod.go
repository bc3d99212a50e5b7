package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// A Pod is a sidecar and its app, with a link between it and each of its
// neighbours that can be cut.
type Pod struct {
	*Sidecar
	Starter *proc.Starter

	mu   sync.Mutex
	app  *App
	peer *faultlink.Link   // by which other sidecars reach it
	nats []*faultlink.Link // by which it reaches NATS
}

// NewPod gives a pod its addresses, see NewSidecar.
func NewPod(starter *proc.Starter, host string) (*Pod, error) {
	s, err := NewSidecar(host)
	if err != nil {
		return nil, err
	}
	return &Pod{Sidecar: s, Starter: starter}, nil
}

// LinkPeers makes other sidecars reach this one by a link of its own. A link
// accepts also for a pod that is gone, so it is not there for nothing.
func (p *Pod) LinkPeers() (err error) {
	p.peer, err = faultlink.New(p.listen(), p.Addr, rand.Float64)
	if err == nil {
		p.Settings = append(p.Settings, "WSR_ADVERTISE="+p.peer.Addr())
	}
	return err
}

// LinkNATS makes the sidecar reach each server by a link of its own.
func (p *Pod) LinkNATS(n *NATS) error {
	var urls []string
	for _, node := range n.Nodes {
		link, err := faultlink.New(p.listen(), node.Addr(), rand.Float64)
		if err != nil {
			return err
		}
		p.nats = append(p.nats, link)
		urls = append(urls, "nats://"+link.Addr())
	}
	p.Settings = append(p.Settings, "WSR_NATS_URL="+strings.Join(urls, ","), fmt.Sprint("WSR_NATS_REPLICAS=", len(urls)))
	return nil
}

// listen is where the pod's links listen: on its host.
func (p *Pod) listen() string { return p.Addr[:strings.LastIndexByte(p.Addr, ':')] + ":0" }

// StartApp starts the app and makes it the sidecar's.
func (p *Pod) StartApp(ctx context.Context, spec AppSpec, take func(ledger.Record)) error {
	a, err := StartApp(ctx, p.Starter, spec, take)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.app, p.Upstream = a, "http://"+a.Addr
	return nil
}

// App returns the pod's app, nil before there is one.
func (p *Pod) App() *App {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.app
}

// StartSidecar starts the sidecar, again after it ended.
func (p *Pod) StartSidecar(ctx context.Context) error { return p.Start(ctx, p.Starter) }

// CutPeers stops every byte between this sidecar and those that reach it, and
// HealPeers lets them go on; CutNATS and HealNATS do so with its journal.
func (p *Pod) CutPeers()  { p.peer.Silence() }
func (p *Pod) HealPeers() { p.peer.Heal() }
func (p *Pod) CutNATS() {
	for _, link := range p.nats {
		link.Silence()
	}
}

func (p *Pod) HealNATS() {
	for _, link := range p.nats {
		link.Heal()
	}
}

// Close kills both processes, paused ones too, as the crash of a machine does.
func (p *Pod) Close() {
	if p.Process != nil {
		p.Kill() // first: it must not see its app die
	}
	if a := p.App(); a != nil {
		a.Kill()
	}
	if p.peer != nil {
		p.peer.Close()
	}
	for _, link := range p.nats {
		link.Close()
	}
}
