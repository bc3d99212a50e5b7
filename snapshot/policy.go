package snapshot

import (
	"fmt"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/match"
	"github.com/wsresilience/wsresilience/internal/pathpattern"
)

// maxProtocols bounds WSR_APP_PROTOCOL, which every handshake walks.
const maxProtocols = 64

// A Policy is what is configured: rules and presets by path. It is immutable
// and safe for concurrent use. A nil Policy covers nothing.
type Policy struct {
	rules     []*rule
	exchanges []*exchange
	protocols []pathProtocol
	known     []Protocol
	ttl       time.Duration // of sessions
	life      time.Duration // of snapshots; 0: as long as their session
}

// A pathProtocol is the preset of the paths that a pattern covers.
type pathProtocol struct {
	path pathpattern.Pattern
	Protocol
}

// Words of WSR_APP_PROTOCOL in place of a protocol's name.
const (
	byHandshake = "auto" // whichever the handshake shows
	unknown     = "off"  // none
)

// New reads the configuration: rules is the JSON of WSR_SNAPSHOT_RULES or
// empty, protocols is WSR_APP_PROTOCOL or empty, with names from known, auto or off, and ttl
// is the session's TTL, after which no older copy of a snapshot can be anywhere.
// Errors say what was given and what is allowed.
func New(rules []byte, protocols string, ttl time.Duration, known []Protocol) (*Policy, error) {
	p := &Policy{known: known, ttl: ttl}
	var err error
	if len(rules) > 0 {
		if p.rules, p.exchanges, err = parseRules(rules); err != nil {
			return nil, fmt.Errorf("snapshot: %w", err)
		}
	}
	if p.protocols, err = parseProtocols(protocols, known); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return p, nil
}

// WithLife returns the policy with a time after which a snapshot falls back to
// nothing unless the client has said something meanwhile that is kept; 0 is
// never.
func (p *Policy) WithLife(d time.Duration) *Policy {
	with := *p
	with.life = d
	return &with
}

// parseProtocols reads a preset's name, which is for all paths, or a list of
// path=preset. The first that covers a path is used.
func parseProtocols(text string, known []Protocol) ([]pathProtocol, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil
	}
	if !strings.Contains(text, "=") {
		text = "*=" + text
	}
	list := strings.Split(text, ",")
	if len(list) > maxProtocols {
		return nil, fmt.Errorf("%d protocols: at most %d", len(list), maxProtocols)
	}
	var all []pathProtocol
	for _, item := range list {
		path, name, ok := strings.Cut(item, "=")
		if !ok {
			return nil, fmt.Errorf("protocol %q: want path=protocol, or one protocol for all paths", item)
		}
		pattern, err := match.ParsePath(path)
		if err != nil {
			return nil, err
		}
		p, err := findProtocol(strings.TrimSpace(name), known)
		if err != nil {
			return nil, err
		}
		all = append(all, pathProtocol{pattern, p})
	}
	return all, nil
}

// findProtocol returns the known protocol with that name.
func findProtocol(name string, known []Protocol) (Protocol, error) {
	switch name {
	case byHandshake:
		return Protocol{Name: name}, nil
	case unknown:
		return Protocol{}, nil
	}
	names := make([]string, len(known))
	for i, p := range known {
		if p.Name == name {
			return p, nil
		}
		names[i] = p.Name
	}
	return Protocol{}, fmt.Errorf("protocol %q: not one of auto, off, %s", name, strings.Join(names, ", "))
}

// protocolOf returns the protocol whose preset a session gets: that of the first
// pattern that covers its path. ok is false if there is none.
func (p *Policy) protocolOf(h Handshake) (of Protocol, ok bool) {
	for _, placed := range p.protocols {
		if !placed.path.Match(h.Path) {
			continue
		}
		if placed.Name != byHandshake {
			return placed.Protocol, placed.New != nil
		}
		for _, known := range p.known {
			if known.Recognises != nil && known.Recognises(h) {
				return known, true
			}
		}
		break
	}
	return Protocol{}, false
}

// Tracker is For, of a session of which only the path is known.
func (p *Policy) Tracker(path string) *Tracker { return p.For(Handshake{Path: path}) }

// For returns a new Tracker for a session, or nil if nothing is to be known of its
// messages.
func (p *Policy) For(h Handshake) *Tracker {
	if p == nil {
		return nil
	}
	t := &Tracker{dropTTL: p.ttl, life: p.life}
	for _, e := range p.exchanges {
		if e.path.Match(h.Path) {
			t.exchanges = append(t.exchanges, e)
		}
	}
	for _, r := range p.rules {
		if r.path.Match(h.Path) {
			t.rules = append(t.rules, r)
		}
	}
	of, ok := p.protocolOf(h)
	if t.covers = ok || t.rules != nil; !t.covers && t.exchanges == nil {
		return nil
	}
	t.id = newID()
	if ok {
		t.protocol, t.preset = of, of.New()
	}
	if p, ok := t.preset.(Opener); ok {
		p.Opened(Conversation{t}, h)
	}
	return t
}
