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
	ttl       time.Duration // of sessions
	life      time.Duration // of snapshots; 0: as long as their session
}

// A pathProtocol is the preset of the paths that a pattern covers.
type pathProtocol struct {
	path pathpattern.Pattern
	Protocol
}

// New reads the configuration: rules is the JSON of WSR_SNAPSHOT_RULES or
// empty, protocols is WSR_APP_PROTOCOL or empty, with names from known, and ttl
// is the session's TTL, after which no older copy of a snapshot can be anywhere.
// Errors say what was given and what is allowed.
func New(rules []byte, protocols string, ttl time.Duration, known []Protocol) (*Policy, error) {
	p := &Policy{ttl: ttl}
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
	names := make([]string, len(known))
	for i, p := range known {
		if p.Name == name {
			return p, nil
		}
		names[i] = p.Name
	}
	return Protocol{}, fmt.Errorf("protocol %q: not one of %s", name, strings.Join(names, ", "))
}

// Covers reports whether sessions on path, which is a request's decoded URL
// path, have a snapshot.
func (p *Policy) Covers(path string) bool {
	if p == nil {
		return false
	}
	for _, placed := range p.protocols {
		if placed.path.Match(path) {
			return true
		}
	}
	for _, r := range p.rules {
		if r.path.Match(path) {
			return true
		}
	}
	return false
}

// Tracker returns a new Tracker for a session on path, or nil if nothing is to be
// known of its messages.
func (p *Policy) Tracker(path string) *Tracker {
	if p == nil {
		return nil
	}
	t := &Tracker{dropTTL: p.ttl, life: p.life, covers: p.Covers(path), id: newID()}
	for _, e := range p.exchanges {
		if e.path.Match(path) {
			t.exchanges = append(t.exchanges, e)
		}
	}
	if !t.covers && t.exchanges == nil {
		return nil
	}
	for _, r := range p.rules {
		if r.path.Match(path) {
			t.rules = append(t.rules, r)
		}
	}
	for _, placed := range p.protocols {
		if placed.path.Match(path) {
			t.protocol = placed.Protocol
			t.preset = placed.New()
			break
		}
	}
	return t
}
