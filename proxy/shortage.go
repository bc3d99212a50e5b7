package proxy

import (
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/event"
)

const (
	// shortageShown is how long after it happened an operator is told of a
	// shortage, and how long the log is silent after it said so.
	shortageShown = time.Minute

	// shortageRefuses is how long a sidecar without ports to its app is not ready:
	// until the next probe.
	shortageRefuses = 5 * time.Second
)

// shortages are what the system had no more of lately. It is safe for concurrent
// use.
type shortages struct {
	mu     sync.Mutex
	known  map[event.Resource]*shortage
	noPort time.Time // when the app could not be dialled for want of one
}

type shortage struct{ last, said time.Time }

// note remembers a shortage, and reports whether the log is to say so.
func (s *shortages) note(r event.Resource, now time.Time) (say bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[event.Resource]*shortage{}
	}
	k := s.known[r]
	if k == nil {
		k = new(shortage)
		s.known[r] = k
	}
	k.last = now
	if say = now.Sub(k.said) >= shortageShown; say {
		k.said = now
	}
	return say
}

func (s *shortages) lately(r event.Resource, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[r]
	return k != nil && now.Sub(k.last) < shortageShown
}

// descriptorsShort is told when a client was sent away for want of descriptors.
func (s *Server) descriptorsShort() {
	s.observe(event.Event{Kind: event.Refused, Refusal: event.RefusedDescriptors})
	s.observe(event.Event{Kind: event.Short, Resource: event.ResourceDescriptors})
	if s.shortages.note(event.ResourceDescriptors, time.Now()) {
		s.log.Warn("descriptors are used up: new clients are refused until others go; raise the limit on open files (ulimit -n)")
	}
}

// refusedForMemory is told when a connection was ended that kept memory and said
// nothing.
func (s *Server) refusedForMemory() {
	s.observe(event.Event{Kind: event.Refused, Refusal: event.RefusedMemory})
}

// portsShort is told when the local ports of an address are all taken.
func (s *Server) portsShort(none bool) {
	now := time.Now()
	s.observe(event.Event{Kind: event.Short, Resource: event.ResourcePorts})
	say := s.shortages.note(event.ResourcePorts, now)
	if none {
		s.shortages.mu.Lock()
		s.shortages.noPort = now
		s.shortages.mu.Unlock()
	}
	switch {
	case say && none:
		s.log.Warn("local ports towards the app are used up: new clients get 502; reach it on loopback, where there are more, or by a Unix socket (WSR_UPSTREAM=unix:...)")
	case say:
		s.log.Warn("local ports towards the app are used up: it is dialled from another address of loopback, 127.0.0.2 and on")
	}
}

// Shortages tells an operator, in sentences, what was used up lately.
func (s *Server) Shortages() (list []string) {
	now := time.Now()
	if s.shortages.lately(event.ResourceDescriptors, now) {
		list = append(list, "descriptors were used up in the last minute, and clients refused")
	}
	if s.shortages.lately(event.ResourcePorts, now) {
		list = append(list, "local ports towards the app were used up in the last minute")
	}
	return list
}

// OutOfPorts reports whether the app cannot be dialled for want of local ports.
func (s *Server) OutOfPorts() bool {
	s.shortages.mu.Lock()
	defer s.shortages.mu.Unlock()
	return time.Since(s.shortages.noPort) < shortageRefuses
}
