package main

import (
	"github.com/wsresilience/wsresilience/internal/bench/rig"
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
	begin func(r *rig.Rig, upstream string) (*proc.Process, string, error)
}

// subjects are the rows of the tables, in the order of a round.
func subjects(r *rig.Rig) []subject {
	list := []subject{
		{name: "goroutine forwarder, read/write loops", reference: true, begin: beginForward("loop")},
		{name: "goroutine forwarder, io.Copy", reference: true, begin: beginForward("copy")},
	}
	if r.Sidecar != "" {
		list = append(list,
			subject{name: "sidecar, plain clients", allowed: allowedPlain, begin: beginSidecar()},
			subject{name: "sidecar, resilient clients", offer: wire.Offer{Resilient: true}, allowed: allowedResilient, begin: beginSidecar()})
	}
	if r.Nginx != "" {
		list = append(list, subject{name: "nginx", begin: (*rig.Rig).StartNginx})
	}
	return list
}

func beginForward(kind string) func(*rig.Rig, string) (*proc.Process, string, error) {
	return func(r *rig.Rig, upstream string) (*proc.Process, string, error) {
		return r.StartRole("forward", kind, upstream)
	}
}

// beginSidecar starts one with an embedded journal of its own: plain and
// resilient clients are measured on two processes.
func beginSidecar(more ...string) func(*rig.Rig, string) (*proc.Process, string, error) {
	return func(r *rig.Rig, upstream string) (*proc.Process, string, error) {
		dir, err := r.Scratch("data")
		if err != nil {
			return nil, "", err
		}
		s, err := r.StartSidecar(upstream, dir, rig.TokenKey(), more...)
		if err != nil {
			return nil, "", err
		}
		return s.Process, s.Addr, nil
	}
}
