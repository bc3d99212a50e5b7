package proxy

import (
	"time"

	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/snapshot"
)

// A SessionView is what an operator may see of a session (I9).
type SessionView struct {
	ID       string        `json:"id"`
	State    string        `json:"state"` // attached, detached, or handing_over
	Epoch    uint32        `json:"epoch"`
	Owner    string        `json:"owner"`
	Age      time.Duration `json:"age_ns"`
	Held     int           `json:"held_bytes"`    // in the windows of both directions
	Snapshot int           `json:"snapshot_size"` // entries
}

// Sessions lists up to limit of the resilient sessions that live here.
func (s *Server) Sessions(limit int) []SessionView {
	list := make([]SessionView, 0, min(limit, 64))
	for _, c := range s.sessions.all() {
		if len(list) == limit {
			break
		}
		if v, ok := c.view(); ok {
			list = append(list, v)
		}
	}
	return list
}

func (c *sessionDriver) view() (SessionView, bool) {
	now := c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	if !ok || c.over {
		return SessionView{}, false
	}
	v := SessionView{
		ID: c.id.String(), State: "detached", Epoch: m.Epoch(), Owner: c.srv.cfg.Advertise,
		Age: now.Sub(c.born.Time()), Held: m.Held(), Snapshot: len(m.Context()),
	}
	switch {
	case m.HandingOver():
		v.State = "handing_over"
	case m.Attached():
		v.State = "attached"
	}
	return v, true
}

// Snapshot lists what a fresh app socket of the session would hear first,
// without payloads. It returns false if the session is not here.
func (s *Server) Snapshot(id string) ([]snapshot.Entry, bool) {
	for _, c := range s.sessions.all() {
		if c.id.String() != id {
			continue
		}
		c.enter()
		defer c.leave()
		if m, ok := c.m.(*session.Session); ok {
			return m.Context(), true
		}
	}
	return nil, false
}
