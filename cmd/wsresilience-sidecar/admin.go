package main

import (
	"errors"
	"net/http"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/console"
	"github.com/wsresilience/wsresilience/observe"
)

// adminHandler is what operators and probes see.
func (s *sidecar) adminHandler() http.Handler {
	a := observe.Admin{
		Ready: s.ready, Notes: s.notes, Metrics: s.metrics.Handler(),
		Drain: s.drain, DrainState: s.drainState, Undrain: s.undrain,
		Home:  console.Home,
		Views: append(s.newConsole().Views(), observe.Profiles(s.pprof.Load)...),
	}
	if s.cfg.AdminToken != "" {
		a.Token = s.cfg.OperatorToken
	}
	return a.Handler()
}

func (s *sidecar) ready() error {
	switch {
	case !s.proxy.Accepting():
		return errors.New("stopping: new clients go elsewhere")
	case s.proxy.OutOfPorts():
		return errors.New("local ports towards the app are used up: new clients get 502")
	case s.cfg.StorePolicy == config.StoreStrict && s.proxy.StoreAway():
		return errors.New("the journal is out of reach (WSR_STORE_POLICY=strict)" + s.journalReason())
	}
	return nil
}

// notes are what an operator should know of a sidecar that is ready.
func (s *sidecar) notes() (list []string) {
	if s.proxy.StoreAway() {
		list = append(list, "the journal is away, sessions live in memory"+s.journalReason())
	}
	return append(list, s.proxy.Shortages()...)
}

// journalReason returns why the journal is away, to be put behind that it is.
func (s *sidecar) journalReason() string {
	if why := s.journalAway.Load(); why != nil {
		return ": " + *why
	}
	return ""
}

func (s *sidecar) drainState() observe.DrainState {
	st := s.proxy.Stats()
	return observe.DrainState{
		Draining: st.Draining, Sessions: st.Attached + st.Detached, Plain: st.Plain, Tunnels: st.Tunnels,
		Since: s.proxy.DrainingSince(),
	}
}
