package main

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/store/natsstore"
)

// pods are sidecars in front of one app that share a journal.
type pods struct {
	nats     *lab.NATS
	sidecars []*lab.Sidecar

	// journal is the same journal, opened by this process with the keys of
	// the sidecars.
	journal *natsstore.Store
}

// startPods starts n sidecars on as many nats-servers as servers, and as many
// copies of the journal, with more in their environment.
func (r *rig) startPods(n, servers int, upstream string, more ...string) (*pods, error) {
	ns, err := r.startNATS(servers)
	if err != nil {
		return nil, err
	}
	p := &pods{nats: ns}
	key := tokenKey()
	if err := p.open(r, key, servers); err != nil {
		p.kill()
		return nil, err
	}
	for range n {
		s, err := r.startSidecar(upstream, r.Dir, key, append(ns.Settings(), more...)...)
		if err != nil {
			p.kill()
			return nil, err
		}
		p.sidecars = append(p.sidecars, s)
	}
	return p, nil
}

// open opens the journal and waits until the cluster has elected.
func (p *pods) open(r *rig, key string, replicas int) error {
	secret, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return err
	}
	ring, err := keyring.New([][]byte{secret})
	if err != nil {
		return err
	}
	p.journal, err = natsstore.Open(r.ctx, natsstore.Config{
		URL: p.nats.URL(), Keys: ring, Replicas: replicas, Timeout: readyLimit, Name: "bench",
	})
	if err != nil {
		return err
	}
	var last error
	err = proc.Until(r.ctx, readyLimit, readyPoll, func() bool {
		last = p.journal.Ready(r.ctx)
		return last == nil
	})
	return errors.Join(err, last)
}

// kill ends everything at once.
func (p *pods) kill() {
	for _, s := range p.sidecars {
		s.Kill()
	}
	if p.journal != nil {
		_ = p.journal.Close() // nothing of it is wanted any more
	}
	p.nats.Close()
}

// failure adds the log of a sidecar to an error that it may explain.
func (p *pods) failure(err error) error {
	if err == nil {
		return nil
	}
	for i, s := range p.sidecars {
		err = errors.Join(err, s.Failure(fmt.Sprint("sidecar ", i+1)))
	}
	return err
}

// startNATS starts servers. Several are a cluster that may still elect.
func (r *rig) startNATS(servers int) (*lab.NATS, error) {
	dir, err := r.scratch("nats")
	if err != nil {
		return nil, err
	}
	return lab.StartNATS(r.ctx, &r.Starter, servers, dir, nil)
}
