package main

import (
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/wire"
)

// What the sidecar may cost beside the reference, and what it may take.
const (
	allowedPlain     = 1.15
	allowedResilient = 1.35
)

// A subject is a forwarder under measurement.
type subject struct {
	name      string
	offer     wire.Offer // how the load speaks to it
	reference bool       // one of those that the others are held against
	allowed   float64    // CPU beside the reference; 0: for information

	// begin starts a fresh process in front of the echo server at upstream.
	begin func(r *rig, upstream string) (*proc.Process, string, error)
}

// subjects are the rows of the tables, in the order of a round.
func (r *rig) subjects() []subject {
	list := []subject{
		{name: "goroutine forwarder, read/write loops", reference: true, begin: beginForward("loop")},
		{name: "goroutine forwarder, io.Copy", reference: true, begin: beginForward("copy")},
	}
	if r.sidecar != "" {
		list = append(list,
			subject{name: "sidecar, plain clients", allowed: allowedPlain, begin: beginSidecar()},
			subject{name: "sidecar, resilient clients", offer: wire.Offer{Resilient: true}, allowed: allowedResilient, begin: beginSidecar()})
	}
	if r.nginx != "" {
		list = append(list, subject{name: "nginx", begin: (*rig).startNginx})
	}
	return list
}

func beginForward(kind string) func(*rig, string) (*proc.Process, string, error) {
	return func(r *rig, upstream string) (*proc.Process, string, error) {
		return r.startRole("forward", kind, upstream)
	}
}

// beginSidecar starts one with an embedded journal of its own: plain and
// resilient clients are measured on two processes.
func beginSidecar(more ...string) func(*rig, string) (*proc.Process, string, error) {
	return func(r *rig, upstream string) (*proc.Process, string, error) {
		dir, err := r.scratch("data")
		if err != nil {
			return nil, "", err
		}
		s, err := r.startSidecar(upstream, dir, tokenKey(), more...)
		if err != nil {
			return nil, "", err
		}
		return s.Process, s.Addr, nil
	}
}
