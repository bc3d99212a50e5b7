// Package pod gathers what a sidecar needs of its surroundings, for package
// diagnosis to judge. It changes nothing.
package pod

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/peer"
	"github.com/wsresilience/wsresilience/store/natsstore"
)

// A Command is what the program hands in.
type Command struct {
	Config   *config.Config
	Version  string
	Admin    string // host and port of the sidecar's admin port, from here
	Ring     *keyring.Ring
	PeerTLS  func() *tls.Config      // nil: sidecars speak no mutual TLS
	Shared   func() *tls.Certificate // nil: the proxy port speaks no TLS
	Progress func(string)
}

// Implementation limits.
const (
	dialTimeout = 3 * time.Second
	maxPeers    = 64 // that are asked
	atOnce      = 8
)

// Examine looks at the surroundings and says what it found.
func Examine(ctx context.Context, c Command) *diagnosis.Report {
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	p := &diagnosis.Pod{Warnings: c.Config.Warnings(), Version: c.Version, Self: string(c.Config.Advertise), Local: localAddresses(), Budget: int64(c.Config.MemoryBudget)}
	c.Progress("sidecar, app")
	p.Sidecar = askAdmin(ctx, c.Admin)
	if p.Sidecar.Err != "" {
		p.Ports = taken(c.Config)
	}
	p.App = app(ctx, c.Config.Upstream)
	p.Files = certificates(c.Config)
	p.OpenFiles, p.Dialled, p.Memory = machine()
	if c.Config.Embedded() {
		p.Journal = folder(c.Config.DataDir)
		return diagnosis.DiagnosePod(p)
	}
	c.Progress("journal")
	condition := c.journal(ctx, p)
	c.Progress("peers")
	p.Peers = c.peers(ctx, condition.Owners, p.Self)
	return diagnosis.DiagnosePod(p)
}

// app dials it, and says nothing to it.
func app(ctx context.Context, upstream config.Upstream) diagnosis.Reach {
	network, address := upstream.Dial()
	r := diagnosis.Reach{Address: string(upstream)}
	began := time.Now()
	c, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	r.Took = time.Since(began)
	if err != nil {
		r.Cause, r.Err = cause(err), err.Error()
		return r
	}
	c.Close()
	return r
}

// journal looks at the external one.
func (c *Command) journal(ctx context.Context, p *diagnosis.Pod) *natsstore.Condition {
	cfg := c.Config
	found := natsstore.Inspect(ctx, natsstore.Config{
		URL: string(cfg.NATSURL), CredsFile: string(cfg.NATSCreds), NKeyFile: string(cfg.NATSNKey), CAFile: string(cfg.NATSCA),
		Keys: c.Ring, Replicas: cfg.NATSReplicas, SessionTTL: cfg.SessionTTL, MaxBytes: int64(cfg.NATSMaxBytes), Name: "wsresilience-sidecar doctor",
	})
	j := &p.Journal
	j.Server, j.RTT, j.Missing, j.Denied, j.Foreign = found.Server, found.RTT, found.Missing, found.Denied, found.Foreign
	j.Expect, j.SharedKey = cfg.NATSStreams == config.StreamsExpect, !cfg.KeysGenerated()
	if found.Problem != nil {
		j.Err = found.Problem.Error()
	}
	if found.Streams != nil {
		j.Streams = found.Streams.Error()
	}
	if found.ClockLow != 0 || found.ClockHigh != 0 {
		j.Clock = &diagnosis.Clock{Of: "NATS", Low: found.ClockLow, High: found.ClockHigh}
	}
	return found
}

// peers asks each sidecar to prove itself.
func (c *Command) peers(ctx context.Context, owners []natsstore.Owner, self string) []diagnosis.Peer {
	owners = owners[:min(len(owners), maxPeers)]
	list := make([]diagnosis.Peer, len(owners))
	f := peer.New(peer.Config{Proofs: c.Ring.Derive("wsr tunnel"), TLS: c.PeerTLS, Shared: c.Shared})
	eachOf(len(owners), func(i int) {
		o := owners[i]
		address := instance.Address(o.Name)
		result, err := f.Prove(ctx, o.Name)
		list[i] = diagnosis.Peer{
			Name: o.Name, Address: address, Self: address == self, Draining: o.Draining,
			Proved: result == peer.Served, Gone: result == peer.Refused || result == peer.NotOwner,
		}
		if err != nil {
			list[i].Err = err.Error()
		}
	})
	return list
}
