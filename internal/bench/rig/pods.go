package rig

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/store/natsstore"
)

// Pods are sidecars in front of one app that share a journal.
type Pods struct {
	Nats     *lab.NATS
	Sidecars []*lab.Sidecar

	// Journal is the same journal, opened by this process with the keys of
	// the sidecars.
	Journal *natsstore.Store
}

// StartPods starts n sidecars on as many nats-servers as servers, and as many
// copies of the journal, with more in their environment.
func (r *Rig) StartPods(n, servers int, upstream string, more ...string) (*Pods, error) {
	ns, err := r.StartNATS(servers)
	if err != nil {
		return nil, err
	}
	p := &Pods{Nats: ns}
	key := TokenKey()
	if err := p.open(r, key, servers); err != nil {
		p.Kill()
		return nil, err
	}
	for range n {
		s, err := r.StartSidecar(upstream, r.Dir, key, append(ns.Settings(), more...)...)
		if err != nil {
			p.Kill()
			return nil, err
		}
		p.Sidecars = append(p.Sidecars, s)
	}
	return p, nil
}

// open opens the journal and waits until the cluster has elected.
func (p *Pods) open(r *Rig, key string, replicas int) error {
	secret, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return err
	}
	ring, err := keyring.New([][]byte{secret})
	if err != nil {
		return err
	}
	p.Journal, err = natsstore.Open(r.Ctx, natsstore.Config{
		URL: p.Nats.URL(), Keys: ring, Replicas: replicas, Timeout: readyLimit, Name: "bench",
	})
	if err != nil {
		return err
	}
	var last error
	err = proc.Until(r.Ctx, readyLimit, ReadyPoll, func() bool {
		last = p.Journal.Ready(r.Ctx)
		return last == nil
	})
	return errors.Join(err, last)
}

// Kill ends everything at once.
func (p *Pods) Kill() {
	for _, s := range p.Sidecars {
		s.Kill()
	}
	if p.Journal != nil {
		_ = p.Journal.Close() // nothing of it is wanted any more
	}
	p.Nats.Close()
}

// Failure adds the log of a sidecar to an error that it may explain.
func (p *Pods) Failure(err error) error {
	if err == nil {
		return nil
	}
	for i, s := range p.Sidecars {
		err = errors.Join(err, s.Failure(fmt.Sprint("sidecar ", i+1)))
	}
	return err
}

// StartNATS starts servers. Several are a cluster that may still elect.
func (r *Rig) StartNATS(servers int) (*lab.NATS, error) {
	dir, err := r.Scratch("nats")
	if err != nil {
		return nil, err
	}
	return lab.StartNATS(r.Ctx, &r.Starter, servers, dir, nil)
}
